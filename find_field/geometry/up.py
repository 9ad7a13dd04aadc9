"""Which way is up in a capture whose world frame does not say: from its cameras and its surfaces.

Two facts are used. People and robots carry cameras level: an image's rows run horizontally, whatever
the pitch, so up is perpendicular to the cameras' x axes (the cameras' own tops lean with their pitch). And rooms have
level surfaces, floors and table tops, that are seen from above. Each direction that many surface
normals share is judged by both.

Dimension letters: n normals, C cameras, G directions of a grid on the sphere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from find_core.errors import FieldError
from find_field.geometry.pinhole import backproject, pixel_grid

Z_UP = (0.0, 0.0, 1.0)
# Surface normals this near to a direction speak for it; Kinect normals scatter by about 5 degrees.
_LOBE_COS = float(np.cos(np.deg2rad(9)))
# A hand-held camera rolls by about this much.
_ROLL_SIN = float(np.sin(np.deg2rad(14)))
# Directions nearer than this are the same answer.
_SAME_COS = float(np.cos(np.deg2rad(20)))
# Level surface (share of all that was seen) that settles the matter.
_ENOUGH_SURFACE = 0.12
_GRID = 4000
_MOST_NORMALS = 30_000
WAYS = ("z", "auto", "check")
# An estimate this near to the frame's z confirms it; one below this confidence says nothing.
AGREES_DEG = 6.0
CLEAR = 0.3


@dataclass(frozen=True)
class Up:
    """A direction that is up, and why.

    Attributes:
        direction: (3,) unit, in the capture's world frame; None when nothing tells.
        source: "given" (by the user), "frame" (the world frame's own z), "assumed" (that z, though
            nothing confirms it), "surfaces" (level surfaces and cameras) or "cameras" (only those).
        confidence: in [0, 1]; 1 where it is given or promised.
    """

    direction: tuple[float, float, float] | None
    source: str
    confidence: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """What a field's provenance keeps: up_world, up_source, up_confidence."""
        return {
            "up_world": None if self.direction is None else list(self.direction),
            "up_source": self.source,
            "up_confidence": round(self.confidence, 3),
        }

    def __str__(self) -> str:
        if self.direction is None:
            return "unknown"
        x, y, z = self.direction
        told = {
            "given": "as given",
            "frame": "the frame's own z",
            "assumed": "assumed, not confirmed",
        }
        estimated = f"estimated from the {self.source}, confidence {self.confidence:.2f}"
        how = told.get(self.source, estimated)
        return f"({x:.3f}, {y:.3f}, {z:.3f}), {how}"


def direction_of(numbers: ArrayLike) -> tuple[float, float, float]:
    """Three numbers as a unit direction.

    Raises:
        FieldError: not three finite numbers, or all of them 0.
    """
    v = np.asarray(numbers, np.float64)
    if v.shape != (3,) or not np.isfinite(v).all() or not 1e-6 < np.linalg.norm(v) < 1e6:
        raise FieldError(f"Up is three numbers that are not all 0, not {numbers!r}.")
    x, y, z = v / np.linalg.norm(v)
    return float(x), float(y), float(z)


def angle_deg(a: ArrayLike, b: ArrayLike) -> float:
    """Between two directions, degrees."""
    a, b = np.asarray(direction_of(a)), np.asarray(direction_of(b))
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


