"""Tools, stationery, boxes and fruit, drawn from a seed.

Every maker returns its pieces in metres, z up. The numbers are the everyday sizes of such objects,
jittered.
"""

from __future__ import annotations

import numpy as np
import trimesh
from trimesh.creation import box, cone, cylinder, icosphere

from training.tabletop.assets.procedural_mesh import (
    Pieces,
    Rng,
    at,
    lathe,
    merged,
    tube,
)


def candle(r: Rng) -> Pieces:
    rad, h = r.uniform(0.015, 0.035), r.uniform(0.05, 0.12)
    wick = at(cylinder(radius=0.0015, height=0.014), 0, 0, h + 0.005)
    return [("body", at(cylinder(radius=rad, height=h), 0, 0, h / 2)), ("dark", wick)]


def spoon(r: Rng) -> Pieces:
    length = r.uniform(0.14, 0.2)
    head = at(icosphere(subdivisions=2, radius=0.022).apply_scale([1.4, 1, 0.3]), 0, 0, 0)
    return [
        (
            "body",
            merged([head, tube(np.array([[0.02, 0, 0], [length, 0, 0.012]]), 0.004)]),
        )
    ]


def spatula(r: Rng) -> Pieces:
    length = r.uniform(0.18, 0.25)
    blade = box(extents=[0.08, 0.06, 0.004])
    return [("body", blade), ("dark", tube(np.array([[0.03, 0, 0], [length, 0, 0.02]]), 0.006))]


def pen(r: Rng) -> Pieces:
    length, rad = r.uniform(0.12, 0.15), r.uniform(0.004, 0.008)
    tip = cone(radius=rad, height=0.015)
    body = at(cylinder(radius=rad, height=length), 0, 0, -length / 2)
    flat = trimesh.transformations.rotation_matrix(np.pi / 2, [0, 1, 0])
    return [("body", body.apply_transform(flat)), ("dark", tip.apply_transform(flat))]


def book(r: Rng) -> Pieces:
    w, h, t = r.uniform(0.1, 0.14), r.uniform(0.15, 0.2), r.uniform(0.014, 0.035)
    covers = [at(box(extents=[w, h, 0.003]), 0, 0, s * t / 2) for s in (-1, 1)]
    spine = at(box(extents=[0.003, h, t]), -w / 2, 0, 0)
    pages = box(extents=[w * 0.96, h * 0.96, t * 0.95])
    return [("body", merged([*covers, spine])), ("page", pages)]


def phone(r: Rng) -> Pieces:
    w, h = r.uniform(0.066, 0.078), r.uniform(0.14, 0.16)
    return [
        ("body", box(extents=[w, h, 0.008])),
        ("dark", at(box(extents=[w * 0.94, h * 0.95, 0.001]), 0, 0, 0.0045)),
    ]


def remote(r: Rng) -> Pieces:
    h = r.uniform(0.14, 0.19)
    keys = [
        at(box(extents=[0.008, 0.006, 0.003]), x, y, 0.012)
        for x in (-0.013, 0, 0.013)
        for y in np.linspace(-h * 0.35, h * 0.35, 6)
    ]
    return [("body", box(extents=[0.046, h, 0.02])), ("white", merged(keys))]


def open_box(r: Rng) -> Pieces:
    w, d, h, t = r.uniform(0.12, 0.2), r.uniform(0.1, 0.16), r.uniform(0.06, 0.1), 0.004
    walls = [
        box(extents=[w, d, t]),
        *[at(box(extents=[t, d, h]), s * w / 2, 0, h / 2) for s in (-1, 1)],
        *[at(box(extents=[w, t, h]), 0, s * d / 2, h / 2) for s in (-1, 1)],
    ]
    return [("body", merged(walls))]


def tray(r: Rng) -> Pieces:
    w, d, h, t = r.uniform(0.22, 0.3), r.uniform(0.15, 0.2), r.uniform(0.018, 0.03), 0.005
    walls = [
        box(extents=[w, d, t]),
        *[at(box(extents=[t, d, h]), s * w / 2, 0, h / 2) for s in (-1, 1)],
        *[at(box(extents=[w, t, h]), 0, s * d / 2, h / 2) for s in (-1, 1)],
    ]
    return [("body", merged(walls))]


def carton_box(r: Rng) -> Pieces:
    return [
        ("body", box(extents=[r.uniform(0.07, 0.14), r.uniform(0.05, 0.1), r.uniform(0.05, 0.14)]))
    ]


def can(r: Rng) -> Pieces:
    rad, h = r.uniform(0.028, 0.038), r.uniform(0.07, 0.12)
    rims = [at(cylinder(radius=rad * 1.01, height=0.006), 0, 0, z) for z in (0.003, h - 0.003)]
    return [
        ("body", at(cylinder(radius=rad, height=h - 0.004), 0, 0, h / 2)),
        ("metal", merged(rims)),
    ]


def sponge(r: Rng) -> Pieces:
    return [
        ("body", box(extents=[r.uniform(0.06, 0.08), r.uniform(0.09, 0.11), 0.02])),
        ("green", at(box(extents=[0.06, 0.09, 0.008]), 0, 0, 0.014)),
    ]


def tape_roll(r: Rng) -> Pieces:
    rad, width = r.uniform(0.03, 0.05), r.uniform(0.018, 0.045)
    hole = rad * r.uniform(0.5, 0.75)
    return [("body", trimesh.creation.annulus(r_min=hole, r_max=rad, height=width))]


def hammer(r: Rng) -> Pieces:
    length = r.uniform(0.18, 0.24)
    lying = trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])
    head = cylinder(radius=0.016, height=0.09).apply_transform(lying)
    return [
        ("metal", at(head, length, 0, 0)),
        ("body", tube(np.array([[0, 0, 0], [length, 0, 0]]), 0.01)),
    ]


def screwdriver(r: Rng) -> Pieces:
    length = r.uniform(0.08, 0.12)
    return [
        ("body", tube(np.array([[0, 0, 0], [0.08, 0, 0]]), 0.013)),
        ("metal", tube(np.array([[0.08, 0, 0], [0.08 + length, 0, 0]]), 0.0035)),
    ]


def apple(r: Rng) -> Pieces:
    rad = r.uniform(0.032, 0.042)
    t = np.linspace(0.02, np.pi - 0.02, 16)
    profile = [
        (
            rad * np.sin(a) * (1 + 0.15 * np.cos(a)),
            -rad * 0.9 * np.cos(a) * (1 - 0.25 * np.exp(-6 * np.sin(a) ** 2)),
        )
        for a in t
    ]
    stem = tube(np.array([[0, 0, rad * 0.6], [0.004, 0, rad * 1.1]]), 0.002)
    return [("body", lathe(profile)), ("wood", stem)]


def banana(r: Rng) -> Pieces:
    a = np.linspace(-0.9, 0.9, 10)
    bend = r.uniform(0.08, 0.1)
    path = np.stack([bend * np.sin(a), bend * np.cos(a), 0 * a], 1)
    return [("body", tube(path, 0.016))]
