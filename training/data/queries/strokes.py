"""Prompts drawn on a true mask, as users draw them (docs/spec.md 3.4)."""

from __future__ import annotations

import cv2
import numpy as np

from find_core.prompts.region import Region

STROKES = ("point", "polygon", "scribble", "circle")


def draw_stroke(mask: np.ndarray, rng: np.random.Generator, kind: str | None = None) -> np.ndarray:
    """A random point, polygon, scribble or circle inside `mask`.

    Args:
        mask: (H, W) bool with at least one True.
        kind: one of `STROKES`, "box" (the filled box), "mask" (all of it); None draws a stroke.

    Returns:
        (H, W) bool with at least one True; all but "box" lie inside the mask.
    """
    kind = kind or str(rng.choice(STROKES))
    if kind == "mask":
        return mask.copy()
    rows, cols = np.nonzero(mask)
    if kind == "box":
        box = Region.box(cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
        return box.to_mask(*mask.shape)
    drawn = _DRAW[kind](rows, cols, rng).to_mask(*mask.shape) & mask
    if not drawn.any():
        pick = rng.integers(len(rows))
        drawn[rows[pick], cols[pick]] = True
    return drawn


def click(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: the 3x3 dot where `mask` is deepest, as the one-click protocol has it."""
    padded = np.pad(mask, 1).astype(np.uint8)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, col = np.unravel_index(depth.argmax(), depth.shape)
    return Region.point(int(col), int(row)).to_mask(*mask.shape)


def _inside(rows: np.ndarray, cols: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    pick = rng.integers(len(rows), size=count)
    return np.stack([cols[pick], rows[pick]], axis=1)


def _point(rows: np.ndarray, cols: np.ndarray, rng: np.random.Generator) -> Region:
    x, y = _inside(rows, cols, rng, 1)[0]
    return Region.circle(x, y, rng.uniform(0.8, 2.6))  # 1 to 20 px


def _polygon(rows: np.ndarray, cols: np.ndarray, rng: np.random.Generator) -> Region:
    points = _inside(rows, cols, rng, int(rng.integers(3, 10)))
    hull = cv2.convexHull(points.astype(np.int32))[:, 0]
    return Region.polygon(np.pad(hull, ((0, max(0, 3 - len(hull))), (0, 0)), mode="edge"))


def _scribble(rows: np.ndarray, cols: np.ndarray, rng: np.random.Generator) -> Region:
    points = _inside(rows, cols, rng, int(rng.integers(2, 6)))
    return Region.scribble(points, width_px=float(rng.integers(2, 6)))


def _circle(rows: np.ndarray, cols: np.ndarray, rng: np.random.Generator) -> Region:
    x, y = _inside(rows, cols, rng, 1)[0]
    reach = np.sqrt(len(rows)) / 2
    return Region.circle(x, y, max(2.0, rng.uniform(0.3, 1.0) * reach))


_DRAW = {"point": _point, "polygon": _polygon, "scribble": _scribble, "circle": _circle}
