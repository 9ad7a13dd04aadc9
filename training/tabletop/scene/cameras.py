"""Random cameras and lamps. World: z up, metres; cameras: OpenCV axes."""

from __future__ import annotations

import numpy as np

from training.tabletop.assets.palette import Camera, Light


def look_at(eye: np.ndarray, target: np.ndarray, roll_rad: float = 0.0) -> np.ndarray:
    """(4, 4) camera-to-world of a camera at `eye` that looks at `target`, both world metres."""
    z = (target - eye) / np.linalg.norm(target - eye)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= max(float(np.linalg.norm(x)), 1e-9)
    y = np.cross(z, x)
    c, s = np.cos(roll_rad), np.sin(roll_rad)
    T = np.eye(4)
    T[:3, :3] = np.stack([c * x + s * y, -s * x + c * y, z], 1)
    T[:3, 3] = eye
    return T


def sample_camera(rng: np.random.Generator, points_N3: np.ndarray, aspect: float) -> Camera:
    """A camera that sees most of the points (world metres) from a plausible place."""
    fovy = float(rng.uniform(32, 62))
    elevation = np.radians(rng.uniform(18, 68))
    azimuth = np.radians(-90 + np.clip(rng.normal(0, 28), -70, 70))
    target, fit = _aim(rng, points_N3, aspect, fovy, spread_m=0.03)
    distance = max(fit * rng.uniform(0.5, 1.05), 0.34)
    eye = _eye(target, distance, elevation, azimuth, lowest_m=0.12)
    roll = np.radians(rng.normal(0, 2.5) if rng.random() < 0.85 else rng.uniform(-14, 14))
    return Camera(look_at(eye, target, roll), fovy)


def wide_camera(rng: np.random.Generator, points_N3: np.ndarray, aspect: float) -> Camera:
    """A camera from anywhere that robots have one: low, high, straight down, near, far, turned."""
    fovy = float(rng.uniform(28, 84))
    below, above = ((6, 25), (20, 66), (62, 89))[int(rng.choice(3, p=(0.3, 0.35, 0.35)))]
    elevation = np.radians(rng.uniform(below, above))
    azimuth = np.radians(-90 + np.clip(rng.normal(0, 45), -110, 110))
    target, fit = _aim(rng, points_N3, aspect, fovy, spread_m=0.06)
    distance = max(fit * rng.uniform(0.4, 1.7), 0.3)
    eye = _eye(target, distance, elevation, azimuth, lowest_m=0.08)
    looks_down = elevation > np.radians(66)  # as a wrist does, whichever way it is turned
    roll_deg = rng.uniform(-180, 180) if looks_down and rng.random() < 0.5 else rng.normal(0, 9)
    return Camera(look_at(eye, target, np.radians(roll_deg)), fovy)


def _aim(
    rng: np.random.Generator, points_N3: np.ndarray, aspect: float, fovy: float, spread_m: float
) -> tuple[np.ndarray, float]:
    """A target near the middle of the points, and the distance in metres from which they fit."""
    target = (points_N3.min(0) + points_N3.max(0)) / 2 + rng.normal(0, spread_m, 3)
    radius = float(np.linalg.norm(np.ptp(points_N3, axis=0))) / 2
    return target, radius / np.sin(np.radians(fovy) / 2) / max(aspect, 1) ** 0.5


def _eye(
    target: np.ndarray, distance: float, elevation: float, azimuth: float, lowest_m: float
) -> np.ndarray:
    """Where the camera stands, world metres; angles in radians, seen from the target."""
    flat = np.cos(elevation)
    away = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
    eye = target + distance * away
    eye[2] = max(eye[2], lowest_m)
    return eye


def wide_lights(rng: np.random.Generator) -> tuple[list[Light], np.ndarray]:
    """Up to four lamps of any colour, hard or soft, from any side, and (3,) ambient light."""
    cast = rng.uniform(0.0, 0.3)
    ambient = rng.uniform(0.08, 0.65) * (1 + cast * rng.uniform(-1, 1, 3))
    hard = rng.random() < 0.5
    lights = []
    for i in range(int(rng.integers(1, 5))):
        angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 2.6)
        reach = rng.uniform(0.1, 2.4)
        pos = np.array([reach * np.cos(angle), reach * np.sin(angle), height])
        aim = rng.normal(0, 0.2, 3) * [1, 1, 0] - pos
        power = rng.uniform(0.35, 0.95) if i == 0 else rng.uniform(0.05, 0.4)
        tint = 1 + cast * rng.uniform(-1, 1, 3)
        shine = power * rng.uniform(0.1, 1.0)
        lights.append(
            Light(
                pos, aim / np.linalg.norm(aim), power * tint, np.full(3, shine),
                directional=bool(rng.random() < 0.5), castshadow=bool(i == 0 and hard),
            )
        )  # fmt: skip
    return lights, ambient


def sample_lights(rng: np.random.Generator) -> tuple[list[Light], np.ndarray]:
    """One to three lamps, the first with a shadow most of the time, and (3,) ambient light."""
    warmth = rng.uniform(-0.12, 0.12)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    ambient = rng.uniform(0.25, 0.5) * tint
    lights = []
    for i in range(int(rng.integers(1, 4))):
        angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 2.2)
        reach = rng.uniform(0.3, 1.8)
        pos = np.array([reach * np.cos(angle), reach * np.sin(angle), height])
        aim = rng.normal(0, 0.1, 3) * [1, 1, 0] - pos
        power = rng.uniform(0.3, 0.6) if i == 0 else rng.uniform(0.08, 0.3)
        lights.append(
            Light(
                pos,
                aim / np.linalg.norm(aim),
                power * tint,
                np.full(3, power * rng.uniform(0.1, 0.6)),
                directional=bool(rng.random() < 0.6),
                castshadow=bool(i == 0 and rng.random() < 0.85),
            )
        )
    return lights, ambient
