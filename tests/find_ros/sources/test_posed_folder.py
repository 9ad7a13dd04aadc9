"""Posed folders played as a camera."""

from __future__ import annotations

import json

import pytest

from find_core.errors import FindError
from find_field.evaluation.toy_world import sample_world
from find_ros.sources.base import DEFAULT_FPS
from find_ros.sources.posed_folder import PosedImages
from tests.find_field.folders import write_sequence


@pytest.fixture(scope="module")
def sequence(tmp_path_factory):
    return write_sequence(
        tmp_path_factory.mktemp("seq"), sample_world(seed=0, count=2).frames(2, (24, 32))
    )


def with_fps(folder, fps):
    meta = json.loads((folder / "meta.json").read_text("utf-8-sig"))
    meta.pop("fps", None)
    text = json.dumps(meta | ({} if fps is None else {"fps": "FPS"})).replace('"FPS"', str(fps))
    (folder / "meta.json").write_text("\ufeff" + text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(("fps", "rate"), [(None, DEFAULT_FPS), (4, 4.0), (0.5, 0.5)])
def test_frames_come_at_the_rate_of_the_file(sequence, fps, rate):
    played = PosedImages(with_fps(sequence, fps), 0.0)
    assert [f.time_s for f in played.frames()] == [0, 1 / rate]


@pytest.mark.parametrize(
    "fps", ["0", "-1", "NaN", "Infinity", "1e300", "true", '"many"', "[1]", "null"]
)
def test_exception_of_rates_that_are_none(sequence, fps):
    with pytest.raises(FindError, match=r"fps.* lies between"):
        PosedImages(with_fps(sequence, fps), 0.0)
