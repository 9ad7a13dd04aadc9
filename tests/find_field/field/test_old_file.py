"""A .field file of before the packages were divided (written by commit eb56e15) is read as it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import find_field as ff
from find_field.evaluation.toy_world import sample_world

OLD = Path(__file__).parents[1] / "data" / "old.field"


def test_header_and_arrays_are_those_of_the_documented_format():
    """Read by hand: eight bytes of header length, JSON, raw arrays."""
    raw = OLD.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    field = ff.load(OLD)
    assert header["__metadata__"]["format"] == "find-field"
    assert json.loads(header["__metadata__"]["info"])["provenance"] == field.provenance
    start, end = header["points_world_m"]["data_offsets"]
    points = np.frombuffer(raw[8 + length :][start:end], "<f4").reshape(-1, 3)
    np.testing.assert_array_equal(field.points_world_m, points)
    assert len(field) == 929 and field.frame == "map" and field.voxel_size_m == 0.04


def test_it_is_asked_as_it_was():
    """What eb56e15 answered of it."""
    world = sample_world(seed=4, count=3)
    (hit,) = ff.load(OLD).query("red box", world.oracle())
    assert hit.score == pytest.approx(0.9999, abs=1e-4) and len(hit.points_world_m) == 23
    np.testing.assert_allclose(hit.centroid_world_m, (-0.18106, -0.22453, 0.06157), atol=1e-5)
    np.testing.assert_allclose(hit.extent_m, (0.09475, 0.08008, 0.08488), atol=1e-5)


def test_it_is_gone_on_from():
    world = sample_world(seed=4, count=3)
    oracle = world.oracle()
    lifter = ff.Lifter(oracle, start=ff.load(OLD))
    before = len(lifter)
    for frame in world.frames(2, (60, 80), oracle=oracle):
        lifter.add(frame)
    assert len(lifter) > before and lifter.query("red box")
