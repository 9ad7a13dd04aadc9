"""Images of a field: from above, and as a camera would see it.

World frames have an 'up'; a top view shows the other two axes in metres per pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from find_field.field.feature_field import FeatureField
from find_field.field.hits import FieldHit
from find_field.geometry.boxes import BOX_EDGES, box_corners
from find_field.geometry.pinhole import project, transform
from find_field.io.export import heat_colors

_LINE = (255, 40, 160)


def reproject(
    field: FeatureField,
    values: np.ndarray,
    K: np.ndarray,
    T_world_camera: np.ndarray,
    size_hw: tuple[int, int],
) -> np.ndarray:
    """Voxel values as a camera sees them, nearest voxel on top: (H, W, c) float32, NaN where none.

    Args:
        values: (N, c) or (N,). Each voxel is drawn as the square of pixels that it covers.
    """
    values = values.reshape(len(field), -1).astype(np.float32)
    height, width = size_hw
    field.check()
    points = transform(np.linalg.inv(T_world_camera), field.points_world_m.astype(np.float64))
    uv, z = project(points, K)
    seen = (z > 0.05) & (uv > -20).all(axis=1) & (uv < (width + 20, height + 20)).all(axis=1)
    rows = np.flatnonzero(seen)
    half = np.clip(np.ceil(field.voxel_size_m * K[0, 0] / z[rows] / 2), 0, 12).astype(int)
    pixels, owners = [], []
    for reach in range(int(half.max(initial=0)) + 1):
        ring = [(i, j) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)
                if max(abs(i), abs(j)) == reach]  # fmt: skip
        big = rows[half >= reach]
        for step in ring:
            pixel = np.rint(uv[big]).astype(np.int64) + step
            inside = ((pixel >= 0) & (pixel < (width, height))).all(axis=1)
            pixels.append(pixel[inside, 1] * width + pixel[inside, 0])
            owners.append(big[inside])
    out = np.full((height * width, values.shape[1]), np.nan, np.float32)
    if pixels:
        pixel, owner = np.concatenate(pixels), np.concatenate(owners)
        far_first = np.argsort(-z[owner], kind="stable")  # the last one written stays
        out[pixel[far_first]] = values[owner[far_first]]
    return out.reshape(height, width, -1)


def overlay(rgb: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the image greyed, with heat (H, W) in [0, 1] over it; NaN shows grey."""
    flat = np.nan_to_num(heat).ravel()
    return heat_colors(flat, rgb.reshape(-1, 3)).reshape(rgb.shape)


def top_view(
    field: FeatureField,
    colors: np.ndarray | None = None,
    hits: Sequence[FieldHit] = (),
    width_px: int = 900,
    ceiling_m: float | None = None,
    margin_m: float | None = None,
) -> np.ndarray:
    """The field from above, (H, W, 3) uint8 RGB; hits as boxes with label and score.

    Args:
        colors: (N, 3) uint8, the seen colours by default.
        ceiling_m: leave out what lies higher than this along 'up'.
        margin_m: show no more than this beyond the hits; everything by default.
    """
    T_camera_world = _above(field)
    if margin_m is not None and hits:
        keep = _near_hits(field, hits, T_camera_world, margin_m)
        field, colors = field.crop(keep), None if colors is None else colors[keep]
    T_camera_world, low, scale = top_view_camera(field, width_px)
    field.check()
    local = transform(T_camera_world, field.points_world_m.astype(np.float64))
    colors = field.colors if colors is None else colors
    reach = float(np.quantile(local[:, 1], 0.998) - low[1])
    height_px = int(np.clip(reach * scale, 64, 2 * width_px))
    if ceiling_m is not None:
        shown = -local[:, 2] <= ceiling_m
        local, colors = local[shown], colors[shown]
    canvas = np.full((height_px, width_px, 3), 24, np.uint8)
    side = int(np.ceil(field.voxel_size_m * scale)) + 1  # points wander inside their voxels
    pixel = np.floor((local[:, :2] - low) * scale - side / 2).astype(int)
    steps = np.stack(np.meshgrid(range(side), range(side)), axis=-1).reshape(-1, 2)
    pixels = (pixel[:, None] + steps).reshape(-1, 2)
    owner = np.repeat(np.arange(len(local)), len(steps))
    inside = ((pixels >= 0) & (pixels < (width_px, height_px))).all(axis=1)
    pixels, owner = pixels[inside], owner[inside]
    lowest_first = np.argsort(-local[owner, 2], kind="stable")  # the last one written stays
    pixels, owner = pixels[lowest_first], owner[lowest_first]
    canvas[pixels[:, 1], pixels[:, 0]] = colors[owner]
    for hit in hits:
        corners = transform(T_camera_world, box_corners(hit.T_world_object, hit.extent_m))
        draw_box(canvas, (corners[:, :2] - low) * scale, f"{hit.label} {hit.score:.2f}")
    return canvas


