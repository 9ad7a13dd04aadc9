from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from find_field.geometry.pinhole import (
    backproject,
    check_rigid,
    project,
    register_depth,
    transform,
    viewing_cosine,
)

K = np.array([[100.0, 0, 40], [0, 110, 30], [0, 0, 1]])


def pose(rotvec=(0.1, 0.2, 0.3), t=(1, 2, 3)):
    T = np.eye(4)
    T[:3, :3] = Rotation.from_rotvec(rotvec).as_matrix()
    T[:3, 3] = t
    return T


def test_rigid_snaps_rounded_rotations():
    rounded = np.round(pose(), 3)
    R = check_rigid(rounded)[:3, :3]
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)


unit = st.floats(-0.9, 0.9)


@settings(max_examples=50, deadline=None)
@given(st.tuples(unit, unit, unit), st.tuples(unit, unit, unit), st.integers(0, 1000))
def test_projection_inverts_backprojection(rotvec, t, seed):
    rng = np.random.default_rng(seed)
    u, v, z = rng.uniform(0, 80, 9), rng.uniform(0, 60, 9), rng.uniform(0.1, 9, 9)
    T = pose(rotvec, t)
    world = transform(T, backproject(z, K, u, v))
    uv, depth = project(transform(np.linalg.inv(T), world), K)
    np.testing.assert_allclose(uv, np.stack([u, v], 1), atol=1e-6)
    np.testing.assert_allclose(depth, z, atol=1e-9)


def test_backprojection_undoes_the_lens():
    """Points through OpenCV's own lens model and back."""
    distortion = np.array([0.2, -0.1, 0.01, -0.005, 0.0])
    points = np.array([[0.1, -0.05, 1.0], [-0.2, 0.1, 1.2], [0.0, 0.15, 0.8]])
    u, v = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, distortion)[0][:, 0].T
    z = points[:, 2]
    np.testing.assert_allclose(backproject(z, K, u, v, distortion), points, atol=1e-4)
    assert np.abs(backproject(z, K, u, v) - points).max() > 1e-3
    assert backproject(z[:0], K, u[:0], v[:0], distortion).shape == (0, 3)


def test_projection_behind_the_camera_is_nan():
    uv, _ = project(np.array([[0.1, 0.1, -1.0]]), K)
    assert np.isnan(uv).all()


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("normal", [(0, 0, -1), (0.5, 0.2, -1), (0, -1, -0.5)])
def test_viewing_cosine_of_a_plane(normal, stride):
    """The plane n . p = n . (0, 0, 2), its cosine worked out ray by ray."""
    n = np.asarray(normal) / np.linalg.norm(normal)
    v, u = np.indices((60, 80), float)
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)], -1)
    depth = n[2] * 2 / (rays @ n)
    want = np.abs(rays @ n) / np.linalg.norm(rays, axis=-1)
    start = stride // 2
    got = viewing_cosine(depth[start::stride, start::stride], K, stride)
    inner = got[2:-2, 2:-2]
    np.testing.assert_allclose(inner, want[start::stride, start::stride][2:-2, 2:-2], atol=0.02)


def test_viewing_cosine_drops_jumps():
    depth = np.full((20, 20), 1.0)
    depth[:, 10:] = 1.5
    cosine = viewing_cosine(depth, K)
    assert cosine[:, 9:11].max() < 0.15 < cosine[:, [0, 1, -2, -1]].min()


def test_register_depth_of_the_same_camera_changes_nothing():
    depth = np.random.default_rng(0).uniform(1, 2, (60, 80)).astype(np.float32)
    depth[3, 4] = np.nan
    out = register_depth(depth, K, K, np.eye(4), (60, 80))
    np.testing.assert_allclose(out, depth, rtol=1e-6)


def test_register_depth_puts_the_nearest_surface_on_top_where_it_projects():
    depth = np.full((60, 80), np.nan, np.float32)
    depth[30, 40], depth[30, 41] = 1.0, 2.0
    shifted = np.eye(4)
    shifted[0, 3] = 0.1  # 10 px at 1 m, 5 px at 2 m
    out = register_depth(depth, K, K, shifted, (60, 80))
    assert np.argwhere(np.isfinite(out)).tolist() == [[30, 46], [30, 50]]
    assert out[30, 50] == pytest.approx(1.0) and out[30, 46] == pytest.approx(2.0)
