"""Arrangements of things to learn places from: those of rendered scenes, and some drawn at random.

World: z up, metres; what everything stands on is at z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from training.tabletop.scene.placement import gap_m

MOST_THINGS = 10
RIM = 24
"""Points of a round thing's rim."""


@dataclass
class Thing:
    """One thing: an upright or lying box, or a cylinder along its own z.

    Attributes:
        centre_m: (3,). axes: (3, 3) columns, its own directions. extent_m: (3,) full lengths.
        parent: index of the thing that it rests on or in; None on the ground. inside: in it.
        taper: (2,) how wide it is at its lower and upper end, of its full width.
        number: its instance id in a rendered scene.
    """

    centre_m: np.ndarray
    axes: np.ndarray
    extent_m: np.ndarray
    is_round: bool = False
    parent: int | None = None
    inside: bool = False
    is_ground: bool = False
    taper: tuple[float, float] = (1.0, 1.0)
    number: int = 0
    hull_P3: np.ndarray = field(init=False)
    """Its outer points, world."""
    outline_N2: np.ndarray = field(init=False)
    """Its convex outline from above."""

    def __post_init__(self) -> None:
        rims = _rims(self.is_round)
        rims[:, :2] *= np.repeat(self.taper, len(rims) // 2)[:, None]
        self.hull_P3 = self.world(rims)
        flat = self.hull_P3[:, :2].astype(np.float32)
        self.outline_N2 = cv2.convexHull(flat)[:, 0].astype(np.float64)

    def world(self, unit_P3: np.ndarray) -> np.ndarray:
        """Points of the unit cube (-.5 to .5) in the world."""
        return (unit_P3 * self.extent_m) @ self.axes.T + self.centre_m

    @property
    def floor_m(self) -> float:
        return float(self.hull_P3[:, 2].min())

    @property
    def top_m(self) -> float:
        return float(self.hull_P3[:, 2].max())


def _rims(is_round: bool) -> np.ndarray:
    """(P, 3) points of a unit cube's corners or of a unit cylinder's rims; the upper half last."""
    if is_round:
        angle = np.linspace(0, 2 * np.pi, RIM, endpoint=False)
        ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) / 2
    else:
        ring = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    low, high = np.full((len(ring), 1), -0.5), np.full((len(ring), 1), 0.5)
    return np.concatenate([np.hstack([ring, low]), np.hstack([ring, high])])


def of_scene(scene: dict[str, Any], rng: np.random.Generator) -> list[Thing]:
    """The things of a rendered scene, and what they stand on."""
    instances = [i for i in scene["instances"] if not i["stuff"]]
    order = rng.permutation(len(instances))[: MOST_THINGS - 1]
    kept = [instances[k] for k in order]
    row_of = {i["id"]: row for row, i in enumerate(kept)}
    rests = {s: (o, name == "in") for s, name, o in scene["relations"]
             if name in ("on", "in") and s in row_of and o in row_of}  # fmt: skip
    things = []
    for instance in kept:
        parent, inside = rests.get(instance["id"], (None, False))
        things.append(
            _of_instance(instance, rng, None if parent is None else row_of[parent], inside)
        )
    tables = [i for i in scene["instances"] if i["stuff"] and i["kind"] in ("table", "floor")]
    if tables:
        ground = _of_instance(tables[0], rng, None, False)
        ground.is_ground = True
        things.append(ground)
    return things


def _of_instance(
    instance: dict[str, Any], rng: np.random.Generator, parent: int | None, inside: bool
) -> Thing:
    extent = np.maximum(np.array(instance["extent_m"]), 0.004)
    is_round = abs(np.log(extent[0] / extent[1])) < 0.05 and rng.random() < 0.7
    axes = np.array(instance["T_world_object"])[:3, :3]
    taper = (1.0, 1.0) if instance["stuff"] else _taper(rng)
    centre = np.array(instance["center_world_m"])
    return Thing(centre, axes, extent, is_round, parent, inside, taper=taper,
                 number=int(instance["id"]))  # fmt: skip


def _taper(rng: np.random.Generator) -> tuple[float, float]:
    """Straight, or narrower at one end."""
    narrow = float(rng.uniform(0.3, 1))
    return [(1.0, 1.0), (1.0, narrow), (narrow, 1.0)][int(rng.integers(3))]


def at_random(rng: np.random.Generator) -> list[Thing]:
    """Things of household sizes that stand about, some on or in others, and a table."""
    things: list[Thing] = []
    spread = rng.uniform(0.15, 0.6)
    for _ in range(int(rng.integers(3, MOST_THINGS))):
        if things and rng.random() < 0.25:
            thing = _resting(things, rng)
        else:
            thing = _standing(things, spread, rng)
        if thing is not None:
            things.append(thing)
    width = spread * rng.uniform(2.2, 6, 2)
    things.append(Thing(np.array([0, 0, -0.02]), np.eye(3), np.append(width, 0.04), is_ground=True))
    return things


def _standing(things: list[Thing], spread: float, rng: np.random.Generator) -> Thing | None:
    extent = np.exp(rng.uniform(np.log([0.03, 0.03, 0.01]), np.log([0.3, 0.3, 0.32])))
    is_round = rng.random() < 0.5
    if is_round:
        extent[1] = extent[0]
    near = things[int(rng.integers(len(things)))].centre_m[:2] if things else np.zeros(2)
    for attempt in range(12):
        place = rng.uniform(-spread, spread, 2)
        if things and rng.random() < 0.4:  # beside another
            place = near + rng.normal(0, 0.13, 2)
        centre = np.append(place, extent[2] / 2)
        thing = Thing(centre, _yaw(rng), extent, is_round, taper=_taper(rng))
        room = 0.0 if attempt > 6 else 0.01
        if all(gap_m(thing.outline_N2, t.outline_N2) > room for t in things if t.parent is None):
            return thing
    return None


def _resting(things: list[Thing], rng: np.random.Generator) -> Thing | None:
    """Something smaller on or in a thing that stands on the ground."""
    n = int(rng.integers(len(things)))
    base = things[n]
    if base.parent is not None or any(t.parent == n for t in things):
        return None
    inside = bool(rng.random() < 0.5)
    extent = base.extent_m * rng.uniform(0.25, 0.75, 3)
    extent[2] = np.exp(rng.uniform(np.log(0.01), np.log(0.2)))
    room = (base.extent_m[:2] - extent[:2]) / 2 * 0.7
    place = base.centre_m[:2] + base.axes[:2, :2] @ (rng.uniform(-1, 1, 2) * room)
    depth = rng.uniform(0.35, 0.95) * base.extent_m[2] if inside else 0.0
    if inside and depth < 0.012:
        return None
    floor = base.top_m - depth
    centre = np.append(place, floor + extent[2] / 2)
    return Thing(centre, base.axes @ _yaw(rng), extent, rng.random() < 0.5, n, inside)


def _yaw(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(-np.pi, np.pi)
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
