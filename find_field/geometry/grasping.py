"""A gripper that comes from above: where it goes, and how far it must open for what was seen.

A gripper's frame: z is the direction it approaches along, x the one its fingers close along, and the
origin lies between the fingertips.

Dimension letters: N points.
"""

from __future__ import annotations

import numpy as np

from find_field.geometry.pinhole import transform

FINGER_WIDTH_M = 0.02
"""Of a finger, along the gripper's y."""
PAD_LENGTH_M = 0.02
"""Of the part of a finger that holds, from the tip back."""
_FEW = 3
_STRAYS = 0.02


def top_down_pose(T_world_object: np.ndarray, extent_m: np.ndarray, depth_m: float) -> np.ndarray:
    """(4, 4) T_world_gripper that grasps an upright box from above, across its narrower side.

    Args:
        T_world_object: (4, 4) pose of the box, z up. extent_m: (3,) its full lengths.
        depth_m: how far below its top the fingertips go (at most to the middle).
    """
    length, width, height = (float(v) for v in extent_m)
    up = T_world_object[:3, 2]
    closing = T_world_object[:3, 1] if width <= length else T_world_object[:3, 0]
    pose = np.eye(4)
    pose[:3, :3] = np.stack([closing, np.cross(-up, closing), -up], axis=1)
    pose[:3, 3] = T_world_object[:3, 3] + up * (height / 2 - min(depth_m, height / 2))
    return pose


def opening(points_world_m: np.ndarray, T_world_gripper: np.ndarray) -> tuple[float, float] | None:
    """Where the surface between the fingers begins and ends along the closing direction.

    Args:
        points_world_m: (N, 3) of the thing's surface that was seen.

    Returns:
        The two ends, metres from the gripper's origin along its x: the width is their difference, and
        the gripper is best moved to their middle. None where too little was seen there.
    """
    local = transform(np.linalg.inv(T_world_gripper), np.asarray(points_world_m, np.float64))
    x, y, z = local.T
    between = x[(np.abs(y) <= FINGER_WIDTH_M / 2) & (z <= 0) & (z >= -PAD_LENGTH_M)]
    if len(between) < _FEW:
        return None
    low, high = np.quantile(between, [_STRAYS, 1 - _STRAYS])
    return float(low), float(high)


def seen_shares(points_local_m: np.ndarray, extent_m: np.ndarray, cell_m: float) -> np.ndarray:
    """(5,) in [0, 1]: how much was seen of a thing from +x, -x, +y, -y and +z of its box.

    Looked at from one side a thing has an outline; that share of it counts as seen where a point lies in
    the nearer half of the box. What nobody saw from anywhere is no part of the outline.

    Args:
        points_local_m: (N, 3) in the box's frame, its centre at 0. extent_m: (3,) full lengths.
        cell_m: side of the cells that are counted.
    """
    cells = np.floor((points_local_m + np.asarray(extent_m) / 2) / cell_m).astype(np.int64)
    shares = []
    for axis, sign in ((0, 1), (0, -1), (1, 1), (1, -1), (2, 1)):
        outline = np.delete(cells, axis, axis=1)
        near = sign * points_local_m[:, axis] >= 0
        shares.append(_distinct(outline[near]) / max(_distinct(outline), 1))
    return np.array(shares)


def _distinct(cells: np.ndarray) -> int:
    return len(np.unique(cells, axis=0))
