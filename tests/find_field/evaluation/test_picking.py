"""What a pick needs, against the truth of an exact world."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from find_field.evaluation import picking
from find_field.evaluation.ground_truth import truth_of_world
from find_field.evaluation.toy_world import ToyObject, World
from find_field.lift import lift


@pytest.fixture(scope="module")
def truth():
    things = [ToyObject("red box", (-0.15, 0.05, 0.05), (0.08, 0.06, 0.1), 0.4),
              ToyObject("blue box", (0.15, -0.05, 0.04), (0.05, 0.09, 0.08), 1.1, color=(60, 80, 210))]  # fmt: skip
    return truth_of_world(World(things), count=12, size_hw=(180, 240))


def test_perfect_embeddings_reach_the_aims(truth):
    find = truth.oracle()
    rows = picking.picks(lift(truth.frames, find), find, truth)
    assert [row.name for row in rows] == ["red box", "blue box"]
    summary = picking.summarise(rows)
    for name, aim in picking.AIMS_MM.items():
        assert summary[name]["answered"] == 2 and summary[name]["median"] <= aim
    assert all(row.unseen < 0.1 for row in rows)


def test_differences_are_those_from_the_truth(truth):
    """Of a thing whose true box and surface are elsewhere than where they were lifted."""
    find = truth.oracle()
    field = lift(truth.frames, find)
    right = picking.picks(field, find, truth)
    objects = []
    for thing in truth.objects:
        T = thing.T_world_object.copy()
        T[2, 3] -= 0.007
        objects.append(dataclasses.replace(thing, T_world_object=T))
    lower = picking.picks(field, find, dataclasses.replace(truth, objects=tuple(objects)))
    moved = [a.support_mm - b.support_mm for a, b in zip(lower, right, strict=True)]
    np.testing.assert_allclose(moved, 7, atol=1e-6)


def test_what_has_no_answer_is_counted_and_not_averaged():
    rows = [picking.Pick("a", 3.0, None, 0.1), picking.Pick("b", -5.0, None, 0.2)]
    summary = picking.summarise(rows)
    assert summary["width_mm"] == {"answered": 2, "median": 4.0, "p90": 4.8}
    assert summary["support_mm"] == {"answered": 0}
