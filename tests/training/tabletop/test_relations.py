"""Relations from geometry, as the camera sees them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="placement needs scipy")
pytest.importorskip("trimesh", reason="placement needs trimesh")

from training.tabletop.scene.cameras import look_at
from training.tabletop.scene.relations import Body, judge

SQUARE = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.03


def body(x, y, **more):
    return Body(SQUARE + [x, y], 0.0, 0.06, **more)


def seen_from(*eye):
    return look_at(np.array(eye, float), np.zeros(3))


FRONT, BACK, SIDE = seen_from(0, -1, 0.6), seen_from(0, 1, 0.6), seen_from(1, 0, 0.6)


@pytest.mark.parametrize(
    "camera, name", [(FRONT, "left of"), (BACK, "right of"), (SIDE, "in front of")]
)
def test_directions_depend_on_the_camera(camera, name):
    a, b = (-0.1, 0), (0.1, 0)
    if name == "in front of":  # seen from +x, the body at +x is the nearer one
        a, b = b, a
    clear = judge([body(*a), body(*b)], camera).clear
    assert (0, name, 1) in clear


def test_each_direction_has_its_opposite():
    pairs = {
        "left of": "right of",
        "right of": "left of",
        "in front of": "behind",
        "behind": "in front of",
    }
    clear = judge([body(-0.2, 0.02), body(0.1, 0), body(0.1, 0.25)], FRONT).clear
    for s, name, o in clear:
        if name in pairs:
            assert (o, pairs[name], s) in clear


def test_a_diagonal_is_unclear():
    found = judge([body(-0.1, -0.1), body(0.1, 0.1)], FRONT)
    assert (0, "left of", 1) in found.unclear and (0, "left of", 1) not in found.clear
    assert (0, "right of", 1) not in found.clear | found.unclear


def test_next_to_is_a_matter_of_the_gap():
    near = judge([body(0, 0), body(0.1, 0)], FRONT)
    middle = judge([body(0, 0), body(0.16, 0)], FRONT)
    far = judge([body(0, 0), body(0.4, 0)], FRONT)
    assert (0, "next to", 1) in near.clear
    assert (0, "next to", 1) in middle.unclear
    assert (0, "next to", 1) not in far.clear | far.unclear


@pytest.mark.parametrize("inside, name", [(True, "in"), (False, "on")])
def test_support(inside, name):
    found = judge([body(0, 0, parent=1, inside=inside), body(0, 0)], FRONT)
    assert found.clear == {(0, name, 1)}
    assert not found.unclear


def test_look_at_is_a_rotation_with_y_down():
    T = seen_from(0.5, -1, 0.8)
    assert np.allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3))
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1)
    assert T[2, 1] < 0  # the image's y axis points down in the world
    assert np.allclose(T[:3, 2], -T[:3, 3] / np.linalg.norm(T[:3, 3]))
