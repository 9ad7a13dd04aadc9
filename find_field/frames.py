"""PosedFrame: one image with depth and pose.

Camera frames follow OpenCV (x right, y down, z forward), world frames ROS (REP-103, z up unless
said otherwise). Whole pixel coordinates are pixel centres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from find_core.errors import ImageError
from find_core.images import check_image

# Names that this module held before geometry/pinhole.py are still found here.
from find_field.geometry.pinhole import (  # noqa: F401
    backproject,
    check_intrinsics,
    check_rigid,
    pixel_grid,
    project,
    register_depth,
    transform,
    viewing_cosine,
)

# Nothing a robot's depth camera measures has a median distance outside of this.
PLAUSIBLE_MEDIAN_DEPTH_M = (0.01, 200.0)


@dataclass(frozen=True, eq=False)
class PosedFrame:
    """One posed RGB-D frame.

    Attributes:
        rgb: (H, W, 3) uint8 RGB.
        depth_m: (H, W) float32 z-depth in metres (not distance along the ray), registered to
            `rgb`; 0, NaN and infinity are invalid. None for an image without depth.
        K: (3, 3) float64 pinhole intrinsics of `rgb`, pixels, no distortion.
        T_world_camera: (4, 4) float64, p_world = T_world_camera @ p_camera, metres.
        name: shown in messages.
        stamp_ns: when it was taken, nanoseconds of the recording's clock or ROS's; None when unknown.

    Raises:
        ImageError: the image or the depth has the wrong dtype, shape or unit.
        FieldError: the intrinsics or the pose cannot be what they should be.
    """

    rgb: np.ndarray
    depth_m: np.ndarray | None
    K: np.ndarray
    T_world_camera: np.ndarray
    name: str = "frame"
    stamp_ns: int | None = None

    def __post_init__(self) -> None:
        rgb = check_image(self.rgb, f"Image of {self.name}")
        object.__setattr__(self, "rgb", rgb)
        if self.depth_m is not None:
            object.__setattr__(self, "depth_m", _check_depth(self.depth_m, rgb.shape, self.name))
        object.__setattr__(
            self, "K", check_intrinsics(self.K, self.name, (rgb.shape[0], rgb.shape[1]))
        )
        pose = check_rigid(self.T_world_camera, f"Pose of {self.name}")
        object.__setattr__(self, "T_world_camera", pose)

    @property
    def height(self) -> int:
        return self.rgb.shape[0]

    @property
    def width(self) -> int:
        return self.rgb.shape[1]


def _check_depth(depth: ArrayLike, rgb_shape: tuple[int, ...], name: str) -> np.ndarray:
    depth = np.asarray(depth)
    if depth.shape != tuple(rgb_shape[:2]):
        raise ImageError(
            f"Depth of {name} has shape {depth.shape} but its image is {rgb_shape[0]}x"
            f"{rgb_shape[1]}: register the depth to the image (find_field.register_depth)."
        )
    if not np.issubdtype(depth.dtype, np.floating):
        raise ImageError(
            f"Depth of {name} has dtype {depth.dtype}: give metres as floats, "
            "e.g. depth_mm.astype(np.float32) / 1000."
        )
    depth = depth.astype(np.float32)
    valid = np.isfinite(depth) & (depth > 0)
    low, high = PLAUSIBLE_MEDIAN_DEPTH_M
    if valid.any() and not low <= (median := float(np.median(depth[valid]))) <= high:
        guess = "millimetres? Divide by 1000" if median > high else "kilometres? Check its scale"
        raise ImageError(f"Depth of {name} has a median of {median:g} m: is it in {guess}.")
    return np.where(valid, depth, np.float32(np.nan))
