"""What is around a hit, in exact worlds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import find_field as ff
from find_core.errors import FieldError
from find_field.evaluation.toy_world import ToyObject, World


def lifted(things, keep=lambda T: True, **options):
    world = World(things)
    oracle = world.oracle()
    frames = [f for f in world.frames(12, (180, 240), oracle=oracle) if keep(f.T_world_camera)]
    return ff.lift(frames, oracle, voxel_size_m=0.01, **options), oracle


def box(name, centre, size):
    return ToyObject(name, centre, size, color=(200, 60, 60))


CUP = box("red cup", (0.02, 0.01, 0.05), (0.06, 0.08, 0.1))


def test_a_thing_on_a_table():
    field, oracle = lifted([CUP])
    hit = field.query("red cup", oracle)[0]
    around = field.surroundings(hit)
    assert around.support_m == pytest.approx(0, abs=0.002)
    assert around.top_m == pytest.approx(0.1, abs=0.006) and around.height_m == pytest.approx(
        0.1, abs=0.006
    )
    assert around.free_above_m is None
    assert around.unseen < 0.1 and around.seen.shape == (5,)


def test_a_thing_on_a_book_stands_on_the_book():
    book = box("blue book", (0.02, 0.01, 0.02), (0.16, 0.18, 0.04))
    field, oracle = lifted([dataclasses.replace(CUP, centre_m=(0.02, 0.01, 0.09)), book])
    around = field.surroundings(field.query("red cup", oracle)[0])
    assert around.support_m == pytest.approx(0.04, abs=0.003)
    under = field.surroundings(field.query("blue book", oracle)[0])
    assert under.support_m == pytest.approx(0, abs=0.003)


def test_a_neighbour_is_no_support():
    beside = box("blue box", (0.02, 0.09, 0.03), (0.06, 0.06, 0.06))
    field, oracle = lifted([CUP, beside])
    assert field.surroundings(field.query("red cup", oracle)[0]).support_m == pytest.approx(
        0, abs=0.003
    )


def test_a_board_above_it():
    board = box("blue board", (0.0, 0.0, 0.3), (0.2, 0.2, 0.02))
    field, oracle = lifted([CUP, board])
    around = field.surroundings(field.query("red cup", oracle)[0])
    # From above the board's top is seen alone: its lower side is at .29, its upper one at .31.
    assert 0.18 < around.free_above_m < 0.215


def test_from_one_side_the_others_were_never_seen():
    field, oracle = lifted([CUP], keep=lambda T: T[0, 3] > 0.5)
    hit = field.query("red cup", oracle)[0]
    around = field.surroundings(hit)
    x, y = hit.T_world_object[0, :2]  # how far each of its axes points to the cameras
    towards = np.array([x, -x, y, -y])
    assert around.seen[towards.argmax()] > 0.9 and around.seen[towards.argmin()] < 0.7
    assert around.unseen > 0.08


def test_its_json_is_finite_or_null():
    field, oracle = lifted([CUP])
    told = field.surroundings(field.query("red cup", oracle)[0]).to_json()
    assert told["free_above_m"] is None and told["support_m"] == pytest.approx(0, abs=0.002)
    assert set(told["seen"]) == {"+x", "-x", "+y", "-y", "top"}


def test_exception_where_up_is_unknown():
    field, oracle = lifted([CUP], up_world=None)
    with pytest.raises(FieldError, match="up is unknown"):
        field.surroundings(field.query("red cup", oracle)[0])
