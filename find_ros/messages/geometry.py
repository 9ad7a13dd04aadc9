"""From camera_info to a matrix, and from masks and depth to points.

The geometry itself is `find_field.geometry`'s, with its conventions: optical camera frames (REP-103:
x right, y down, z forward), metres, matrices `T_a_b` with p_a = T_a_b @ p_b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from find_field.geometry.pinhole import backproject
from find_ros.messages.images import MessageError


@dataclass(frozen=True, eq=False)
class Intrinsics:
    """A camera's matrix and lens.

    Attributes:
        K: (3, 3) float64 pixels.
        distortion: (N,) for plumb_bob and the like, or None when the image is rectified.
        height, width: of the image it belongs to, pixels.
    """

    K: np.ndarray
    distortion: np.ndarray | None
    height: int
    width: int


def intrinsics_from_info(info: Any, *, rectified: bool = True) -> Intrinsics:
    """Read sensor_msgs/CameraInfo.

    Args:
        rectified: the image is rectified (or has no distortion to speak of): use P where it is
            set. False: use K and D of the raw image.

    Raises:
        MessageError: not calibrated, or numbers no camera has.
    """
    P = np.asarray(info.p, np.float64).reshape(3, 4)[:, :3]
    K = np.asarray(info.k, np.float64).reshape(3, 3)
    if rectified and P[0, 0] > 0:
        K = P
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    if not (np.isfinite(K).all() and fx > 0 and fy > 0 and K[2, 2] == 1):
        raise MessageError(
            "bad_camera_info",
            f"camera_info is not calibrated (fx {fx:g}, fy {fy:g}): calibrate the camera first.",
        )
    if not (0 <= cx <= info.width and 0 <= cy <= info.height):
        raise MessageError(
            "bad_camera_info",
            f"camera_info has its principal point ({cx:g}, {cy:g}) outside the image of "
            f"{info.width}x{info.height} pixels: was it made for another resolution?",
        )
    distortion = None if rectified or not any(info.d) else np.asarray(info.d, np.float64)
    return Intrinsics(K, distortion, int(info.height), int(info.width))


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
