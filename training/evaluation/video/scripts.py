"""What happens in a clip: objects come, go, hide and pass each other before a moving camera.

A `Script` holds every object's pose as a function of time. Presence is not scripted: it is read
off the rendered pixels, so that an object that is half out of the image is labelled as it is seen.
Frames: world x right, y away, z up, metres; cameras as OpenCV has them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

SCENARIOS = ("placed", "camera", "occluded", "lookalike", "twins", "absent")
Pose = Callable[[float], np.ndarray]


@dataclass
class Script:
    """One clip before it is rendered.

    Attributes:
        scenario: one of `SCENARIOS`. duration_s: its length.
        moving: object index -> pose (4, 4) in the world at a time; the others rest.
        camera: camera-to-world (4, 4) at a time.
        targets: object indices that the prompt means; empty when it is absent.
    """

    scenario: str
    duration_s: float
    camera: Pose
    moving: dict[int, Pose] = field(default_factory=dict)
    targets: tuple[int, ...] = ()


def ease(u: float) -> float:
    """0 to 1 with no jerk at the ends; constant outside."""
    u = float(np.clip(u, 0, 1))
    return u * u * (3 - 2 * u)


def moved(T_world_object: np.ndarray, offset_m: np.ndarray) -> np.ndarray:
    """The pose shifted by (3,) world metres."""
    out = T_world_object.copy()
    out[:3, 3] += offset_m
    return out


def visit(
    T_rest: np.ndarray, away_m: np.ndarray, come_s: float, go_s: float, move_s: float
) -> Pose:
    """Brought from `away_m` (offset of the resting place) at `come_s`, taken away at `go_s`."""

    def pose(time_s: float) -> np.ndarray:
        far = 1 - ease((time_s - come_s) / move_s) + ease((time_s - go_s) / move_s)
        hop = 0.5 * np.sin(np.pi * np.clip(far, 0, 1))  # over what stands in between
        return moved(T_rest, far * away_m + np.array([0, 0, hop * abs(away_m[0]) * 0.5]))

    return pose


def passing(T_middle: np.ndarray, direction: np.ndarray, reach_m: float,
            middle_s: float, speed_m_s: float) -> Pose:  # fmt: skip
    """Straight through `T_middle` at `middle_s`, at most `reach_m` to either side."""

    def pose(time_s: float) -> np.ndarray:
        way_m = float(np.clip((time_s - middle_s) * speed_m_s, -reach_m, reach_m))
        return moved(T_middle, way_m * direction)

    return pose


def drifting(T_world_camera: np.ndarray, pivot_m: np.ndarray, rng: np.random.Generator) -> Pose:
    """A hand-held camera: slow turns of some degrees around `pivot_m`, and back."""
    phase, rate = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.25, 0.6, 2)
    swing = np.radians(rng.uniform(4, 9))
    rise = rng.uniform(0.005, 0.02)

    def pose(time_s: float) -> np.ndarray:
        angle = swing * np.sin(rate[0] * time_s + phase[0])
        out = turn_z(angle, pivot_m) @ T_world_camera
        return moved(out, np.array([0, 0, rise * np.sin(rate[1] * time_s + phase[1])]))

    return pose


def looking_away(camera: Pose, angle_rad: float, go_s: float, back_s: float, turn_s: float) -> Pose:
    """`camera` that turns sideways by `angle_rad` at `go_s` and back at `back_s`."""

    def pose(time_s: float) -> np.ndarray:
        T = camera(time_s)
        part = ease((time_s - go_s) / turn_s) - ease((time_s - back_s) / turn_s)
        return turn_z(part * angle_rad, T[:3, 3]) @ T

    return pose


def turn_z(angle_rad: float, pivot_m: np.ndarray) -> np.ndarray:
    """(4, 4) rotation around the vertical through `pivot_m`."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    out = np.eye(4)
    out[:2, :2] = [[c, -s], [s, c]]
    out[:3, 3] = pivot_m - out[:3, :3] @ pivot_m
    return out


def write_script(
    scenario: str,
    rest: list[np.ndarray],
    roles: dict[str, int],
    T_world_camera: np.ndarray,
    fov_x_rad: float,
    sizes_m: np.ndarray,
    duration_s: float,
    rng: np.random.Generator,
) -> Script:
    """The script of one scenario.

    Args:
        rest: (4, 4) resting pose of every object. sizes_m: (N, 3) their extents.
        roles: "target" and, by scenario, "twin", "lookalike", "occluder" -> object index.
        T_world_camera: where the camera starts. fov_x_rad: its horizontal field of view.
    """
    target = rest[roles["target"]][:3, 3] if "target" in roles else np.zeros(3)
    camera = drifting(T_world_camera, target, rng)
    script = Script(scenario, duration_s, camera, targets=_targets(roles))
    side = _sideways(T_world_camera)
    sign = float(rng.choice([-1, 1]))
    come, go = rng.uniform(0.15, 0.3) * duration_s, rng.uniform(0.62, 0.8) * duration_s
    away = np.array([sign * rng.uniform(1.1, 1.5), 0, 0.1])
    if scenario in ("placed", "lookalike"):
        pose = visit(rest[roles["target"]], away, come, go, 0.9)
        script.moving[roles["target"]] = pose
    if scenario == "camera":
        angle = sign * 1.25 * fov_x_rad
        script.camera = looking_away(camera, angle, come, go, 1.0)
    for role in ("occluder", "lookalike", "twin"):
        if role in roles and scenario != "absent":
            gap = 0.55 * (sizes_m[roles[role]][:2].max() + sizes_m[roles["target"]][:2].max())
            T = _before(rest[roles["target"]], rest[roles[role]], T_world_camera, gap + 0.02)
            speed = rng.uniform(0.25, 0.4)
            middle = rng.uniform(0.42, 0.55) * duration_s
            script.moving[roles[role]] = passing(T, sign * side, 0.9, middle, speed)
    return script


def _targets(roles: dict[str, int]) -> tuple[int, ...]:
    return tuple(roles[r] for r in ("target", "twin") if r in roles)


def _sideways(T_world_camera: np.ndarray) -> np.ndarray:
    """(3,) the camera's right, level with the floor."""
    right = T_world_camera[:3, 0] * [1, 1, 0]
    return right / np.linalg.norm(right)


def _before(
    T_target: np.ndarray, T_other: np.ndarray, T_world_camera: np.ndarray, gap_m: float
) -> np.ndarray:
    """`T_other` set down `gap_m` before the target, as the camera sees it, on the same surface."""
    toward = (T_world_camera[:3, 3] - T_target[:3, 3]) * [1, 1, 0]
    out = T_other.copy()
    out[:2, 3] = (T_target[:3, 3] + gap_m * toward / np.linalg.norm(toward))[:2]
    out[2, 3] += T_target[2, 3] - T_other[2, 3]
    return out
