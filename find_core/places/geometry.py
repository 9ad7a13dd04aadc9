"""What the judge of places sees of candidates: numbers for every ordered pair of them.

An `Arrangement` holds what is known of N candidates, in the picture, in metres or both. Every number
is relative to the candidates' own sizes or to the picture's height, or in metres; none depends on
what the candidates are.

Letters: N candidates, F numbers of a pair, P points, h/w a small picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

LONG_SIDE_PX = 160
"""Masks are compared at this size: contact and order do not need more."""
POINTS = 400
"""Of a candidate in space; more add nothing to a hull."""
TRIM = 0.01
"""Share of points left outside at each end of a height: strays."""
_SMALL = 1e-6


@dataclass(frozen=True, eq=False)
class Arrangement:
    """What is known of N candidates.

    Attributes:
        masks_Nhw: bool, in one picture of the longer side `LONG_SIDE_PX`; None without a picture.
        points_m: per candidate (P, 3) float, in the viewer's frame: x to the viewer's right, y away
            from the viewer, z up, metres; None without metres.
        facing: x and y are a viewer's. Else only heights and distances are used.
        level: z is against gravity. Else the frame is a camera's (y along its axis).
    """

    masks_Nhw: np.ndarray | None = None
    points_m: Sequence[np.ndarray] | None = None
    facing: bool = True
    level: bool = True


def pair_features(arrangement: Arrangement) -> np.ndarray:
    """(N, N, `FEATURES`) float32: what is known of each ordered pair; parts not known are 0."""
    masks, points = arrangement.masks_Nhw, arrangement.points_m
    count = len(masks) if masks is not None else len(points or ())
    out = np.zeros((count, count, FEATURES), np.float32)
    if masks is not None and count:
        out[..., :_IMAGE] = _image_features(masks)
        out[..., -4] = 1
    if points is not None and count:
        out[..., _IMAGE : _IMAGE + _METRIC] = _metric_features(points, arrangement.facing)
        out[..., -3:] = 1, arrangement.facing, arrangement.level
    return out


def small_masks(masks_NHW: Sequence[np.ndarray]) -> np.ndarray:
    """(N, h, w) bool: masks of one picture at the size at which they are compared."""
    height, width = masks_NHW[0].shape
    scale = LONG_SIDE_PX / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.stack([
        cv2.resize(np.asarray(m, np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5
        for m in masks_NHW
    ])  # fmt: skip


def viewer_frame(T_world_viewer: np.ndarray, up_world: np.ndarray) -> np.ndarray:
    """(3, 3) rows x, y, z: the world's axes to the viewer's right, away from the viewer, and up.

    Args:
        T_world_viewer: (4, 4) pose of a camera (x right, y down, z forward). up_world: (3,).
    """
    up = np.asarray(up_world, float) / np.linalg.norm(up_world)
    R = np.asarray(T_world_viewer, float)[:3, :3]
    away = R[:, 2] - (R[:, 2] @ up) * up
    if np.linalg.norm(away) < 0.05:  # looks straight down: what is up in the picture is away
        away = -R[:, 1] + (R[:, 1] @ up) * up
    away /= np.linalg.norm(away)
    return np.stack([np.cross(away, up), away, up])


def _image_features(masks_Nhw: np.ndarray) -> np.ndarray:
    height = masks_Nhw.shape[1]
    area = masks_Nhw.sum((1, 2)).astype(np.float64)
    low, high, middle = _extents(masks_Nhw)
    size, centre = high - low, (low + high) / 2
    scale = _pairs(size.mean(1), np.add) / 2 + _SMALL
    fill = area / np.maximum(size.prod(1), 1)
    picture = np.array([masks_Nhw.shape[2], height]) / 2
    own = np.concatenate([(centre - picture) / height, size / height, fill[:, None]], axis=1)
    gap = np.maximum(low[:, None] - high[None], low[None] - high[:, None])
    shared = np.maximum(-gap, 0).prod(-1)
    offset = _pairs(middle, np.subtract) / scale[..., None]
    numbers = [
        *_split(_pairs(centre, np.subtract) / scale[..., None]),
        *_split(_pairs(low, np.subtract) / scale[..., None]),
        *_split(_pairs(high, np.subtract) / scale[..., None]),
        *_split(gap / scale[..., None]),
        *_split(offset),
        *_split(_direction(offset)),
        *_split(_pairs(np.log(size + 1), np.subtract)),
        shared / np.maximum(size.prod(1), 1)[:, None],
        shared / np.maximum(size.prod(1), 1)[None],
        *_touch(masks_Nhw, area, low, size),
        np.log(scale / height),
    ]
    return _joined(own, numbers)


def _extents(masks_Nhw: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, 2) each, (x, y) pixels: low and high edges of the masks, and their means."""
    out = np.zeros((3, len(masks_Nhw), 2))
    for n, mask in enumerate(masks_Nhw):
        rows, columns = np.nonzero(mask)
        if len(rows):
            out[0, n] = columns.min(), rows.min()
            out[1, n] = columns.max() + 1, rows.max() + 1
            out[2, n] = columns.mean() + 0.5, rows.mean() + 0.5
    return out[0], out[1], out[2]


