"""Places decide between hits of one entity, as a viewer sees them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from jsonschema import validate
from torch import nn

import find_field as ff
from find_core.errors import FieldError
from find_core.places.choice import PlaceWords
from find_core.places.geometry import METRIC_BLOCK
from find_field.evaluation.toy_world import ToyObject, World, look_at
from find_field.schemas import answer_schema

RIGHTWARD = METRIC_BLOCK.start + 6
"""How far the first of a pair is to the viewer's right of the second."""


class LeftJudge(nn.Module):
    """Holds that the first entity is left of the second."""

    def forward(self, contexts, features, candidates):
        grid = torch.cartesian_prod(*(torch.arange(len(c)) for c in candidates))
        rows = [torch.tensor(c)[grid[:, e]] for e, c in enumerate(candidates)]
        return torch.nn.functional.logsigmoid(-10 * features[rows[0], rows[1], RIGHTWARD]), grid


@dataclasses.dataclass(frozen=True, eq=False)
class Judged:
    """A compiled prompt of the oracle with words about places."""

    inner: object
    places: PlaceWords

    def __getattr__(self, name):
        return getattr(self.inner, name)


@pytest.fixture(scope="module")
def balls():
    """A box between two balls of one name."""
    ball = dict(size_m=(0.08,) * 3, ball=True)
    things = [ToyObject("ball", (x, 0, 0.04), **ball) for x in (-0.25, 0.25)]
    world = World([*things, ToyObject("box", (0, 0, 0.05), (0.1, 0.1, 0.1), color=(60, 60, 200))])
    oracle = world.oracle()
    return ff.lift(world.frames(10, oracle=oracle), oracle), oracle


def ask(balls, viewer, **options):
    field, oracle = balls
    words = PlaceWords(LeftJudge(), torch.zeros(2, 2, 1))
    compiled = Judged(oracle.compile("the <ball> left of the <box>"), words)
    return field.query(compiled, oracle, viewer=viewer, **options)


FRONT = look_at(np.array([0, -1, 0.6]), np.zeros(3))
BACK = look_at(np.array([0, 1, 0.6]), np.zeros(3))


@pytest.mark.parametrize(("viewer", "x"), [(FRONT, -0.25), (BACK, 0.25)])
def test_the_viewer_decides_which_is_left(balls, viewer, x):
    hits = ask(balls, viewer)
    first = hits.entities[0].hits[0]
    assert first.centroid_world_m[0] == pytest.approx(x, abs=0.03)
    assert hits.place_score > 0.9 and len(hits.entities[0].hits) == 2
    order = [h for h in hits if h.entity_index == 0]
    assert order[0] is first
    validate(hits.to_json(), answer_schema())
    assert hits.to_json()["place_score"] == round(hits.place_score, 4)


def test_without_a_viewer_nobody_is_left(balls):
    """Both balls have the same numbers: the better score stays first."""
    hits = ask(balls, None)
    alone = ask(balls, None, places=False)
    assert hits[0].score == alone[0].score
    assert hits.place_score == pytest.approx(0.5)


def test_switched_off(balls):
    field, oracle = balls
    plain = field.query("the <ball> left of the <box>", oracle)
    off = ask(balls, BACK, places=False)
    assert off.place_score is None and "place_score" not in off.to_json()
    assert off.to_json() == plain.to_json()


def test_what_is_not_there_is_not_judged(balls):
    hits = ask(balls, FRONT, threshold=0.9999999)
    assert hits.place_score is None


@pytest.mark.parametrize("viewer", [np.zeros((4, 4)), np.eye(3), "left", np.full((4, 4), np.nan)])
def test_no_pose_is_refused(balls, viewer):
    with pytest.raises(FieldError, match="T_world_camera"):
        ask(balls, viewer)
