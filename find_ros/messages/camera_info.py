"""sensor_msgs/CameraInfo, checked where it comes in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from find_ros.messages.errors import MessageError

# Below lies a matrix in shares of the image instead of pixels, or nonsense; above, no lens.
MIN_FOCAL_PX, MAX_FOCAL_PX = 2.0, 1e5
# Between the two axes; pixels are nearly square.
MAX_ASPECT = 10.0
# What OpenCV's own model covers, by ROS name, and the numbers of coefficients that it has.
DISTORTION_MODELS, COEFFICIENTS = ("", "plumb_bob", "rational_polynomial"), (0, 4, 5, 8, 12, 14)
MAX_COEFFICIENT = 1e4


@dataclass(frozen=True, eq=False)
class Intrinsics:
    """A pinhole camera.

    Attributes:
        K: (3, 3) float64 pixels.
        distortion: (N,) OpenCV's coefficients, or None when the image is rectified.
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
        MessageError: "bad_camera_info": not calibrated, or numbers no camera has.
    """
    P = np.asarray(info.p, np.float64).reshape(3, 4)[:, :3]
    K = np.asarray(info.k, np.float64).reshape(3, 3)
    if rectified and P[0, 0] > 0:
        K = P
    _check_matrix(K, info.width, info.height)
    distortion = None if rectified or not any(info.d) else _distortion(info)
    return Intrinsics(K, distortion, int(info.height), int(info.width))


def raw_matrix(info: Any) -> np.ndarray:
    """(3, 3) float64 K of sensor_msgs/CameraInfo, pixels of its width and height.

    Raises:
        MessageError: "bad_camera_info": not calibrated, or numbers no camera has.
    """
    K = np.asarray(info.k, np.float64).reshape(3, 3)
    _check_matrix(K, info.width, info.height)
    return K


def _check_matrix(K: np.ndarray, width: int, height: int) -> None:
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    if not (np.isfinite(K).all() and fx > 0 and fy > 0 and K[2, 2] == 1):
        raise _bad(f"is not calibrated (fx {fx:g}, fy {fy:g}): calibrate the camera first.")
    plausible = all(MIN_FOCAL_PX <= f <= MAX_FOCAL_PX for f in (fx, fy))
    if not plausible or not 1 / MAX_ASPECT <= fx / fy <= MAX_ASPECT:
        raise _bad(f"has focal lengths of no camera (fx {fx:g}, fy {fy:g}): give them in pixels.")
    if K[1, 0] or K[2, 0] or K[2, 1] or abs(K[0, 1]) > max(fx, fy):
        raise _bad("has a matrix that is no pinhole: give [fx, 0, cx, 0, fy, cy, 0, 0, 1].")
    if not (0 <= cx <= width and 0 <= cy <= height):
        raise _bad(
            f"has its principal point ({cx:g}, {cy:g}) outside the image of {width}x{height} "
            "pixels: was it made for another resolution?"
        )


def _distortion(info: Any) -> np.ndarray:
    """(N,) float64 coefficients of a raw image."""
    d = np.asarray(info.d, np.float64)
    if info.distortion_model not in DISTORTION_MODELS:
        raise _bad(
            f"has the distortion model {info.distortion_model!r:.60}, which is not read: rectify "
            "the image (image_proc) and set rectified to true."
        )
    if len(d) not in COEFFICIENTS or not (np.abs(d) <= MAX_COEFFICIENT).all():
        raise _bad(f"has {len(d)} distortion coefficients of no lens: calibrate the camera first.")
    return d


def _bad(what: str) -> MessageError:
    return MessageError("bad_camera_info", f"camera_info {what}")