def _touch(masks_Nhw: np.ndarray, area: np.ndarray, low: np.ndarray,
           size: np.ndarray) -> list[np.ndarray]:  # fmt: skip
    """How much of each mask lies at another's edge, and where; how much lies within its hull."""
    count, height, _ = masks_Nhw.shape
    kernel = np.ones((5, 5), np.uint8)
    wide = np.stack([cv2.dilate(m.astype(np.uint8), kernel) for m in masks_Nhw])
    hulls = np.stack([_hull(m) for m in masks_Nhw])
    flat = masks_Nhw.reshape(count, -1).astype(np.float32)
    edge = wide.reshape(count, -1).astype(np.float32)
    rows = np.repeat(np.arange(height, dtype=np.float32), masks_Nhw.shape[2]) + 0.5
    contact = edge @ flat.T  # [a, b]: pixels of b near a
    where = (edge @ (flat * rows).T) / np.maximum(contact, 1)
    relative = (where - low[None, :, 1]) / np.maximum(size[None, :, 1], 1)  # 0 top of b, 1 bottom
    relative = np.where(contact > 0, relative - 0.5, 0)
    within = flat @ hulls.reshape(count, -1).astype(np.float32).T  # [a, b]: a in b's hull
    root = np.sqrt(np.maximum(area, 1))
    share = within / np.maximum(area, 1)[:, None]
    return [
        contact / root[None], contact.T / root[:, None], relative, relative.T, share, share.T,
    ]  # fmt: skip


def _hull(mask: np.ndarray) -> np.ndarray:
    points = cv2.findNonZero(mask.astype(np.uint8))
    out = np.zeros(mask.shape, np.uint8)
    if points is not None:
        cv2.fillConvexPoly(out, cv2.convexHull(points), (1,))
    return out


