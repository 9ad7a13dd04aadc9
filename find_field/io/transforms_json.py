"""nerfstudio's transforms.json, as its users have it: OpenGL cameras, pixel centres at + 0.5.

Read beyond the format's own page: paths with backslashes or without an ending (Blender's), a
`camera_angle_x` in place of focal lengths, a byte order mark.
"""

from __future__ import annotations

import math
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from find_core.errors import FieldError, ImageError
from find_core.images import MAX_SIDE_PX, measure_image, read_bytes
from find_core.support.printable import quoted, shown
from find_field.geometry.pinhole import OPENCV_FROM_OPENGL

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE")
DISTORTION = ("k1", "k2", "p1", "p2", "k3")
MAX_COEFFICIENT = 1e4


def frame_entries(meta: dict[str, Any]) -> list[dict[str, Any]]:
    """The frames by name.

    Raises:
        FieldError: another camera model, or frames that are no list of objects with a file_path.
    """
    check_model(meta)
    frames = meta.get("frames", [])
    if not isinstance(frames, list) or not all(
        isinstance(f, dict) and isinstance(f.get("file_path"), str) for f in frames
    ):
        raise FieldError('"frames" in transforms.json is no list of objects with a "file_path".')
    return sorted(frames, key=lambda f: f["file_path"])


def file_of(folder: Path, name: str) -> Path:
    """The file of a frame's `file_path`.

    Raises:
        ImageError: it is not there.
    """
    path = path_of(folder, name)
    tries = [path, *(path.with_name(path.name + ending) for ending in ENDINGS)]
    found = next((p for p in tries if p.is_file()), None)
    if found is None:
        raise ImageError(f"no file {shown(path.name, 200)}.")
    return found


def path_of(folder: Path, name: str) -> Path:
    """The path that a name below `folder` means, on Windows too."""
    return folder.joinpath(*PureWindowsPath(name).parts) if "\\" in name else folder / name


def intrinsics(entry: dict[str, Any], image: Path) -> tuple[np.ndarray, tuple[int, int]]:
    """(3, 3) K with pixel centres at whole numbers, and the (H, W) that it belongs to.

    Raises:
        FieldError: no focal length, or numbers that are none. ImageError: no such image.
    """
    height, width = entry.get("h"), entry.get("w")
    if height is None or width is None:
        header = measure_image(read_bytes(image), shown(image.name))
        height, width = header.height, header.width
    height, width = _number(height, "h"), _number(width, "w")
    if not (1 <= height <= MAX_SIDE_PX and 1 <= width <= MAX_SIDE_PX):
        raise FieldError(f"w, h are {width:g}x{height:g}: no image has that size")
    fx = entry.get("fl_x")
    if fx is None:
        angle = entry.get("camera_angle_x")
        if angle is None:
            raise FieldError("there is no fl_x and no camera_angle_x")
        angle = _number(angle, "camera_angle_x")
        if not 0 < angle < math.pi:
            raise FieldError(f"camera_angle_x is {angle:g}: it is an angle in radians")
        fx = width / 2 / math.tan(angle / 2)
    fx = _number(fx, "fl_x")
    fy = _number(entry.get("fl_y", fx), "fl_y")
    cx = _number(entry.get("cx", width / 2), "cx")
    cy = _number(entry.get("cy", height / 2), "cy")
    K = np.array([[fx, 0, cx - 0.5], [0, fy, cy - 0.5], [0, 0, 1]])
    return K, (int(height), int(width))


def distortion(entry: dict[str, Any]) -> np.ndarray:
    """(k1, k2, p1, p2, k3), OpenCV's order.

    Raises:
        FieldError: another camera model, or coefficients of no lens.
    """
    check_model(entry)
    if _number(entry.get("k4", 0.0), "k4"):
        raise FieldError("a k4 beside k1, k2, k3 is no model of OpenCV's: undistort first")
    values = np.array([_number(entry.get(name, 0.0), name) for name in DISTORTION])
    if np.abs(values).max() > MAX_COEFFICIENT:
        raise FieldError(f"distortion coefficients up to {np.abs(values).max():g} are of no lens")
    return values


def check_model(entry: dict[str, Any]) -> None:
    """Only OpenCV's model without further terms is read; a frame may name its own.

    Raises:
        FieldError: another one.
    """
    model = entry.get("camera_model", "OPENCV")
    if model not in MODELS or entry.get("is_fisheye"):
        name = "fisheye" if model in MODELS else model
        raise FieldError(f"Cameras of model {quoted(name)} are not read: undistort first.")


def pose(entry: dict[str, Any]) -> np.ndarray:
    """(4, 4) T_world_camera of an OpenCV camera."""
    matrix = np.array(entry["transform_matrix"], float)
    if matrix.shape == (3, 4):
        matrix = np.concatenate([matrix, [[0, 0, 0, 1.0]]])
    if matrix.shape != (4, 4):
        raise FieldError(f"transform_matrix has shape {matrix.shape}, not (4, 4)")
    return matrix @ OPENCV_FROM_OPENGL


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FieldError(f"{name} is {quoted(value)}, not a number")
    return float(value)