def draw_hits(rgb: np.ndarray, hits: Sequence[FieldHit], K: np.ndarray,
              T_world_camera: np.ndarray) -> np.ndarray:  # fmt: skip
    """A cameran image with the hits' boxes drawn into it (those wholly before the camera)."""
    out = rgb.copy()
    for hit in hits:
        corners = box_corners(hit.T_world_object, hit.extent_m)
        uv, _ = project(transform(np.linalg.inv(T_world_camera), corners), K)
        if np.isfinite(uv).all():
            draw_box(out, uv, f"{hit.label} {hit.score:.2f}")
    return out


def draw_box(canvas: np.ndarray, corners_px: np.ndarray, text: str) -> None:
    """Draw a box's twelve edges and its text into (H, W, 3) uint8, in place."""
    points = np.clip(np.rint(corners_px), -30000, 30000).astype(int)
    for i, j in BOX_EDGES:
        cv2.line(canvas, tuple(points[i]), tuple(points[j]), _LINE, 1, cv2.LINE_AA)
    x, y = points.min(axis=0)
    place = int(np.clip(x, 0, canvas.shape[1] - 40)), int(np.clip(y - 4, 12, canvas.shape[0] - 4))
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1,
                cv2.LINE_AA)  # fmt: skip


def _near_hits(field: FeatureField, hits: Sequence[FieldHit], T_camera_world: np.ndarray,
               margin_m: float) -> np.ndarray:  # fmt: skip
    """(N,) bool: voxels within the rectangle, seen from above, around all hits and a margin."""
    corners = np.concatenate([box_corners(hit.T_world_object, hit.extent_m) for hit in hits])
    flat = transform(T_camera_world, corners)[:, :2]
    local = transform(T_camera_world, field.points_world_m.astype(np.float64))[:, :2]
    low, high = flat.min(axis=0) - margin_m, flat.max(axis=0) + margin_m
    return ((local >= low) & (local <= high)).all(axis=1)


def top_view_camera(field: FeatureField, width_px: int) -> tuple[np.ndarray, np.ndarray, float]:
    """How `top_view` draws: pixel = ((T_camera_world @ p)[:2] - low) * scale.

    Returns:
        T_camera_world (4, 4), low (2,) metres, scale in pixels per metre.
    """
    T = _above(field)
    local = transform(T, field.points_world_m.astype(np.float64))
    low, high = np.quantile(local[:, :2], [0.002, 0.998], axis=0)
    return T, low, width_px / max(float(high[0] - low[0]), 1e-6)


def _above(field: FeatureField) -> np.ndarray:
    """(4, 4) into a camera that looks down: x right, y down the image, z downwards in the world."""
    up = field.up_world
    up = np.array([0.0, 0.0, 1.0]) if up is None else up / np.linalg.norm(up)
    # Keep the world's x to the right (or z where x is up), as maps do.
    x = np.eye(3)[0] if abs(up[0]) < 0.9 else np.eye(3)[2]
    x = x - (x @ up) * up
    x /= np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3] = np.stack([x, np.cross(-up, x), -up])
    return T
