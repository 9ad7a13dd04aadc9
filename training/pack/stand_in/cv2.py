"""The few functions of OpenCV that training calls, for a machine that has none.

Only packs put this folder on the path, and only where `import cv2` fails. Results are those of OpenCV
up to rounding and to pixels along an outline, which is enough to draw strokes and to resize views.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

INTER_NEAREST, INTER_LINEAR, INTER_CUBIC, INTER_AREA, INTER_NEAREST_EXACT = 0, 1, 2, 3, 6
DIST_L2, IMREAD_COLOR, IMREAD_UNCHANGED, IMWRITE_JPEG_QUALITY = 2, 1, -1, 1
_MODES: dict[int, dict[str, Any]] = {
    INTER_NEAREST: {"mode": "nearest"},
    INTER_NEAREST_EXACT: {"mode": "nearest-exact"},
    INTER_LINEAR: {"mode": "bilinear"},
    INTER_CUBIC: {"mode": "bicubic"},
    INTER_AREA: {"mode": "bilinear", "antialias": True},
}


class error(Exception):  # noqa: N801, N818  the name is OpenCV's
    """What OpenCV raises."""


def resize(
    image: np.ndarray, size: tuple[int, int], interpolation: int = INTER_LINEAR
) -> np.ndarray:
    """(H, W[, C]) to (width, height) `size`."""
    planes = image[..., None] if image.ndim == 2 else image
    maps = torch.from_numpy(np.ascontiguousarray(planes)).permute(2, 0, 1)[None].float()
    width, height = size
    rows, columns = image.shape[0] / height, image.shape[1] / width
    if interpolation == INTER_AREA and rows == columns and rows == int(rows) and rows >= 1:
        out = F.avg_pool2d(maps, int(rows))
    else:
        out = F.interpolate(maps, (height, width), **_MODES[interpolation])
    found = out[0].permute(1, 2, 0).numpy()
    if np.issubdtype(image.dtype, np.integer):
        info = np.iinfo(image.dtype)
        found = np.round(found).clip(info.min, info.max)
    found = found.astype(image.dtype)
    return found[..., 0] if image.ndim == 2 else found


def GaussianBlur(image: np.ndarray, size: tuple[int, int], sigma: float) -> np.ndarray:
    """Blur by a standard deviation in pixels; the size is (0, 0)."""
    spread = (sigma, sigma) if image.ndim == 2 else (sigma, sigma, 0)
    return ndimage.gaussian_filter(image, spread, mode="mirror").astype(image.dtype)


def distanceTransform(mask: np.ndarray, kind: int, size: int) -> np.ndarray:
    """Exact distance of every pixel to the nearest zero."""
    return ndimage.distance_transform_edt(mask).astype(np.float32)


def boundingRect(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, width, height of what is not zero; zeros where nothing is."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return 0, 0, 0, 0
    x, y = int(columns.min()), int(rows.min())
    return x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1


def convexHull(points: np.ndarray) -> np.ndarray:
    """(N, 2) points -> (K, 1, 2) corners of their hull (Andrew's monotone chain)."""
    ordered = sorted({(int(x), int(y)) for x, y in points.reshape(-1, 2)})
    if len(ordered) < 3:
        return np.array(ordered, np.int32)[:, None]

    def half(line: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        hull: list[tuple[int, int]] = []
        for x, y in line:
            while len(hull) > 1:
                (ax, ay), (bx, by) = hull[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                hull.pop()
            hull.append((x, y))
        return hull[:-1]

    return np.array(half(ordered) + half(ordered[::-1]), np.int32)[:, None]


def fillPoly(canvas: np.ndarray, polygons: Sequence[np.ndarray], color: Sequence[int]) -> None:
    """Fill polygons of (N, 2) corners, their outlines included."""
    rows, columns = np.mgrid[: canvas.shape[0], : canvas.shape[1]]
    for polygon in polygons:
        corners = polygon.reshape(-1, 2).astype(float)
        inside = np.zeros(canvas.shape[:2], bool)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, 0), strict=True):
            crosses = (ay > rows) != (by > rows)
            if ay != by:
                inside ^= crosses & (columns < (bx - ax) * (rows - ay) / (by - ay) + ax)
        canvas[inside] = color[0]
        polylines(canvas, [polygon], True, color, 1)


def polylines(
    canvas: np.ndarray,
    lines: Sequence[np.ndarray],
    closed: bool,
    color: Sequence[int],
    thickness: int = 1,
) -> None:
    """Draw lines: all pixels within half the thickness of one."""
    rows, columns = np.mgrid[: canvas.shape[0], : canvas.shape[1]].astype(float)
    for line in lines:
        points = line.reshape(-1, 2).astype(float)
        ends = np.roll(points, -1, 0) if closed else np.concatenate([points[1:], points[-1:]])
        for (ax, ay), (bx, by) in zip(points, ends, strict=True):
            dx, dy = bx - ax, by - ay
            along = ((columns - ax) * dx + (rows - ay) * dy) / max(dx * dx + dy * dy, 1e-9)
            along = along.clip(0, 1)
            distance = np.hypot(columns - ax - along * dx, rows - ay - along * dy)
            canvas[distance <= thickness // 2 + 0.5] = color[0]


def imencode(kind: str, image: np.ndarray, options: Sequence[int] = ()) -> tuple[bool, np.ndarray]:
    """JPEG's losses, in bytes that only `imdecode` of this module reads."""
    from training.pack.codec import encode_image  # late: packages import this module first

    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="edge")
    data = encode_image(padded, options[1] if len(options) > 1 else 95)
    return True, np.frombuffer(struct.pack("<HH", height, width) + data, np.uint8)


def imdecode(data: np.ndarray, flags: int) -> np.ndarray:
    """The image of `imencode`."""
    from training.pack.codec import decode_image

    raw = data.tobytes()
    height, width = struct.unpack_from("<HH", raw)
    return decode_image(raw[4:])[:height, :width]
