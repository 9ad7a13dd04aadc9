"""Poses there and back, between two of them, and poses that are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

pytest.importorskip("sensor_msgs", reason="ROS messages are not installed (pip install .[ros])")

from geometry_msgs.msg import Quaternion, Vector3

from find_field.geometry.pinhole import transform
from find_ros.messages import poses
from find_ros.messages.errors import PoseError


@given(seed=st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_poses_there_and_back(seed):
    rng = np.random.default_rng(seed)
    R = Rotation.random(random_state=seed).as_matrix()
    x, y, z, w = poses.matrix_to_quaternion(R)
    t = rng.normal(size=3)
    T = poses.pose_to_matrix(Vector3(x=t[0], y=t[1], z=t[2]), Quaternion(x=x, y=y, z=z, w=w))
    points = rng.normal(size=(5, 3)).astype(np.float32)
    want = [R @ p + t for p in points.astype(float)]
    np.testing.assert_allclose(transform(T, points), want, atol=1e-5)


def test_a_quaternion_is_normalised():
    T = poses.pose_to_matrix(Vector3(), Quaternion(x=0.0, y=0.0, z=2.0, w=2.0))
    np.testing.assert_allclose(T[:2, :2], [[0, -1], [1, 0]], atol=1e-12)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf"), 1e-300, 1e300])
def test_exception_of_a_rotation_that_is_none(value):
    with pytest.raises(PoseError, match="not finite or has no rotation") as caught:
        poses.pose_to_matrix(Vector3(), Quaternion(x=value, y=0.0, z=0.0, w=0.0))
    assert caught.value.cause == "no_transform"


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e30])
def test_exception_of_a_place_that_is_none(value):
    with pytest.raises(PoseError):
        poses.pose_to_matrix(Vector3(z=value), Quaternion(w=1.0))
