"""Slices, distances and the choice of what is drawn. N voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from find_field.field.data import FieldData
from find_field.field.feature_field import FeatureField
from find_field.io.export import heat_colors

MOST_DRAWN = 400_000
"""Of more voxels an even part is drawn: a browser holds no more with ease."""
SEEN, RELEVANCY, EMBEDDINGS = "as seen", "relevancy", "embeddings"
COLORINGS = (SEEN, RELEVANCY, EMBEDDINGS)


@dataclass(frozen=True, eq=False)
class Distance:
    """From one point to another. from_world_m, to_world_m: (3,)."""

    from_world_m: np.ndarray
    to_world_m: np.ndarray

    @property
    def length_m(self) -> float:
        return float(np.linalg.norm(self.to_world_m - self.from_world_m))

    def text(self) -> str:
        """Length and its part along each axis, in metres."""
        x, y, z = np.asarray(self.to_world_m) - np.asarray(self.from_world_m)
        return f"{self.length_m:.3f} m (x {x:+.3f}, y {y:+.3f}, z {z:+.3f})"


def upwards(field: FieldData) -> np.ndarray:
    """(3,) unit vector; z without an up."""
    up = np.array([0.0, 0.0, 1.0]) if field.up_world is None else field.up_world
    out: np.ndarray = up / np.linalg.norm(up)
    return out


def seen_side(field: FieldData) -> np.ndarray:
    """(3,) unit vector, half upwards, to where the cameras were; any side where that is not known."""
    up = upwards(field)
    aside = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    try:
        towards = np.array(field.provenance["seen_from_m"], float) - field.points_world_m.mean(
            axis=0
        )
        towards = towards - (towards @ up) * up
        if np.linalg.norm(towards) > field.voxel_size_m:  # else they were all around
            aside = towards
    except (KeyError, TypeError, ValueError):
        pass  # an older field, or one of a training run
    out: np.ndarray = up + 1.4 * aside / np.linalg.norm(aside)
    return out / np.linalg.norm(out)


def heights_m(field: FieldData) -> np.ndarray:
    """(N,) float32: how far up each voxel is, from the world's origin; along z without an up."""
    return field.points_world_m @ upwards(field).astype(np.float32)


def height_range_m(field: FieldData) -> tuple[float, float]:
    """Lowest and highest voxel, rounded outwards to centimetres; at least a centimetre apart."""
    heights = heights_m(field)
    low = float(np.floor(100 * heights.min(initial=np.inf))) / 100 if len(heights) else 0.0
    high = float(np.ceil(100 * heights.max(initial=-np.inf))) / 100 if len(heights) else 0.0
    return low, max(high, round(low + 0.01, 2))


def in_slice(field: FieldData, low_m: float, high_m: float) -> np.ndarray:
    """(N,) bool: voxels between two heights, both included."""
    heights = heights_m(field)
    return (heights >= low_m) & (heights <= high_m)


def drawn_rows(shown: ArrayLike, most: int = MOST_DRAWN) -> np.ndarray:
    """Rows to draw of those that are `shown` (N,) bool: all, or `most` of them, evenly spread."""
    rows = np.flatnonzero(shown)
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def point_colors(field: FeatureField, coloring: str, relevancy: np.ndarray | None) -> np.ndarray:
    """(N, 3) uint8 RGB of one of `COLORINGS`.

    Args:
        relevancy: (N,) in [0, 1]; None while nothing was asked for: then the seen colours are shown.
    """
    if coloring == EMBEDDINGS:
        return field.pca_colors()
    if coloring == RELEVANCY and relevancy is not None:
        return heat_colors(relevancy, field.colors)
    return field.colors
