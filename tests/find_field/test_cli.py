from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from jsonschema import validate

import find_core
import find_field as ff
from find_field.cli import main
from find_field.schemas import answer_schema
from tests.find_field.folders import write_sequence


@pytest.fixture
def model(oracle, monkeypatch):
    """The command line's model is the oracle: what it prints can be checked."""
    asked = []
    oracle_of = lambda name, **options: asked.append(options) or oracle  # noqa: E731
    monkeypatch.setattr(find_core, "load", oracle_of, raising=False)
    return SimpleNamespace(find=oracle, asked=asked)


@pytest.fixture
def lifted(frames, model, tmp_path, capsys):
    folder = tmp_path / "seq"
    out = tmp_path / "room.field"
    write_sequence(folder, frames)
    assert main(["lift", str(folder), "--out", str(out), "--json"]) == 0
    return out, json.loads(capsys.readouterr().out)


def test_lift_and_info(lifted, capsys):
    out, summary = lifted
    assert summary["frames"] == 10 and summary["frame"] == "map" and summary["voxels"] > 1000
    assert set(summary["ms_per_frame"]) == {"read", "encode", "lift"}
    assert main(["info", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["voxels"] == summary["voxels"] == len(ff.load(out))
    assert main(["info", str(out)]) == 0
    assert "oracle" in capsys.readouterr().out


def test_a_frame_whose_depth_is_all_invalid_costs_itself(frames, model, tmp_path, capsys):
    blind = dataclasses.replace(frames[1], depth_m=np.full_like(frames[1].depth_m, np.nan))
    write_sequence(tmp_path / "seq", [frames[0], blind, frames[2]])
    assert main(["lift", str(tmp_path / "seq"), "--out", str(tmp_path / "a.field"), "--json"]) == 0
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert (summary["frames"], summary["skipped"]) == (2, 1)
    assert "has no depth" in printed.err


def test_query_prints_draws_and_exports(lifted, world, tmp_path, capsys):
    picture, ply = tmp_path / "top.png", tmp_path / "hits.ply"
    args = ["query", str(lifted[0]), "the <red box> by the <violin>"]
    assert main([*args, "--json", "--picture", str(picture), "--ply", str(ply)]) == 0
    answer = json.loads(capsys.readouterr().out)
    validate(answer, answer_schema())
    first, second = answer["entities"]
    assert first["found"] and not second["found"]
    centre = np.array(first["hits"][0]["centroid_world_m"])
    assert np.linalg.norm(centre - world.things[0].centre_m) < 0.02
    assert cv2.imread(str(picture)).std() > 5 and ply.stat().st_size > 1000
    assert main(args) == 0
    text = capsys.readouterr().out
    assert "red box" in text and "not here" in text
    assert main([*args, "--picture", str(tmp_path / "top.doc")]) == 2
    assert "image format" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.doc")) + list(tmp_path.glob(".top*"))


def test_threshold_and_input_px_are_the_models_own_unless_given(lifted, model, monkeypatch, capsys):
    def found(*options):
        assert main(["query", str(lifted[0]), "the <red box>", "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)["entities"][0]["found"]

    assert found() and not found("--threshold", "1.0")
    strict = dataclasses.replace(model.find.config, threshold=1.0)
    monkeypatch.setattr(model.find, "config", strict)
    assert not found() and found("--threshold", "0.5") and not found("--input-px", "320")
    assert [options.get("input_px") for options in model.asked] == [None] * 5 + [320]


def test_query_with_references(lifted, frames, world, tmp_path, capsys):
    view = frames[0]
    labels = world.render(view.K, view.T_world_camera, view.rgb.shape[:2])[2]
    y, x = np.argwhere(labels == 3).mean(0).round().astype(int)
    cv2.imwrite(str(tmp_path / "photo.png"), view.rgb[..., ::-1])
    photo = f"this={tmp_path}/photo.png"
    answers = []
    for flag in (["--reference", f"{photo}:point={x},{y}"], ["--ref", f"{photo}@point:{x},{y}"]):
        assert main(["query", str(lifted[0]), "<this>", *flag, "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    by_flag = answers[0]
    assert answers[1] == by_flag
    prompt = {"prompt": "<this>", "references": {"this": {
        "image": {"path": "photo.png"},
        "region": {"kind": "point", "data": [int(x), int(y)]}}}}  # fmt: skip
    (tmp_path / "prompt.json").write_text(json.dumps(prompt))
    file = str(tmp_path / "prompt.json")
    assert main(["query", str(lifted[0]), "--prompt-json", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == by_flag
    centre = by_flag["entities"][0]["hits"][0]["centroid_world_m"]
    assert np.linalg.norm(np.array(centre) - world.things[1].centre_m) < 0.02


def test_export(lifted, tmp_path, capsys):
    for name in ("a.ply", "a.npz"):
        assert main(["export", str(lifted[0]), str(tmp_path / name)]) == 0
        assert (tmp_path / name).stat().st_size > 1000
    assert main(["export", str(lifted[0]), str(tmp_path / "a.obj")]) == 2
    assert ".ply or .npz" in capsys.readouterr().err


@pytest.mark.parametrize(
    "args, says",
    [
        (["info", "nowhere.field"], "No field at"),
        (["lift", "nowhere", "--out", "x.field"], "No folder"),
        (["export", "nowhere.yml", "x.field"], "ns-train prints"),
        (["export", "nowhere.field", "x.field"], ".ply or .npz"),
        (["query", "x.field"], "either a prompt"),
        (["query", "x.field", "<a", "--threshold", "0.1"], "never closed"),
        (["query", "x.field", "<a>", "--ref", "a=b"], "NAME=PHOTO:KIND"),
        (["query", "x.field", "--prompt-json", "no.json"], "No prompt file"),
    ],
)
def test_exception_is_one_sentence(args, says, capsys):
    assert main(args) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


@pytest.mark.parametrize("command", [[], ["lift"], ["query"], ["export"], ["info"]])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--help"])
    assert f"find-field {' '.join(command)}" in capsys.readouterr().out.split("example", 1)[1]


def test_up_in_every_form(frames, model, tmp_path, capsys):
    """Asked for, promised by the folder, or estimated and said so."""
    folder, out = write_sequence(tmp_path / "seq", frames), tmp_path / "a.field"
    lift = ["lift", str(folder), "--out", str(out), "--json"]

    def lifted(*options):
        assert main([*lift, *options]) == 0
        told = capsys.readouterr()
        return json.loads(told.out), told.err

    summary, said = lifted()
    assert summary["up_world"] == [0, 0, 1] and summary["up_source"] == "frame" and "Up" not in said
    summary, said = lifted("--up", "0", "-1", "0")
    assert (
        summary["up_world"] == [0, -1, 0] and summary["up_source"] == "given" and "Up" not in said
    )
    summary, said = lifted("--up", "auto")
    assert summary["up_world"][2] > 0.999 and "estimated from the surfaces, confidence" in said
    assert main([*lift, "--up", "east"]) == 2 and "three numbers" in capsys.readouterr().err
    again = tmp_path / "b.field"
    assert main(["export", str(out), str(again), "--up", "1", "0", "0"]) == 0
    assert ff.load(again).up_world.tolist() == [1, 0, 0] and len(ff.load(again)) == len(
        ff.load(out)
    )
    assert main(["export", str(out), str(again), "--up", "auto"]) == 2
    assert "no longer has the cameras" in capsys.readouterr().err


def test_start_and_merge(frames, model, world, tmp_path, capsys):
    folder = write_sequence(tmp_path / "seq", frames)
    parts = [("first", "--limit", "5"), ("rest", "--start", "5"), ("all",)]
    for name, *options in parts:
        assert main(["lift", str(folder), "--out", str(tmp_path / name), *options]) == 0
    first, rest, whole = (ff.load(tmp_path / name) for name, *_ in parts)
    assert first.provenance["frames"] == rest.provenance["frames"] == 5 < len(frames)
    both = tmp_path / "both.field"
    assert main(["merge", *(str(tmp_path / n) for n in ("first", "rest")), "--out", str(both)]) == 0
    assert len(ff.load(both)) == len(whole) > len(first)
    assert main(["lift", str(folder), "--out", str(both), "--start", "10"]) == 2
    assert "no frame left" in capsys.readouterr().err
    assert main(["merge", str(both), "--out", str(both)]) == 2


def test_colours_of_a_cloud(lifted, tmp_path, capsys):
    """The relevancy is a property of a query's cloud whatever its colours show."""
    import trimesh

    out, shown = str(lifted[0]), {}
    for colors in ("rgb", "pca", "relevancy"):
        ply = tmp_path / f"{colors}.ply"
        assert main(["query", out, "the <red box>", "--ply", str(ply), "--colors", colors]) == 0
        assert b"property float relevancy" in ply.read_bytes()[:400]
        shown[colors] = trimesh.load(ply).colors[:, :3]
    assert not np.array_equal(shown["rgb"], shown["pca"])
    exported = tmp_path / "export.ply"
    args = ["export", out, str(exported), "--colors", "relevancy"]
    assert main([*args, "--prompt", "the <red box>"]) == 0
    np.testing.assert_array_equal(trimesh.load(exported).colors[:, :3], shown["relevancy"])
    assert main(args) == 2 and "Give either a prompt" in capsys.readouterr().err
