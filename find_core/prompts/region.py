"""Regions of an image: what a finger, a mouse or a detector can point with.

A `Region` is resolution-free until `to_mask` rasterises it. Integer pixel coordinates are pixel
centres; boxes are pixel edges (x1, y1, x2, y2) with x2/y2 exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from find_core.errors import PromptError
from find_core.support.printable import quoted

RegionKind = Literal["mask", "box", "point", "polygon", "circle", "scribble"]
KINDS: tuple[RegionKind, ...] = ("mask", "box", "point", "polygon", "circle", "scribble")

# A click covers 3x3 pixels, as in the interactive protocol of the paper (docs/spec.md 3.5).
POINT_RADIUS_PX = 1
MAX_POINTS = 10_000
"""Of a polygon or scribble."""
MAX_STROKE_WIDTH_PX = 32767.0  # what OpenCV draws
MAX_STROKE_PX = 100_000
"""Points times width of a scribble, which bounds the time it takes to draw."""


@dataclass(frozen=True, eq=False)
class Region:
    """One region of an image, positive ("this") or negative ("not this").

    Attributes:
        kind: one of `KINDS`.
        data: float array in pixels, by kind: point (2,) x, y; box (4,) x1, y1, x2, y2; circle (3,)
            x, y, radius; polygon (N>=3, 2); scribble (N>=1, 2); mask (H, W) bool.
        positive: False for a negative click (interactive segmentation only).
        width_px: stroke width of a scribble.
    """

    kind: RegionKind
    data: np.ndarray
    positive: bool = True
    width_px: float = 5.0

    @staticmethod
    def point(x: float, y: float, positive: bool = True) -> Region:
        """A click: the pixel whose centre is nearest to (x, y), and its neighbours.

        Args:
            x, y: pixels, integers are pixel centres.
            positive: False means "not this" (interactive segmentation only).

        Raises:
            PromptError: not finite numbers.
        """
        return Region("point", _floats("point", (x, y), (2,)), positive)

    @staticmethod
    def box(x1: float, y1: float, x2: float, y2: float, positive: bool = True) -> Region:
        """A rectangle.

        Args:
            x1, y1, x2, y2: pixel edges; x2 and y2 are exclusive.
            positive: False means "not this" (interactive segmentation only).

        Raises:
            PromptError: not finite numbers, or nothing inside.
        """
        data = _floats("box", (x1, y1, x2, y2), (4,))
        if not (data[2] > data[0] and data[3] > data[1]):
            raise PromptError(
                f"Box {tuple(data.tolist())} is empty: give (x1, y1, x2, y2) with x2 > x1 and y2 > y1."
            )
        if data.min() >= 0 and data.max() <= 1 and (data[2:] - data[:2]).min() < 1:
            raise PromptError(
                f"Box {tuple(data.tolist())} is below one pixel: are these shares of the image? Give "
                "pixels."
            )
        return Region("box", data, positive)

    @staticmethod
    def circle(x: float, y: float, radius: float, positive: bool = True) -> Region:
        """A disc: pixels whose centre is at most `radius` from (x, y).

        Args:
            x, y, radius: pixels, integers are pixel centres.
            positive: False means "not this" (interactive segmentation only).

        Raises:
            PromptError: not finite numbers, or a radius that is not above 0.
        """
        data = _floats("circle", (x, y, radius), (3,))
        if data[2] <= 0:
            raise PromptError(
                f"Circle radius {radius} is not positive: give a radius in pixels > 0."
            )
        return Region("circle", data, positive)

    @staticmethod
    def polygon(points_xy: Any, positive: bool = True) -> Region:
        """A filled polygon, its outline included.

        Args:
            points_xy: (N>=3, 2) corners x, y in pixels, integers are pixel centres.
            positive: False means "not this" (interactive segmentation only).

        Raises:
            PromptError: not finite numbers, or fewer than three corners.
        """
        data = _floats("polygon", points_xy, (-1, 2))
        if len(data) < 3:
            raise PromptError(
                f"Polygon has {len(data)} points: give at least three (x, y) corners."
            )
        return Region("polygon", data, positive)

    @staticmethod
    def scribble(points_xy: Any, width_px: float = 5.0, positive: bool = True) -> Region:
        """A stroke along a line of points.

        Args:
            points_xy: (N>=1, 2) points x, y in pixels, integers are pixel centres.
            width_px: of the stroke.
            positive: False means "not this" (interactive segmentation only).

        Raises:
            PromptError: not finite numbers, no point, or a width that is not above 0.
        """
        data = _floats("scribble", points_xy, (-1, 2))
        if len(data) < 1 or not 0 < width_px <= MAX_STROKE_PX / len(data):
            raise PromptError(
                "Scribble needs at least one (x, y) point and a width_px above 0, at most "
                f"{MAX_STROKE_PX / max(1, len(data)):g} for {len(data)} points."
            )
        return Region("scribble", data, positive, min(float(width_px), MAX_STROKE_WIDTH_PX))

    @staticmethod
    def mask(mask: Any, positive: bool = True) -> Region:
        """Exactly these pixels.

        Args:
            mask: (H, W) bool of the image's own size.
            positive: False means "not this" (interactive segmentation only).

        Raises:
            PromptError: another shape or dtype, or no pixel at all.
        """
        data = np.asarray(mask)
        if data.ndim != 2 or data.dtype != np.bool_:
            raise PromptError(
                f"Mask has shape {data.shape} and dtype {data.dtype}: give a (H, W) bool array, "
                "e.g. mask > 0."
            )
        if not data.any():
            raise PromptError("Mask is empty: mark at least one pixel of the reference.")
        return Region("mask", data, positive)

    def to_mask(self, height: int, width: int) -> np.ndarray:
        """Rasterise into a (height, width) bool mask.

        Raises:
            PromptError: nothing of the region lies inside the image, or a mask has another size.
        """
        if self.kind == "mask":
            if self.data.shape != (height, width):
                raise PromptError(
                    f"Mask is {self.data.shape[0]}x{self.data.shape[1]} but its image is "
                    f"{height}x{width}: give a mask of the image's own size."
                )
            return self.data
        canvas = np.zeros((height, width), np.uint8)
        _DRAW[self.kind](canvas, self)
        if not canvas.any():
            raise PromptError(
                f"The {self.kind} {np.round(self.data, 1).tolist()} lies outside its image of "
                f"{width}x{height} pixels: give coordinates in pixels of that image."
            )
        return canvas.view(np.bool_)


def _floats(kind: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        given = np.asarray(values)
        if given.dtype.kind in "USb" or _holds_no_numbers(values):
            raise TypeError  # "3" and True would pass as numbers
        data = given.astype(np.float64).reshape(shape)
    except (TypeError, ValueError, OverflowError):
        raise PromptError(
            f"A {kind} needs numbers of shape {shape}, got {quoted(values)}."
        ) from None
    if len(data) > MAX_POINTS:
        raise PromptError(f"A {kind} has {len(data)} points: at most {MAX_POINTS}.")
    if not np.isfinite(data).all() or np.abs(data).max(initial=0) > 1e6:
        raise PromptError(f"A {kind} needs finite pixel coordinates, got {quoted(values)}.")
    return data


def _holds_no_numbers(values: Any) -> bool:
    """Whether a flat sequence mixes in booleans or text, which numpy would turn into numbers."""
    return isinstance(values, list | tuple) and any(isinstance(v, bool | str) for v in values)


def _draw_point(canvas: np.ndarray, region: Region) -> None:
    x, y = np.round(region.data).astype(int)
    height, width = canvas.shape
    if 0 <= x < width and 0 <= y < height:  # a click outside the image means nothing, even 1 px out
        r = POINT_RADIUS_PX
        canvas[max(y - r, 0) : y + r + 1, max(x - r, 0) : x + r + 1] = 1


def _draw_box(canvas: np.ndarray, region: Region) -> None:
    height, width = canvas.shape
    # Pixel i is inside when its centre is: edges are rounded, and a sliver keeps one pixel.
    x1, y1 = np.round(region.data[:2]).astype(int)
    x2, y2 = np.maximum(np.round(region.data[2:]).astype(int), (x1 + 1, y1 + 1))
    canvas[np.clip(y1, 0, height) : np.clip(y2, 0, height),
           np.clip(x1, 0, width) : np.clip(x2, 0, width)] = 1  # fmt: skip


def _draw_circle(canvas: np.ndarray, region: Region) -> None:
    x, y, r = region.data
    rows, cols = np.arange(canvas.shape[0]), np.arange(canvas.shape[1])
    # Row by row's half width: squares of all pixels would take eight times the image.
    reach = max(r, 0.71) ** 2 - (rows - y) ** 2
    np.less_equal((cols - x) ** 2, reach[:, None], out=canvas.view(np.bool_))


def _draw_polygon(canvas: np.ndarray, region: Region) -> None:
    cv2.fillPoly(canvas, [np.round(region.data).astype(np.int32)], (1,))


def _draw_scribble(canvas: np.ndarray, region: Region) -> None:
    points = np.round(region.data).astype(np.int32)
    thickness = max(1, round(region.width_px))
    if len(points) == 1:
        points = np.repeat(points, 2, axis=0)
    cv2.polylines(canvas, [points], False, (1,), thickness)


_DRAW = {
    "point": _draw_point,
    "box": _draw_box,
    "circle": _draw_circle,
    "polygon": _draw_polygon,
    "scribble": _draw_scribble,
}
