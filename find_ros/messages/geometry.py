"""From camera_info to a matrix, and from masks and depth to points.

The geometry itself is `find_field.geometry`'s, with its conventions: optical camera frames (REP-103:
x right, y down, z forward), metres, matrices `T_a_b` with p_a = T_a_b @ p_b.
"""

from __future__ import annotations

import numpy as np

from find_field.geometry.pinhole import backproject
from find_ros.messages.camera_info import Intrinsics


def points_of_mask(
    mask: np.ndarray, depth_m: np.ndarray, intrinsics: Intrinsics, max_points: int = 0
) -> np.ndarray:
    """The points that a mask shows, in the camera's optical frame.

    Args:
        mask: (H, W) bool. depth_m: (H, W) float32 z-depth, 0 or NaN invalid.
        max_points: when positive, every n-th pixel only, so that there are no more than this.

    Returns:
        (N, 3) float32 metres.
    """
    rows, cols = np.nonzero(mask & (depth_m > 0))
    if max_points and len(rows) > max_points:
        keep = np.linspace(0, len(rows) - 1, max_points).astype(int)
        rows, cols = rows[keep], cols[keep]
    z = depth_m[rows, cols].astype(np.float64)
    return backproject(z, intrinsics.K, cols, rows, intrinsics.distortion).astype(np.float32)
