"""The files of one posed frame, and how they become a `PosedFrame`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from find_core.errors import FieldError, ImageError
from find_core.images import read_depth_image, read_image
from find_core.support.printable import shown
from find_field.frames import PosedFrame
from find_field.geometry.pinhole import register_depth


@dataclass(frozen=True, eq=False)
class FrameFiles:
    """Where one frame's parts are, before any image is read.

    Attributes:
        depth_scale: metres per unit of the depth image.
        distortion: (k1, k2, p1, p2[, k3...]) of the colour image, OpenCV's order, or None.
        size: (H, W) that K belongs to, where the folder says.
        depth_unit_is_given: the folder says what `depth_scale` is; floats need that.
        register: (K_depth, T_rgb_depth) when the depth camera is another one than the colour's.
    """

    name: str
    rgb: Path
    depth: Path | None
    K: np.ndarray
    T_world_camera: np.ndarray
    depth_scale: float = 0.001
    distortion: np.ndarray | None = None
    register: tuple[np.ndarray, np.ndarray] | None = None
    size: tuple[int, int] | None = None
    depth_unit_is_given: bool = False

    def intrinsics(self, size: tuple[int, int]) -> np.ndarray:
        """(3, 3) K of the image as it is stored, whose size is (H, W).

        Raises:
            FieldError: K belongs to an image of another shape.
        """
        if self.size is None:
            return self.K
        return scaled_intrinsics(self.K, self.size, size, self.name)

    def read(self) -> PosedFrame:
        """Decode, register and undistort.

        Raises:
            ImageError, FieldError: a part is missing or cannot be what it should.
        """
        rgb = read_image(self.rgb, upright=False)  # intrinsics and depth are of stored pixels
        K = self.intrinsics((rgb.shape[0], rgb.shape[1]))
        depth_m = None
        if self.depth is not None:
            depth_m = read_depth(self.depth, self.depth_scale, self.depth_unit_is_given)
        if depth_m is not None and self.register is not None:
            K_depth, T_rgb_depth = self.register
            depth_m = register_depth(depth_m, K_depth, K, T_rgb_depth, (rgb.shape[0], rgb.shape[1]))
        if self.distortion is not None and np.any(self.distortion):
            if depth_m is not None and depth_m.shape != rgb.shape[:2]:
                raise ImageError(f"{self.name}: depth is {_by(depth_m)}, the image {_by(rgb)}.")
            rgb, depth_m = _undistorted(rgb, depth_m, K, self.distortion)
        return PosedFrame(rgb, depth_m, K, self.T_world_camera, self.name)


def read_depth(path: Path, scale: float, unit_is_given: bool = True) -> np.ndarray:
    """(H, W) float32 metres of a 16-bit PNG (or .npy); 0 and 65535 are NaN.

    Args:
        scale: metres per unit. unit_is_given: False where `scale` is the default of a thousandth,
            which is known for 16 bits and a guess for floats.

    Raises:
        ImageError: no depth image, or floats of an unknown unit.
    """
    raw = read_depth_image(path)
    if raw.dtype.kind == "f" and not unit_is_given:
        raise ImageError(
            f"{path.name} holds floats of an unknown unit: say depth_unit_scale_factor (meta.json: "
            "depth_unit_m), 1 for metres."
        )
    invalid = (raw == 0) | (raw == 65535) if raw.dtype == np.uint16 else ~(raw > 0)
    return np.where(invalid, np.nan, raw * scale).astype(np.float32)


def scaled_intrinsics(
    K: np.ndarray, size: tuple[int, int], here: tuple[int, int], name: str
) -> np.ndarray:
    """K, given for an image of `size` (H, W), for one of the size `here`; the names are for errors.

    Raises:
        FieldError: the two have different shapes, so that no scale fits.
    """
    if tuple(here) == tuple(size):
        return K
    scale_y, scale_x = here[0] / size[0], here[1] / size[1]
    # Half a pixel of rounding on the shorter side; more is another crop or orientation.
    if abs(scale_x - scale_y) > 0.6 * max(scale_x, scale_y) / min(*size, *here):
        raise FieldError(
            f"{shown(name)} is {here[1]}x{here[0]} but its intrinsics are of {size[1]}x{size[0]}."
        )
    scaled = K.copy()
    scaled[0] = K[0] * scale_x
    scaled[1] = K[1] * scale_y
    # Pixel centres lie at whole numbers: the edges, half a pixel off, are what scales.
    scaled[0, 2] = (K[0, 2] + 0.5) * scale_x - 0.5
    scaled[1, 2] = (K[1, 2] + 0.5) * scale_y - 0.5
    return scaled


def _by(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def _undistorted(rgb: np.ndarray, depth_m: np.ndarray | None, K: np.ndarray,
                 distortion: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
    size = rgb.shape[1], rgb.shape[0]
    straight = np.eye(3)
    maps = cv2.initUndistortRectifyMap(K, distortion, straight, K, size, cv2.CV_32FC1)
    if depth_m is not None:  # nearest: a mean of two surfaces is a third one
        depth_m = cv2.remap(depth_m, maps[0], maps[1], cv2.INTER_NEAREST, borderValue=(np.nan,))
    return cv2.remap(rgb, maps[0], maps[1], cv2.INTER_LINEAR), depth_m
