"""Procedural shapes, drawn from a seed.

Every maker returns its pieces in metres, z up. The numbers are the everyday sizes of such things,
jittered.
"""

from __future__ import annotations

import numpy as np
import trimesh
from trimesh.creation import box, cone, cylinder, icosphere, torus

from training.tabletop.assets.procedural_mesh import (
    Pieces,
    Rng,
    at,
    handle,
    lathe,
    merged,
    tube,
    vessel,
)


def ball(r: Rng) -> Pieces:
    return [("body", icosphere(subdivisions=3, radius=r.uniform(0.02, 0.05)))]


def cube(r: Rng) -> Pieces:
    return [("body", box(extents=3 * [r.uniform(0.03, 0.07)]))]


def block(r: Rng) -> Pieces:
    a = r.uniform(0.025, 0.05)
    return [("body", box(extents=[a, a * r.uniform(1.6, 3.2), a * r.uniform(0.5, 1.0)]))]


def cylinder_shape(r: Rng) -> Pieces:
    return [("body", cylinder(radius=r.uniform(0.018, 0.04), height=r.uniform(0.05, 0.12)))]


def cone_shape(r: Rng) -> Pieces:
    return [("body", cone(radius=r.uniform(0.025, 0.045), height=r.uniform(0.06, 0.12)))]


def ring(r: Rng) -> Pieces:
    major = r.uniform(0.03, 0.05)
    return [("body", torus(major_radius=major, minor_radius=major * r.uniform(0.18, 0.35)))]


def pyramid(r: Rng) -> Pieces:
    return [
        ("body", cone(radius=r.uniform(0.035, 0.055), height=r.uniform(0.05, 0.09), sections=4))
    ]


def hexagonal_prism(r: Rng) -> Pieces:
    return [
        ("body", cylinder(radius=r.uniform(0.025, 0.04), height=r.uniform(0.03, 0.08), sections=6))
    ]


def wedge(r: Rng) -> Pieces:
    a = r.uniform(0.04, 0.06)
    tri = trimesh.creation.extrude_triangulation(
        np.array([[0, 0], [a * 1.5, 0], [0, a]]), np.array([[0, 1, 2]]), a
    )
    return [
        ("body", tri.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])))
    ]


def arch(r: Rng) -> Pieces:
    a = r.uniform(0.02, 0.03)
    return [
        (
            "body",
            merged(
                [
                    at(box(extents=[a, a, 2 * a]), -1.5 * a, 0, 0),
                    at(box(extents=[a, a, 2 * a]), 1.5 * a, 0, 0),
                    at(box(extents=[4 * a, a, a]), 0, 0, 1.5 * a),
                ]
            ),
        )
    ]


def cross(r: Rng) -> Pieces:
    a = r.uniform(0.018, 0.03)
    return [("body", merged([box(extents=[4 * a, a, a]), box(extents=[a, 4 * a, a])]))]


def star(r: Rng) -> Pieces:
    outer = r.uniform(0.035, 0.055)
    angles = np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2, outer * 0.45, outer)
    rim = np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)
    verts = np.concatenate([[[0, 0]], rim])
    faces = np.array([[0, i + 1, (i + 1) % 10 + 1] for i in range(10)])
    return [("body", trimesh.creation.extrude_triangulation(verts, faces, outer * 0.45))]


def bowl(r: Rng) -> Pieces:
    rad, h = r.uniform(0.05, 0.085), r.uniform(0.035, 0.06)
    t, power = np.linspace(0.25, 1, 9), r.uniform(0.5, 0.75)
    profile = [(rad * s**power, h * (s - 0.25) / 0.75) for s in t]
    return [("body", vessel(profile, 0.004, 0.005))]


def plate(r: Rng) -> Pieces:
    rad = r.uniform(0.07, 0.12)
    return [("body", vessel([(rad * 0.6, 0), (rad * 0.75, 0.006), (rad, 0.018)], 0.004, 0.004))]


def cup(r: Rng) -> Pieces:
    low, top, h = r.uniform(0.026, 0.034), r.uniform(0.036, 0.046), r.uniform(0.08, 0.12)
    return [("body", vessel([(low, 0), ((low + top) / 2, h / 2), (top, h)], 0.003, 0.005))]


def mug(r: Rng) -> Pieces:
    rad, h = r.uniform(0.034, 0.045), r.uniform(0.075, 0.11)
    low = rad * r.uniform(0.8, 1.05)
    body = vessel([(low, 0), (rad, h * 0.4), (rad, h)], 0.004, 0.006)
    return [
        (
            "body",
            merged([body, handle(rad * 0.97, h / 2, 0.026, h * 0.6, 0.005)]),
        )
    ]


def bottle(r: Rng) -> Pieces:
    """Squat to medium bottles with wide shoulders (shampoo, water): not wine-shaped."""
    rad, h = r.uniform(0.028, 0.042), r.uniform(0.11, 0.17)
    neck, shoulder = rad * r.uniform(0.4, 0.6), h * r.uniform(0.7, 0.85)
    body = lathe([(0, 0), (rad, 0), (rad, shoulder), (neck, h * 0.92), (neck, h), (0, h)])
    cap = at(cylinder(radius=neck * 1.2, height=0.02), 0, 0, h + 0.008)
    return [("body", body), (str(r.choice(["white", "dark", "metal"])), cap)]


