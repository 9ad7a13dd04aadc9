"""The evaluation on painted clips whose right answer is known."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from tests.find_core.video.fakes import ColorFind, paint
from training.evaluation.video.clip import read_clips
from training.evaluation.video.evaluate import run_suite, score_clip, table

FPS = 8.0


def write_clip(folder, scenario, boxes_of, targets, prompt="the <red>", held=False):
    """boxes_of(n) -> [(color, x, y, w, h, object number)]."""
    (folder / "frames").mkdir(parents=True)
    (folder / "ids").mkdir()
    for n in range(40):
        boxes, ids = boxes_of(n), np.zeros((72, 96), np.uint8)
        for _, x, y, w, h, number in boxes:
            ids[max(y, 0) : y + h, max(x, 0) : x + w] = number
        frame = paint([b[:5] for b in boxes])
        cv2.imwrite(str(folder / "frames" / f"{n:06d}.jpg"), frame[..., ::-1], [1, 98])
        cv2.imwrite(str(folder / "ids" / f"{n:06d}.png"), ids)
    facts = {"version": 1, "scenario": scenario, "seed": 0, "held_out": held, "noise": False,
             "fps": FPS, "prompt": prompt, "phrase": "red", "target_kind": "red",
             "targets": targets, "objects": []}  # fmt: skip
    (folder / "clip.json").write_text(json.dumps(facts))


def visiting(n):
    return [("red", 10 + n, 10, 20, 20, 1)] if 10 <= n < 30 else []


def twins(n):
    return [("red", 2 * n, 10, 20, 16, 1), ("red", 76 - 2 * n, 40, 20, 16, 2)]


def other(n):
    return [("blue", 2 * n, 10, 20, 16, 1)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    write_clip(root / "placed", "placed", visiting, [1])
    write_clip(root / "twins", "twins", twins, [1, 2])
    write_clip(root / "absent", "absent", other, [])
    return root


def by_name(clips):
    return {clip.folder.name: clip for clip in read_clips(clips)}


def test_a_right_answer_scores_high(clips):
    row = score_clip(ColorFind(), by_name(clips)["placed"])
    assert row["r1_offline"] == row["r1_streaming"] == 1.0
    assert row["tiou_offline"] > 0.9 and row["tiou_streaming"] > 0.75 and row["tiou_raw"] == 1.0
    assert row["mask_iou"] > 0.9 and row["idf1"] > 0.9 and row["id_switches"] == 0


def test_twins_keep_their_ids(clips):
    row = score_clip(ColorFind(), by_name(clips)["twins"])
    assert row["idf1"] > 0.95 and row["id_switches"] == 0


class Dreamer(ColorFind):
    """Sees red everywhere, in one place."""

    def encode(self, image):
        return super().encode(paint([("red", 70, 50, 20, 20)]))


def test_a_wrong_answer_scores_low(clips):
    row = score_clip(Dreamer(), by_name(clips)["placed"])
    assert row["mask_iou"] == 0 and row["idf1"] == 0 and row["tiou_offline"] == pytest.approx(0.5)
    assert score_clip(Dreamer(), by_name(clips)["absent"])["alarms_offline"] == 1


def test_suite_report(clips, tmp_path):
    summary = run_suite(ColorFind(), clips, tmp_path)
    known = summary["known kinds"]
    assert known["clips"] == 2 and known["clips_without_target"] == 1
    assert known["false_alarms_per_minute_offline"] == 0
    assert known["r1_offline"]["value"] == 1.0 and known["idf1"]["n"] == 2
    report = json.loads((tmp_path / "video.json").read_text())
    assert len(report["clips"]) == 3 and report["fingerprint"] == "color-find"
    assert (tmp_path / "strips" / "twins.jpg").is_file()
    assert "| IDF1 |" in table(summary)
    wrong = run_suite(Dreamer(), clips, tmp_path)
    assert wrong["known kinds"]["false_alarms_per_minute_offline"] == pytest.approx(12, abs=0.1)


def test_visual_prompt(tmp_path):
    folder = tmp_path / "v"
    write_clip(folder, "placed", visiting, [1], prompt="bring me <this>")
    cv2.imwrite(str(folder / "reference.png"), paint([("red", 5, 5, 20, 20)])[..., ::-1])
    mask = np.zeros((72, 96), np.uint8)
    mask[5:25, 5:25] = 255
    cv2.imwrite(str(folder / "reference_mask.png"), mask)
    prompt = read_clips(tmp_path)[0].prompt()
    assert prompt.entities[0].is_visual and prompt.entities[0].reference.mask.sum() == 400


def test_no_clips_says_how_to_make_some(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"training\.evaluation\.video\.render"):
        read_clips(tmp_path)
