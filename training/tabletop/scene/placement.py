"""Setting objects down: footprints that do not overlap, and dropping one object onto another.

No physics: an object stands in one of its resting poses; on or in a support it comes down until
the first contact of two height maps. Frames: world z up, metres.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import trimesh
from scipy.spatial import ConvexHull, QhullError

from training.tabletop.assets.meshes import Geometry

CELL_M = 0.006
N_SURFACE_POINTS = 9000


class ShapeInfo:
    """What placement needs of one geometry: surface points, hull, resting rotations."""

    def __init__(self, geometry: Geometry, seed: int = 0) -> None:
        verts = np.concatenate([p.verts_V3 for p in geometry.parts])
        offsets = np.cumsum([0] + [len(p.verts_V3) for p in geometry.parts])
        faces = np.concatenate(
            [p.faces_F3 + o for p, o in zip(geometry.parts, offsets, strict=False)]
        )
        mesh = trimesh.Trimesh(verts, faces, process=False)
        state = np.random.default_rng(seed)
        points, _ = trimesh.sample.sample_surface(mesh, N_SURFACE_POINTS, seed=state)
        self.points_N3 = np.concatenate([points, verts[:: max(len(verts) // 4000, 1)]])
        try:
            self.hull_N3 = verts[ConvexHull(verts).vertices]
        except QhullError:
            self.hull_N3 = verts
        self._mesh = mesh

    @cache  # noqa: B019 - one per geometry, lives as long as the gallery
    def lying_rotations(self) -> list[np.ndarray]:
        """Rotations (3, 3) in which the hull rests stably on a face, most likely first."""
        try:
            some = self.hull_N3[:: max(len(self.hull_N3) // 50, 1)]  # the search is cubic
            hull = trimesh.Trimesh(vertices=some, process=False).convex_hull
            poses, chances = hull.compute_stable_poses(n_samples=1, threshold=0.06)
        except (ValueError, QhullError, np.linalg.LinAlgError):
            return [np.eye(3)]
        order = np.argsort(-chances)[:5]
        return [poses[i][:3, :3] for i in order] or [np.eye(3)]


def yaw_matrix(angle: float) -> np.ndarray:
    """(3, 3) rotation about z, radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def resting_transform(
    info: ShapeInfo, rotation: np.ndarray, xy: tuple[float, float], z: float
) -> np.ndarray:
    """(4, 4) object-to-world: rotated, footprint centred at `xy`, lowest point at `z`."""
    turned = info.hull_N3 @ rotation.T
    low, high = turned.min(0), turned.max(0)
    T = np.eye(4)
    T[:3, :3] = rotation
    T[:2, 3] = np.array(xy) - (low[:2] + high[:2]) / 2
    T[2, 3] = z - low[2]
    return T


def footprint(info: ShapeInfo, T: np.ndarray) -> np.ndarray:
    """(N, 2) convex outline of the object seen from above, world metres."""
    xy = (info.hull_N3 @ T[:3, :3].T + T[:3, 3])[:, :2]
    try:
        return xy[ConvexHull(xy).vertices]
    except QhullError:
        return xy


def gap_m(a_N2: np.ndarray, b_N2: np.ndarray) -> float:
    """Separation of two convex outlines along the best axis; negative where they overlap."""
    best = -np.inf
    for poly in (a_N2, b_N2):
        edges = np.roll(poly, -1, 0) - poly
        normals = np.stack([edges[:, 1], -edges[:, 0]], 1)
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        pa, pb = a_N2 @ normals.T, b_N2 @ normals.T
        gaps = np.maximum(pb.min(0) - pa.max(0), pa.min(0) - pb.max(0))
        best = max(best, float(gaps.max()))
    return best


def _height_map(
    points: np.ndarray, origin: np.ndarray, shape: tuple[int, int], top: bool
) -> np.ndarray:
    cells = np.floor((points[:, :2] - origin) / CELL_M).astype(int)
    inside = ((cells >= 0) & (cells < shape)).all(1)
    grid = np.full(shape, -np.inf if top else np.inf)
    where = tuple(cells[inside].T)
    (np.maximum if top else np.minimum).at(grid, where, points[inside, 2])
    return grid


def drop_height(
    mover: ShapeInfo, T_mover: np.ndarray, support: ShapeInfo, T_support: np.ndarray
) -> float:
    """How far (metres, along z) the mover must move from its pose to touch the support."""
    a = mover.points_N3 @ T_mover[:3, :3].T + T_mover[:3, 3]
    b = support.points_N3 @ T_support[:3, :3].T + T_support[:3, 3]
    origin = np.minimum(a[:, :2].min(0), b[:, :2].min(0)) - CELL_M
    span = np.maximum(a[:, :2].max(0), b[:, :2].max(0)) - origin
    rows, columns = (int(n) + 2 for n in span / CELL_M)
    bottom = _height_map(a, origin, (rows, columns), top=False)
    top = _height_map(b, origin, (rows, columns), top=True)
    both = np.isfinite(bottom) & np.isfinite(top)
    return float((top[both] - bottom[both]).max()) if both.any() else 0.0


def inside_of(inner_N2: np.ndarray, outer_N2: np.ndarray, margin: float) -> bool:
    """Whether a convex outline lies within another, at least `margin` metres from its rim."""
    edges = np.roll(outer_N2, -1, 0) - outer_N2
    normals = np.stack([edges[:, 1], -edges[:, 0]], 1)
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    reach = (outer_N2 * normals).sum(1)  # counter-clockwise outline: normals point outwards
    return bool(((inner_N2 @ normals.T) <= reach - margin).all())
