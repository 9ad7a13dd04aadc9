"""Strips of clips: words and shown things are asked side by side, and counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from find_core.images import read_image
from find_core.testing import tiny_find
from tests.find_core.video.fakes import paint, write_video
from training.evaluation.video import real_clips
from training.evaluation.video.real_clips import Shown


def test_words_and_shown_things_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "clip.mp4", [paint([])] * 6)
    shown = Shown(0.2, (4, 4, 40, 30))
    monkeypatch.setattr(real_clips, "PROMPTS", {"clip.mp4": ("the <mug>", shown)})
    answers = real_clips.run(tiny_find(), tmp_path, tmp_path / "out", fps=10.0)
    words, picture = answers["clip.mp4"]
    assert words["prompt"] == "the <mug>" and "0.2" in picture["prompt"]
    assert all(0.0 <= a["mean_relevance"] <= 1.0 for a in (words, picture))
    assert words["mean_relevance"] != picture["mean_relevance"]
    assert read_image(tmp_path / "out" / "clip.png").ndim == 3
    assert (tmp_path / "out" / "facts.json").is_file()


def test_the_shown_frame_is_the_one_at_its_time(tmp_path: Path) -> None:
    bright = [paint([]) * 0 + value for value in (0, 60, 120, 180, 240)]
    clip = write_video(tmp_path / "clip.mp4", bright, fps=10)
    prompt = Shown(0.3, (4, 4, 40, 30)).prompt(clip)
    (entity,) = prompt.entities
    assert entity.reference is not None
    assert abs(float(entity.reference.image.mean()) - 180) < 12
