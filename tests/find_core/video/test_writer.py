"""Annotated videos appear whole under their name, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from find_core.errors import FindError
from find_core.video.sources import open_source
from find_core.video.writer import VideoWriter

FRAME = np.full((48, 64, 3), (200, 100, 7), np.uint8)


def write(path, count=5):
    with VideoWriter(path) as writer:
        for n in range(count):
            writer.write(FRAME, n / 10)


def test_smoke_frames_and_their_times(tmp_path):
    write(tmp_path / "new" / "a.mp4")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.mp4"]
    frames = list(open_source(tmp_path / "new" / "a.mp4").frames())
    assert [f.time_s for f in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=1e-3)
    assert np.abs(frames[0].image.astype(int) - FRAME).max() <= 8


def test_without_frames_there_is_no_file(tmp_path):
    write(tmp_path / "a.mp4", 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), OSError("the camera's"), FindError("x")])
def test_an_exception_leaves_what_was_there(tmp_path, problem):
    (tmp_path / "a.mp4").write_text("old")
    with pytest.raises(type(problem)) as caught, VideoWriter(tmp_path / "a.mp4") as writer:
        writer.write(FRAME, 0.0)
        raise problem
    assert caught.value is problem
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_a_link_planted_beside_it_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in (".a.mp4.part", "a.mp4"):
        (tmp_path / name).symlink_to(victim)
    write(tmp_path / "a.mp4")
    assert victim.read_text() == "mine" and not (tmp_path / "a.mp4").is_symlink()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FindError, match="cannot be written"):
        write(tmp_path / "file" / "a.mp4")
