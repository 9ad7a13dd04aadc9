"""Poses between messages and matrices: `T_a_b` maps points of b into a, p_a = T_a_b @ p_b."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np
from geometry_msgs.msg import Pose
from scipy.spatial.transform import Rotation, Slerp

from find_ros.messages.errors import PoseError

# Quaternions are normalised within these; beyond is rounding, or nothing was written at all.
MIN_NORM, MAX_NORM = 1e-3, 1e3
MAX_POSITION_M = 1e9
# Between two poses further apart than this nothing is interpolated.
MAX_GAP_NS = 200_000_000


def pose_to_matrix(translation: Any, rotation: Any) -> np.ndarray:
    """ROS Point or Vector3 and Quaternion -> (4, 4) float64.

    Raises:
        PoseError: "no_transform": not finite, or a quaternion of no rotation. Trackers that have
            lost their way send such.
    """
    quaternion = np.array([rotation.x, rotation.y, rotation.z, rotation.w], np.float64)
    position_m = np.array([translation.x, translation.y, translation.z], np.float64)
    finite = np.isfinite(quaternion).all() and np.isfinite(position_m).all()
    norm = np.linalg.norm(quaternion) if finite else 0.0
    if not MIN_NORM <= norm <= MAX_NORM or np.abs(position_m).max() > MAX_POSITION_M:
        raise PoseError("no_transform", "A pose is not finite or has no rotation: left out.")
    T = np.eye(4)
    T[:3, :3] = Rotation.from_quat(quaternion / norm).as_matrix()
    T[:3, 3] = position_m
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


def interpolate(poses: list[tuple[int, np.ndarray]], stamp_ns: int) -> np.ndarray:
    """(4, 4) pose at `stamp_ns` between the neighbours of a list sorted by time.

    Raises:
        PoseError: outside the list, or in a gap longer than `MAX_GAP_NS`.
    """
    after = bisect_left(poses, stamp_ns, key=lambda pose: pose[0])
    if after < len(poses) and poses[after][0] == stamp_ns:
        return poses[after][1]
    if after in (0, len(poses)):
        nearest = poses[0 if after == 0 else -1][0]
        away_s = (stamp_ns - nearest) * 1e-9
        raise PoseError(
            "no_transform", f"The image is {away_s:+.3f} s from the nearest pose known."
        )
    (start_ns, A), (end_ns, B) = poses[after - 1], poses[after]
    if end_ns - start_ns > MAX_GAP_NS:
        raise PoseError("no_transform", "The image falls into a gap of the camera's poses.")
    share = (stamp_ns - start_ns) / (end_ns - start_ns)
    T = np.eye(4)
    T[:3, 3] = (1 - share) * A[:3, 3] + share * B[:3, 3]
    T[:3, :3] = Slerp([0, 1], Rotation.from_matrix([A[:3, :3], B[:3, :3]]))(share).as_matrix()
    return T
