"""Small exact worlds, cast ray by ray: tables with boxes and balls, whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from find_field.evaluation.oracle import OracleFind
from find_field.frames import PosedFrame


@dataclass(frozen=True, eq=False)
class ToyObject:
    """A box (yawed about world z) or a ball.

    Attributes:
        name: what it is called. centre_m: (3,). size_m: (3,) full lengths; of a ball its diameter.
        yaw: radians. ball: whether it is one. color: RGB in 0..255.
    """

    name: str
    centre_m: Sequence[float] | np.ndarray
    size_m: Sequence[float] | np.ndarray
    yaw: float = 0.0
    ball: bool = False
    color: tuple[int, int, int] = (200, 60, 60)

    @property
    def T_world_object(self) -> np.ndarray:
        T = np.eye(4)
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        T[:2, :2] = [[c, -s], [s, c]]
        T[:3, 3] = self.centre_m
        return T


@dataclass
class World:
    """A table top at z = 0 (1.2 m square) with objects on it.

    Labels are 0 for nothing, 1 for the table, i + 2 for thing i.
    """

    things: list[ToyObject]
    seed: int = 0
    names: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = {1: "table"} | {i + 2: thing.name for i, thing in enumerate(self.things)}

    def render(
        self, K: np.ndarray, T_world_camera: np.ndarray, size_hw: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(rgb (H, W, 3) uint8, z-depth (H, W) float32 metres, labels (H, W) int32)."""
        height, width = size_hw
        v, u = np.indices(size_hw)
        rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(size_hw)], -1)
        rays = (rays @ T_world_camera[:3, :3].T).reshape(-1, 3)
        eye = T_world_camera[:3, 3]
        depth, labels = _table(eye, rays)
        for i, thing in enumerate(self.things):
            t = _ball(eye, rays, thing) if thing.ball else cast_box(eye, rays, thing)
            nearer = t < depth
            depth[nearer], labels[nearer] = t[nearer], i + 2
        palette = np.array([(30, 30, 40), (170, 150, 120), *(t.color for t in self.things)])
        hit = eye + rays * np.where(np.isfinite(depth), depth, 0)[:, None]
        shade = 0.85 + 0.15 * np.sin(90 * hit).prod(axis=1)
        rgb = np.clip(palette[labels] * shade[:, None], 0, 255).astype(np.uint8)
        depth = np.where(np.isfinite(depth), depth, 0).astype(np.float32)  # rays have z = 1
        return rgb.reshape(height, width, 3), depth.reshape(size_hw), labels.reshape(size_hw)

    def frames(self, count: int = 12, size_hw: tuple[int, int] = (120, 160), radius_m: float = 0.9,
               oracle: OracleFind | None = None) -> list[PosedFrame]:  # fmt: skip
        """Views on a circle at alternating heights, looking at the table's middle."""
        height, width = size_hw
        K = np.array([[width, 0, width / 2 - 0.5], [0, width, height / 2 - 0.5], [0, 0, 1.0]])
        frames = []
        for i in range(count):
            angle = 2 * np.pi * i / count
            eye = [radius_m * np.cos(angle), radius_m * np.sin(angle), 0.45 + 0.3 * (i % 2)]
            T = look_at(np.array(eye), np.array([0, 0, 0.03]))
            rgb, depth_m, labels = self.render(K, T, size_hw)
            if oracle is not None:
                oracle.register(rgb, labels, self.names)
            frames.append(PosedFrame(rgb, depth_m, K, T, f"view {i}"))
        return frames

    def oracle(self) -> OracleFind:
        return OracleFind(self.names.values())


def look_at(eye: np.ndarray, target: np.ndarray, up: Sequence[float] = (0, 0, 1)) -> np.ndarray:
    """T_world_camera (4, 4), OpenCV axes, of a camera at `eye` that looks at `target`."""
    z = (target - eye) / np.linalg.norm(target - eye)
    x = np.cross(z, up) / np.linalg.norm(np.cross(z, up))
    T = np.eye(4)
    T[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    T[:3, 3] = eye
    return T


def sample_world(seed: int = 0, count: int = 6) -> World:
    """`count` (at most 8) boxes and balls that do not touch, random places, sizes and yaws."""
    rng = np.random.default_rng(seed)
    kinds = ["red box", "green ball", "blue box", "yellow ball", "white box", "purple box",
             "orange ball", "cyan box"]  # fmt: skip
    palette = {"red": (210, 50, 50), "green": (60, 180, 70), "blue": (60, 80, 210),
               "yellow": (230, 210, 60), "white": (235, 235, 235), "purple": (150, 60, 190),
               "orange": (240, 140, 40), "cyan": (60, 200, 210)}  # fmt: skip
    cells = rng.permutation(9)[:count]
    things = []
    for name, cell in zip(kinds[:count], cells, strict=True):
        xy = (np.array([cell % 3, cell // 3]) - 1) * 0.2 + rng.uniform(-0.03, 0.03, 2)
        ball = name.endswith("ball")
        size = np.full(3, rng.uniform(0.07, 0.1)) if ball else rng.uniform(0.05, 0.1, 3)
        things.append(ToyObject(name, (*xy, size[2] / 2), size, rng.uniform(0, np.pi), ball,
                            palette[name.split()[0]]))  # fmt: skip
    return World(things, seed)


def _table(eye: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(divide="ignore"):
        t = -eye[2] / rays[:, 2]
    hit = eye + np.where(np.isfinite(t), t, 0)[:, None] * rays
    on = (t > 0) & (np.abs(hit[:, :2]) <= 0.6).all(axis=1)
    return np.where(on, t, np.inf), on.astype(np.int32)


def cast_box(eye: np.ndarray, rays: np.ndarray, thing: ToyObject) -> np.ndarray:
    """(n,) how far along each ray (n, 3) from `eye` a box begins, inf where it is missed."""
    R, centre = thing.T_world_object[:3, :3], thing.T_world_object[:3, 3]
    start, direction, half = (eye - centre) @ R, rays @ R, np.asarray(thing.size_m) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (-half - start) / direction, (half - start) / direction
    enter, leave = np.minimum(a, b).max(axis=1), np.maximum(a, b).min(axis=1)
    return np.where((enter <= leave) & (enter > 0), enter, np.inf)


def _ball(eye: np.ndarray, rays: np.ndarray, thing: ToyObject) -> np.ndarray:
    start, radius = eye - np.asarray(thing.centre_m), thing.size_m[0] / 2
    a, b = (rays**2).sum(axis=1), rays @ start
    root = b**2 - a * (start @ start - radius**2)
    t = (-b - np.sqrt(np.maximum(root, 0))) / a
    return np.where((root >= 0) & (t > 0), t, np.inf)
