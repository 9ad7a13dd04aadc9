"""Poses between messages and matrices: `T_a_b` maps points of b into a, p_a = T_a_b @ p_b."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import Pose
from scipy.spatial.transform import Rotation


def pose_to_matrix(translation: Any, rotation: Any) -> np.ndarray:
    """ROS Point or Vector3 and Quaternion -> (4, 4) float64."""
    T = np.eye(4)
    T[:3, :3] = Rotation.from_quat([rotation.x, rotation.y, rotation.z, rotation.w]).as_matrix()
    T[:3, 3] = translation.x, translation.y, translation.z
    return T


def matrix_to_quaternion(R: np.ndarray) -> tuple[float, float, float, float]:
    """(3, 3) rotation -> (x, y, z, w)."""
    return tuple(float(v) for v in Rotation.from_matrix(R).as_quat())  # type: ignore[return-value]


def matrix_to_pose(T: np.ndarray) -> Pose:
    """(4, 4) -> geometry_msgs/Pose."""
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = (float(v) for v in T[:3, 3])
    x, y, z, w = matrix_to_quaternion(T[:3, :3])
    pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w = x, y, z, w
    return pose
