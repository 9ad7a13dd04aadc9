"""Masks of COCO annotations: polygons, uncompressed and compressed run lengths."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from find_core.errors import FindError, ImageError
from find_core.masks import rle_to_mask

LEAST_POINTS = 3


def usable_segmentation(segmentation: Any) -> Any | None:
    """What can be decoded of an annotation's `segmentation`, or None where it covers nothing.

    A flat polygon becomes a list of one; polygons of fewer than three points are left out.

    Raises:
        ImageError: it is neither polygons nor run lengths.
    """
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        if {"size", "counts"} <= set(segmentation):
            return segmentation
        raise ImageError('run lengths need "size" and "counts"')
    if not isinstance(segmentation, list):
        raise ImageError(f"a segmentation is polygons or run lengths, not {segmentation!r:.40}")
    if all(isinstance(v, int | float) for v in segmentation):
        segmentation = [segmentation]
    polygons = [_polygon(p) for p in segmentation if p]
    return [p for p in polygons if len(p) >= 2 * LEAST_POINTS] or None


def _polygon(polygon: Any) -> list[float]:
    """x1, y1, x2, y2, ... of one polygon."""
    try:
        points = np.asarray(polygon, np.float64)
    except (TypeError, ValueError):
        raise ImageError("a polygon is numbers x1, y1, x2, y2, ...") from None
    if points.ndim == 2 and points.shape[1] == 2:  # pairs
        points = points.ravel()
    if points.ndim != 1 or len(points) % 2:
        raise ImageError("a polygon has an odd number of values: give x1, y1, x2, y2, ...")
    if not np.isfinite(points).all():
        raise ImageError("a polygon has values that are not finite")
    return [float(v) for v in points]


def decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
    """(H, W) bool mask of COCO polygons, uncompressed or compressed RLE.

    Raises:
        ImageError: run lengths of another size, or damaged.
    """
    if isinstance(segmentation, list):
        canvas = np.zeros((height, width), np.uint8)
        bound = np.array([width, height], np.float64) * 2  # fillPoly takes 32 bits: clip far points
        for polygon in segmentation:
            points = np.asarray(polygon, np.float64).reshape(-1, 2)
            points = np.round(np.clip(points, -bound, bound)).astype(np.int32)
            cv2.fillPoly(canvas, [points], [1])
        return canvas.astype(bool)
    try:
        return rle_to_mask(segmentation, (height, width))
    except FindError as error:
        raise ImageError(str(error)) from None