def _metric_features(points_m: Sequence[np.ndarray], facing: bool) -> np.ndarray:
    thinned = [p[:: max(len(p) // POINTS, 1)] for p in points_m]
    low = np.stack([np.quantile(p, TRIM, axis=0) for p in thinned])
    high = np.stack([np.quantile(p, 1 - TRIM, axis=0) for p in thinned])
    outlines = [cv2.convexHull(p[:, :2].astype(np.float32))[:, 0] for p in thinned]
    size, centre = high - low, (low + high) / 2
    scale = _pairs(size[:, :2].mean(1), np.add) / 2 + 0.01
    offset = _pairs(centre, np.subtract)
    between = np.maximum(low[:, None] - high[None], low[None] - high[:, None])
    footprint = np.maximum(size[:, :2].prod(1), 1e-4)
    shared = np.maximum(-between[..., :2], 0).prod(-1)
    distance = np.linalg.norm(offset[..., :2], axis=-1)
    flat = size[:, :2] if facing else np.sort(size[:, :2], axis=1)
    sided = np.float64(facing)
    numbers = [
        *(sided * np.arcsinh(o / 0.1) for o in _split(offset[..., :2])),
        *(sided * o for o in _split(offset[..., :2] / scale[..., None])),
        *(sided * o for o in _split(_direction(offset[..., :2]))),
        *(sided * np.arcsinh(g / 0.05) for g in _split(between[..., :2])),
        np.arcsinh(distance / 0.1),
        distance / scale,
        *(np.arcsinh(g / 0.05) for g in _outline_gaps(outlines, scale)),
        np.arcsinh(offset[..., 2] / 0.05),
        np.arcsinh(between[..., 2] / 0.05),
        np.arcsinh(_pairs(low[:, 2], np.subtract) / 0.05),
        np.arcsinh(_pairs(high[:, 2], np.subtract) / 0.05),
        np.arcsinh((low[:, None, 2] - high[None, :, 2]) / 0.05),
        np.arcsinh((low[None, :, 2] - high[:, None, 2]) / 0.05),
        shared / footprint[:, None],
        shared / footprint[None],
    ]
    own = np.log(np.concatenate([flat, size[:, 2:]], axis=1) + 0.01) + 2
    return _joined(own, numbers)


def _outline_gaps(outlines: Sequence[np.ndarray], scale: np.ndarray) -> list[np.ndarray]:
    """Room between outlines seen from above, metres, and ten times that over their size."""
    count = len(outlines)
    gaps = np.zeros((count, count))
    for a in range(count):
        for b in range(a):
            gaps[a, b] = gaps[b, a] = _gap(outlines[a], outlines[b])
    return [gaps, 0.1 * gaps / scale]


def _gap(a_P2: np.ndarray, b_P2: np.ndarray) -> float:
    """Room between two convex outlines along the best axis; negative where they overlap."""
    best = -np.inf
    for outline in (a_P2, b_P2):
        edges = np.roll(outline, -1, 0) - outline
        normals = np.stack([edges[:, 1], -edges[:, 0]], 1)
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        on_a, on_b = a_P2 @ normals.T, b_P2 @ normals.T
        room = np.maximum(on_b.min(0) - on_a.max(0), on_a.min(0) - on_b.max(0))
        best = max(best, float(room.max()))
    return best


def _pairs(values: np.ndarray, operation: np.ufunc) -> np.ndarray:
    """(N, N, ...): `operation` of each first with each second."""
    return operation(values[:, None], values[None])


def _direction(offset: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(offset, axis=-1, keepdims=True)
    return offset / np.maximum(length, _SMALL)


def _split(values: np.ndarray) -> list[np.ndarray]:
    return [values[..., k] for k in range(values.shape[-1])]


def _joined(own: np.ndarray, numbers: Sequence[np.ndarray]) -> np.ndarray:
    """(N, N, ...): each first's own numbers, each second's, then those of the pair; bounded."""
    count = len(own)
    first = np.broadcast_to(own[:, None], (count, count, own.shape[1]))
    second = np.broadcast_to(own[None], (count, count, own.shape[1]))
    pair = np.stack(np.broadcast_arrays(*numbers), axis=-1)
    return np.clip(np.concatenate([first, second, pair], axis=-1), -8, 8)


_IMAGE, _METRIC = 33, 26
"""How many numbers `_image_features` and `_metric_features` make of a pair; a test counts them."""
FEATURES = _IMAGE + _METRIC + 4
"""F: of the picture, in metres, and which of these are known."""
METRIC_BLOCK = slice(_IMAGE, _IMAGE + _METRIC)
"""Which of the numbers are in metres."""