def jar(r: Rng) -> Pieces:
    rad, h = r.uniform(0.03, 0.045), r.uniform(0.06, 0.1)
    body = lathe([(0, 0), (rad, 0), (rad * 1.04, h * 0.5), (rad, h * 0.9), (rad * 0.85, h), (0, h)])
    lid = at(cylinder(radius=rad * 0.92, height=0.018), 0, 0, h + 0.009)
    return [("body", body), (str(r.choice(["metal", "white", "dark"])), lid)]


def vase(r: Rng) -> Pieces:
    rad, h = r.uniform(0.035, 0.05), r.uniform(0.12, 0.18)
    t = np.linspace(0, 1, 12)
    bulge = 0.65 + 0.35 * np.sin(np.pi * (t * r.uniform(0.9, 1.25) + 0.05))
    return [
        ("body", vessel([(rad * b, h * s) for b, s in zip(bulge, t, strict=True)], 0.004, 0.006))
    ]


def pitcher(r: Rng) -> Pieces:
    rad, h = r.uniform(0.042, 0.055), r.uniform(0.12, 0.17)
    body = vessel(
        [(rad, 0), (rad * 1.1, h * 0.35), (rad * 0.75, h * 0.75), (rad * 0.9, h)], 0.004, 0.006
    )
    return [
        (
            "body",
            merged([body, handle(rad * 0.85, h * 0.55, 0.035, h * 0.55, 0.006)]),
        )
    ]


def teapot(r: Rng) -> Pieces:
    rad = r.uniform(0.045, 0.06)
    body = icosphere(subdivisions=3, radius=rad).apply_scale([1, 1, 0.8])
    spout = tube(
        np.array(
            [[-rad * 0.8, 0, -rad * 0.1], [-rad * 1.25, 0, rad * 0.2], [-rad * 1.5, 0, rad * 0.6]]
        ),
        0.009,
    )
    knob = at(icosphere(subdivisions=2, radius=0.011), 0, 0, rad * 0.88)
    return [
        (
            "body",
            merged([body, spout, knob, handle(rad * 0.8, 0, rad * 0.65, rad * 1.1, 0.006)]),
        )
    ]


def saucepan(r: Rng) -> Pieces:
    """Deep, straight walls, one long handle that may be of another colour."""
    rad, h = r.uniform(0.06, 0.085), r.uniform(0.06, 0.1)
    body = vessel([(rad * 0.95, 0), (rad, h * 0.3), (rad, h)], 0.004, 0.005)
    grip = np.array([[rad * 0.98, 0, h * 0.82], [rad + r.uniform(0.1, 0.15), 0, h * 0.95]])
    return [("body", body), (str(r.choice(["dark", "wood", "metal", "body"])), tube(grip, 0.009))]


def wok(r: Rng) -> Pieces:
    """Round-bottomed and wide, one handle that rises."""
    rad, h = r.uniform(0.1, 0.13), r.uniform(0.045, 0.065)
    t = np.linspace(0.3, 1, 9)
    body = vessel([(rad * s, h * ((s - 0.3) / 0.7) ** 1.8) for s in t], 0.004, 0.004)
    grip = np.array([[rad * 0.97, 0, h * 0.95], [rad + r.uniform(0.1, 0.14), 0, h * 1.5]])
    return [("body", body), (str(r.choice(["dark", "wood"])), tube(grip, 0.01))]


def kettle(r: Rng) -> Pieces:
    """Wide at the foot, a spout at one side, a bow handle over the lid."""
    rad, h = r.uniform(0.06, 0.075), r.uniform(0.09, 0.13)
    top = rad * r.uniform(0.45, 0.65)
    body = lathe([(0, 0), (rad, 0), (rad, h * 0.35), (top, h), (0, h)])
    lid = at(icosphere(subdivisions=2, radius=0.012), 0, 0, h + 0.008)
    spout = np.array([[-rad * 0.85, 0, h * 0.4], [-rad * 1.4, 0, h * 0.95]])
    angles = np.linspace(0, np.pi, 9)
    reach, rise = (rad + top) / 2, h * r.uniform(0.45, 0.65)
    bow = np.stack([reach * np.cos(angles), 0 * angles, h * 0.8 + rise * np.sin(angles)], 1)
    return [
        ("body", merged([body, tube(spout, 0.01)])),
        (
            str(r.choice(["dark", "wood", "metal"])),
            merged([lid, tube(bow, 0.006)]),
        ),
    ]


def cooking_pot(r: Rng) -> Pieces:
    rad, h = r.uniform(0.06, 0.085), r.uniform(0.06, 0.09)
    body = vessel([(rad, 0), (rad, h)], 0.004, 0.005)
    grips = [
        tube(
            np.array(
                [
                    [s * rad, -0.02, h * 0.8],
                    [s * (rad + 0.025), -0.015, h * 0.8],
                    [s * (rad + 0.025), 0.015, h * 0.8],
                    [s * rad, 0.02, h * 0.8],
                ]
            ),
            0.005,
        )
        for s in (-1, 1)
    ]
    return [("body", body), ("dark", merged(grips))]


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