class UpEvidence:
    """Cameras and surface normals of a capture, gathered view by view."""

    def __init__(self) -> None:
        self._cameras: list[np.ndarray] = []
        self._normals: list[np.ndarray] = []
        self._areas: list[np.ndarray] = []

    def __len__(self) -> int:
        """Views so far."""
        return len(self._cameras)

    def add_camera(self, T_world_camera: np.ndarray) -> None:
        """A camera's pose (4, 4), OpenCV axes."""
        self._cameras.append(np.asarray(T_world_camera, np.float64)[:3, :3])

    def add_depth(self, depth_m: np.ndarray, K: np.ndarray, T_world_camera: np.ndarray) -> None:
        """A camera and what its depth (H, W) shows, metres, invalid as NaN or 0."""
        self.add_camera(T_world_camera)
        stride = max(1, depth_m.shape[1] // 80)
        coarse = depth_m[stride // 2 :: stride, stride // 2 :: stride]
        u, v = pixel_grid(depth_m.shape[0], depth_m.shape[1], stride)
        coarse = np.where(coarse > 0, coarse, np.nan)
        points = backproject(coarse, K, u, v[:, None]) @ T_world_camera[:3, :3].T
        self.add_surface(points + T_world_camera[:3, 3], T_world_camera[:3, 3])

    def add_surface(self, points_world_m: np.ndarray, eye_world_m: np.ndarray) -> None:
        """A grid of surface points (h, w, 3) as one camera at `eye` (3,) saw it; NaN: nothing."""
        normals, areas = _grid_normals(points_world_m, eye_world_m)
        self._normals.append(normals)
        self._areas.append(areas)

    def estimate(self) -> Up:
        """Up by all that was gathered; without a direction when nothing was."""
        if not self._cameras:
            return Up(None, "cameras", 0.0)
        cameras = np.stack(self._cameras)
        normals, areas = self._surface()
        level, level_trust = _level_direction(cameras)
        candidates = _modes(normals, areas) if len(normals) else np.zeros((0, 3))
        if not len(candidates):
            return Up(direction_of(level), "cameras", 0.5 * level_trust)
        support = _support(normals, areas, candidates)
        scores = (support + 0.02) * _carried_level(cameras, candidates)
        best = int(scores.argmax())
        others = candidates @ candidates[best] < _SAME_COS
        rival = float(scores[others].max()) if others.any() else 0.0
        clear = 1 - rival / max(float(scores[best]), 1e-12)
        # Carried upside down or on its side, nothing fits well: then little is known.
        fits = float(_carried_level(cameras, candidates[best : best + 1])[0])
        confidence = clear * min(1.0, float(support[best]) / _ENOUGH_SURFACE) * min(1.0, 2 * fits)
        if confidence < 0.5 * level_trust and level @ candidates[best] < _SAME_COS:
            return Up(direction_of(level), "cameras", 0.5 * level_trust)
        return Up(direction_of(candidates[best]), "surfaces", confidence)

    def _surface(self) -> tuple[np.ndarray, np.ndarray]:
        if not self._normals:
            return np.zeros((0, 3)), np.zeros(0)
        normals, areas = np.concatenate(self._normals), np.concatenate(self._areas)
        step = max(1, len(normals) // _MOST_NORMALS)
        return normals[::step], areas[::step]


def read_up(text: str) -> str | tuple[float, float, float]:
    """What a user wrote: "z", "auto", "check" or three numbers.

    Raises:
        FieldError: something else.
    """
    if text in WAYS:
        return text
    try:
        return direction_of([float(word) for word in text.replace(",", " ").split()])
    except (ValueError, FieldError):
        raise FieldError(
            f"Up is 'z', 'auto', 'check' or three numbers such as '0 -0.9 -0.4', not {text[:60]!r}."
        ) from None


def choose_up(asked: str | Sequence[float] | None, evidence: UpEvidence) -> Up:
    """The up that is meant.

    Args:
        asked: three numbers; "z", the frame's own; "auto", the estimate; "check", the frame's z
            unless the capture speaks clearly against it, then the estimate; None: no up.

    Raises:
        FieldError: not one of these.
    """
    if asked is None:
        return Up(None, "given")
    way = read_up(asked) if isinstance(asked, str) else direction_of(asked)
    if not isinstance(way, str):
        return Up(way, "given")
    if way == "z":
        return Up(Z_UP, "frame")
    found = evidence.estimate()
    if way == "auto":
        return found
    if found.direction is None or found.confidence < CLEAR:
        return Up(Z_UP, "assumed", 0.0)
    return Up(Z_UP, "frame") if angle_deg(found.direction, Z_UP) <= AGREES_DEG else found


def _grid_normals(points: np.ndarray, eye: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normals (n, 3) towards the eye and areas (n,) of the smooth cells of a grid (h, w, 3)."""
    if min(points.shape[:2]) < 3:
        return np.zeros((0, 3)), np.zeros(0)
    middle = points[1:-1, 1:-1]
    right = (points[1:-1, 2:] - points[1:-1, :-2]) / 2
    down = (points[2:, 1:-1] - points[:-2, 1:-1]) / 2
    bend = np.linalg.norm(points[1:-1, 2:] + points[1:-1, :-2] - 2 * middle, axis=-1)
    bend += np.linalg.norm(points[2:, 1:-1] + points[:-2, 1:-1] - 2 * middle, axis=-1)
    normal = np.cross(down, right)
    area = np.linalg.norm(normal, axis=-1)
    ray = middle - eye
    distance = np.linalg.norm(ray, axis=-1)
    facing = -(normal * ray).sum(axis=-1) / np.maximum(area * distance, 1e-12)
    with np.errstate(invalid="ignore"):
        good = (bend < 0.02 * distance) & (np.abs(facing) > 0.2) & (area > 0)
    normal = normal[good] / area[good][:, None] * np.sign(facing[good])[:, None]
    # Far surface is noisy, and a distant wall must not outvote the room.
    return normal, area[good] / np.maximum(distance[good], 0.3)


@cache
def _sphere() -> np.ndarray:
    """(G, 3) directions spread evenly: a Fibonacci lattice, about 3 degrees apart."""
    i = np.arange(_GRID) + 0.5
    z, turn = 1 - 2 * i / _GRID, np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(turn), r * np.sin(turn), z], axis=1)


def _modes(normals: np.ndarray, areas: np.ndarray, most: int = 12) -> np.ndarray:
    """(m, 3) directions that many normals share, either way round, each the mean of its lobe."""
    from scipy.spatial import cKDTree

    grid, density = _sphere(), np.zeros(_GRID)
    _, nearest = cKDTree(grid).query(normals)
    np.add.at(density, nearest, areas)
    near = grid @ grid.T > _LOBE_COS
    density = near @ density
    out: list[np.ndarray] = []
    for _ in range(most // 2):
        peak = int(density.argmax())
        if density[peak] < 0.01 * areas.sum():
            break
        mode = grid[peak]
        for _ in range(4):
            lobe = normals @ mode > _LOBE_COS
            mode = areas[lobe] @ normals[lobe]
            mode /= max(float(np.linalg.norm(mode)), 1e-12)
        out += [mode, -mode]
        density[grid @ mode > np.cos(np.deg2rad(15))] = 0
        density[grid @ grid[peak] > _LOBE_COS] = 0
    return np.array(out).reshape(-1, 3)


def _support(normals: np.ndarray, areas: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """(m,) share of the surface that faces along each candidate; ceilings count a third."""
    along = candidates @ normals.T
    facing, averse = (along > _LOBE_COS) @ areas, (along < -_LOBE_COS) @ areas
    return (facing + averse / 3) / max(float(areas.sum()), 1e-12)


def _carried_level(cameras: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """(m,) in [0, 1]: how well the cameras' rows are level and their tops up, if this were up."""
    roll = np.sqrt(np.mean((candidates @ cameras[:, :, 0].T) ** 2, axis=1))
    upright = np.mean(candidates @ -cameras[:, :, 1].T, axis=1)
    # 0.25 at a camera that looks straight down: only its rows tell then.
    return np.exp(-0.5 * (roll / _ROLL_SIN) ** 2) * np.clip(0.25 + upright, 0.01, 1)


def _level_direction(cameras: np.ndarray) -> tuple[np.ndarray, float]:
    """The direction most nearly perpendicular to all cameras' x axes, and in [0, 1] how certain.

    Cameras that all look one way have one x axis: the best guess is then their mean top.
    """
    x, top = cameras[:, :, 0], -cameras[:, :, 1].mean(axis=0)
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    certain = float(np.clip((values[1] - values[0]) / 0.1, 0, 1))
    level = vectors[:, 0] * (1 if vectors[:, 0] @ top >= 0 else -1)
    mixed = certain * level + (1 - certain) * top / max(float(np.linalg.norm(top)), 1e-12)
    return mixed, certain * float(np.clip(abs(level @ top) * 2, 0, 1))
