from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from find_field.geometry.boxes import box_corners, box_iou, inside_box, oriented_box


def box_surface(size, T, n=3000, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-0.5, 0.5, (n, 3))
    face = rng.integers(0, 3, n)
    points[np.arange(n), face] = np.sign(points[np.arange(n), face]) / 2
    return points * size @ T[:3, :3].T + T[:3, 3]


@settings(max_examples=30, deadline=None)
@given(st.floats(-np.pi, np.pi), st.tuples(*[st.floats(-5, 5)] * 3), st.integers(0, 99))
def test_upright_box_is_found_again(yaw, t, seed):
    size = np.sort(np.random.default_rng(seed).uniform(0.05, 0.5, 3))[[2, 1, 0]]
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("z", yaw).as_matrix()
    T[:3, 3] = t
    got, extent = oriented_box(box_surface(size, T))
    assert np.linalg.det(got[:3, :3]) == pytest.approx(1)
    np.testing.assert_allclose(got[:3, 2], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(got[:3, 3], t, atol=0.02 * size.max())
    np.testing.assert_allclose(extent, size, atol=0.06 * size.max())
    assert extent[0] >= extent[1] - 0.02 * size.max()


def test_another_up():
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("x", 1.0).as_matrix()
    got, extent = oriented_box(box_surface((0.3, 0.2, 0.1), T), up_world=T[:3, 2])
    np.testing.assert_allclose(got[:3, 2], T[:3, 2], atol=1e-12)
    np.testing.assert_allclose(extent, (0.3, 0.2, 0.1), atol=0.01)


def test_without_up_the_principal_axes():
    T = np.eye(4)
    T[:3, :3] = Rotation.random(random_state=1).as_matrix()
    got, extent = oriented_box(box_surface((0.6, 0.3, 0.1), T), up_world=None)
    np.testing.assert_allclose(extent, (0.6, 0.3, 0.1), atol=0.05)
    np.testing.assert_allclose(np.abs(np.diag(T[:3, :3].T @ got[:3, :3])), 1, atol=0.02)


def test_strays_do_not_stretch_the_box():
    points = box_surface((0.2, 0.2, 0.2), np.eye(4))
    strays = np.concatenate([points, [[0, 0, 3.0]]])
    assert oriented_box(strays)[1][2] < 0.21


@pytest.mark.parametrize("count", [1, 2])
def test_degenerate_points(count):
    T, extent = oriented_box(np.array([[1.0, 2, 3], [1, 2, 3]])[:count])
    np.testing.assert_allclose(T[:3, 3], [1, 2, 3])
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1) and (extent < 1e-6).all()


def test_corners_and_inside():
    T, extent = np.eye(4), np.array([2.0, 4, 6])
    T[:3, 3] = 1
    corners = box_corners(T, extent)
    assert inside_box(corners, T, extent).all()
    assert not inside_box(corners * 1.01 + 1e-3, T, extent)[corners.min(1) > 0].any()
    np.testing.assert_allclose(corners.max(0), [2, 3, 4])


def test_iou_of_shifted_and_nested_boxes():
    cube = np.eye(4), np.ones(3)
    shifted = np.eye(4)
    shifted[0, 3] = 0.5
    assert box_iou(cube, cube) == pytest.approx(1)
    assert box_iou(cube, (shifted, np.ones(3))) == pytest.approx(1 / 3, abs=0.02)
    assert box_iou(cube, (np.eye(4), np.full(3, 2.0))) == pytest.approx(1 / 8, abs=0.01)
    shifted[0, 3] = 5
    assert box_iou(cube, (shifted, np.ones(3))) == 0
