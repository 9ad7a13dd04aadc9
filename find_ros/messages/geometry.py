"""From masks and depth to points and boxes.

Camera frames are optical (REP-103: x right, y down, z forward); lengths are metres; matrices named
`T_a_b` map points of b into a: p_a = T_a_b @ p_b.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from find_ros.messages.camera_info import Intrinsics

# Share of an object's points that may lie outside its box on each side: depth at silhouettes
# belongs half to the background.
TRIM = 0.02


@dataclass(frozen=True, eq=False)
class Box3D:
    """Attributes: center_m (3,), extent_m (3,) full lengths, along the axes of the frame the
    points were given in; position_m (3,): median of the points."""

    center_m: np.ndarray
    extent_m: np.ndarray
    position_m: np.ndarray


def backproject(
    mask: np.ndarray, depth_m: np.ndarray, intrinsics: Intrinsics, max_points: int = 0
) -> np.ndarray:
    """Points of a mask in the camera's optical frame.

    Args:
        mask: (H, W) bool. depth_m: (H, W) float32 z-depth, 0 invalid.
        max_points: when positive, every n-th pixel only, so that there are no more than this.

    Returns:
        (N, 3) float32 metres.
    """
    rows, cols = np.nonzero(mask & (depth_m > 0))
    if max_points and len(rows) > max_points:
        keep = np.linspace(0, len(rows) - 1, max_points).astype(int)
        rows, cols = rows[keep], cols[keep]
    z = depth_m[rows, cols].astype(np.float64)
    K = intrinsics.K
    if intrinsics.distortion is None:
        x, y = (cols - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1]
    elif not len(rows):
        x = y = z
    else:
        pixels = np.stack([cols, rows], axis=1).astype(np.float64)[:, None]
        x, y = cv2.undistortPoints(pixels, K, intrinsics.distortion)[:, 0].T
    return np.stack([x * z, y * z, z], axis=1).astype(np.float32)


def transform_points(T_a_b: np.ndarray, points_b_m: np.ndarray) -> np.ndarray:
    """(N, 3) float32 points of frame b, in frame a."""
    return (points_b_m @ T_a_b[:3, :3].T + T_a_b[:3, 3]).astype(np.float32)


def box_of_points(points_m: np.ndarray) -> Box3D:
    """Box along the frame's axes around (N >= 1, 3) points, the outermost `TRIM` on each side off."""
    low, middle, high = np.quantile(points_m.astype(np.float64), [TRIM, 0.5, 1 - TRIM], axis=0)
    return Box3D((low + high) / 2, high - low, middle)
