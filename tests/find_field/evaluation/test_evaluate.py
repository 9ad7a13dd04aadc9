from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from find_core.errors import FieldError
from find_field.evaluation.evaluate import KINDS, cases, evaluate_sequence, main, summarise
from find_field.evaluation.ground_truth import open_truth, truth_of_world
from find_field.evaluation.toy_world import ToyObject, World, sample_world


@pytest.fixture(scope="module")
def truth():
    return truth_of_world(sample_world(3, 4), 12, (120, 160))


def test_oracle_finds_everything_in_every_way(truth):
    outcomes = evaluate_sequence(truth, truth.oracle())
    assert {o.kind for o in outcomes} == set(KINDS)
    summary = summarise(outcomes)
    assert summary["all"]["top1"] == 1.0 and summary["all"]["n"] == 4 + 4 + 8 + 8
    assert summary["all"]["centroid_cm_median"] < 1.0
    assert summary["all"]["iou_median"] > 0.5


def test_a_model_that_answers_wrongly_is_seen_to(truth):
    """Swap two names: exactly the queries in words that mean them must fail."""
    oracle = truth.oracle()
    swap = {"red box": "green ball", "green ball": "red box"}
    match = oracle._match
    oracle._match = lambda label: match(swap.get(label, label))
    outcomes = evaluate_sequence(truth, oracle)
    words = [o for o in outcomes if o.kind == "text"]
    assert {o.name for o in words if not o.right} == {"red box", "green ball"}
    assert all(o.right for o in outcomes if o.kind == "reference")


def test_nothing_found_counts_as_wrong(truth):
    outcomes = evaluate_sequence(truth, truth.oracle(), None, 6, max_depth_m=0.75)
    assert outcomes and not all(o.right for o in outcomes)
    assert summarise(outcomes)["all"]["top1"] < 1


def test_things_with_one_name_are_not_asked_for_by_it():
    ball = dict(size_m=(0.08,) * 3, ball=True)
    twins = World([ToyObject("ball", (-0.2, 0, 0.04), **ball), ToyObject("ball", (0.2, 0, 0.04), **ball),
                   ToyObject("box", (0, 0.2, 0.04), (0.08, 0.08, 0.08))])  # fmt: skip
    asked = list(cases(truth_of_world(twins, 6, (60, 80)), range(6)))
    assert {t.name for case in asked for t in case.targets} == {"box"}


def test_owner_needs_most_of_the_points(truth):
    thing = truth.objects[0]
    inside = np.repeat(thing.center_world_m[None], 10, axis=0)
    assert truth.owner(inside) == thing.id
    assert truth.owner(inside + [0, 0, 1.0]) is None


def test_rendered_sequences_are_read(truth, tmp_path):
    lines = []
    for i in range(7):
        frame, labels = truth.frames[i], truth.labels[i]
        cv2.imwrite(str(tmp_path / f"{i:06d}.jpg"), frame.rgb[..., ::-1])
        cv2.imwrite(str(tmp_path / f"{i:06d}.png"), labels.astype(np.uint16))
        depth = np.rint(np.nan_to_num(frame.depth_m) * 1000).astype(np.uint16)
        cv2.imwrite(str(tmp_path / f"{i:06d}_depth.png"), depth)
        instances = [
            {"id": t.id, "name": t.name, "names": [t.name], "stuff": False,
             "center_world_m": t.center_world_m.tolist(), "extent_m": t.extent_m.tolist(),
             "T_world_object": t.T_world_object.tolist()} for t in truth.objects
        ]  # fmt: skip
        table = {**instances[0], "id": 1, "name": "table", "stuff": True}
        lines.append(json.dumps({"index": i, "K": frame.K.tolist(), "instances": [*instances, table],
                                 "T_world_camera": frame.T_world_camera.tolist()}))  # fmt: skip
    (tmp_path / "scenes.jsonl").write_text("\n".join(lines))
    read = open_truth(tmp_path)
    assert [o.name for o in read.objects] == [o.name for o in truth.objects]
    assert read.names[1] == "table" and len(read.frames) == 7
    np.testing.assert_array_equal(read.labels[3], truth.labels[3])
    outcomes = evaluate_sequence(read, read.oracle())
    assert summarise(outcomes)["text"]["top1"] == 1.0


def test_exception_no_truth(tmp_path, capsys):
    with pytest.raises(FieldError, match=r"training\.tabletop\.sequence"):
        open_truth(tmp_path)
    assert main([str(tmp_path), "--model", "oracle"]) == 2
    assert capsys.readouterr().err.startswith("evaluate: ")


def test_command_line(monkeypatch, capsys, truth):
    import find_field.evaluation.evaluate as module

    monkeypatch.setattr(module, "truth_of_world", lambda world: truth)
    assert main(["--exact", "1", "--model", "oracle", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["summary"]["all"]["top1"] == 1.0
    assert len(told["outcomes"]) == told["summary"]["all"]["n"]


def test_summary_counts_only_right_answers_in_the_errors():
    row = dict(kind="text", name="a", found=True, score=1.0, center_cm=0.0, iou=1.0)
    rows = [SimpleNamespace(**row, right=True, centroid_cm=1.0),
            SimpleNamespace(**row, right=False, centroid_cm=99.0)]  # fmt: skip
    assert summarise(rows)["all"] == {
        "n": 2, "top1": 0.5, "centroid_cm_median": 1.0, "centroid_cm_p90": 1.0,
        "center_cm_median": 0.0, "center_cm_p90": 0.0, "iou_median": 1.0, "iou_p10": 1.0,
    }  # fmt: skip
