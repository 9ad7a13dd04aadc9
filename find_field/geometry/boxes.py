"""Oriented boxes around points: robust, right-handed, upright where the world has an 'up'."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike

# Share of points left outside on each side of the height: strays, not the object.
TRIM = 0.005
# (12, 2): the corners of `box_corners` that an edge joins. Their numbers differ in one bit.
BOX_EDGES = np.array(
    [(i, i | 1 << axis) for i in range(8) for axis in range(3) if not i >> axis & 1]
)


def oriented_box(
    points_world_m: np.ndarray, up_world: ArrayLike | None = (0.0, 0.0, 1.0)
) -> tuple[np.ndarray, np.ndarray]:
    """The box around points: the smallest upright one, or the principal axes' when `up` is None.

    Args:
        points_world_m: (N, 3), N >= 1. up_world: (3,) direction the box stands along, or None.

    Returns:
        T_world_object (4, 4) float64, right-handed, origin in the box's centre: z up, x along the
        longer horizontal side (pointing to the world's +x half); and extent_m (3,), full lengths
        along x, y, z of that frame.
    """
    points = np.asarray(points_world_m, np.float64)
    R = _pca(points) if up_world is None else _upright_axes(points, np.asarray(up_world, float))
    local = points @ R
    low, high = np.quantile(local, [TRIM, 1 - TRIM], axis=0)
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = R @ ((low + high) / 2)
    return T, high - low


def _upright_axes(points: np.ndarray, up: np.ndarray) -> np.ndarray:
    """(3, 3) columns x, y, z: z up, x along the longer side of the smallest rectangle."""
    z = up / np.linalg.norm(up)
    helper = np.eye(3)[np.argmin(np.abs(z))]
    a = np.cross(helper, z) / np.linalg.norm(np.cross(helper, z))
    b = np.cross(z, a)
    flat = np.stack([points @ a, points @ b], axis=1)
    centred = (flat - flat.mean(axis=0)).astype(np.float32)  # float32 keeps microns near zero
    corners = cv2.boxPoints(cv2.minAreaRect(centred)).astype(np.float64)
    sides = corners[1] - corners[0], corners[2] - corners[1]
    side = max(sides, key=np.linalg.norm)
    if np.linalg.norm(side) < 1e-9:
        side = np.array([1.0, 0.0])
    x = side[0] * a + side[1] * b
    return _right_handed(x / np.linalg.norm(x), z)


def _pca(points: np.ndarray) -> np.ndarray:
    centred = points - points.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return _right_handed(vectors[:, 2], vectors[:, 0])


def _right_handed(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Columns x, y = z cross x, z; x flipped to where its largest component is positive."""
    x = x * (1 if x[np.argmax(np.abs(x))] >= 0 else -1)
    return np.stack([x, np.cross(z, x), z], axis=1)


def box_corners(T_world_object: np.ndarray, extent_m: np.ndarray) -> np.ndarray:
    """(8, 3) corners in the world; corner i's bits say which end of x, y, z it is."""
    ends = np.array([[(i >> axis & 1) - 0.5 for axis in range(3)] for i in range(8)])
    return (ends * extent_m) @ T_world_object[:3, :3].T + T_world_object[:3, 3]


def inside_box(
    points_m: np.ndarray, T_world_object: np.ndarray, extent_m: np.ndarray
) -> np.ndarray:
    """(N,) bool: which points (N, 3) lie in the box, faces included."""
    local = (points_m - T_world_object[:3, 3]) @ T_world_object[:3, :3]
    return (np.abs(local) <= np.asarray(extent_m) / 2 + 1e-9).all(axis=1)


def box_iou(
    a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], per_side: int = 40
) -> float:
    """Intersection over union of two boxes (T_world_object, extent_m), by a grid of samples in a.

    Accurate to about 1 / per_side of a side; exact clipping is not worth its code here.
    """
    ticks = (np.arange(per_side) + 0.5) / per_side - 0.5
    grid = np.stack(np.meshgrid(ticks, ticks, ticks), axis=-1).reshape(-1, 3) * a[1]
    shared = inside_box(grid @ a[0][:3, :3].T + a[0][:3, 3], *b).mean() * np.prod(a[1])
    union = np.prod(a[1]) + np.prod(b[1]) - shared
    return float(shared / union) if union > 0 else 0.0
