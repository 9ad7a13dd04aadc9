"""One small exact world and its field, shared by the tests that only read it."""

from __future__ import annotations

import pytest

import find_field as ff
from find_field.evaluation.toy_world import sample_world


@pytest.fixture(scope="session")
def world():
    return sample_world(seed=0, count=6)


@pytest.fixture(scope="session")
def oracle(world):
    return world.oracle()


@pytest.fixture(scope="session")
def frames(world, oracle):
    return world.frames(10, (120, 160), oracle=oracle)


@pytest.fixture(scope="session")
def room(frames, oracle):
    return ff.lift(frames, oracle, voxel_size_m=0.01, frame="map")
