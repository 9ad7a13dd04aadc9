"""Dishes, bottles, pots and pans, drawn from a seed.

Every maker returns its pieces in metres, z up. The numbers are the everyday sizes of such ware,
jittered.
"""

from __future__ import annotations

import numpy as np
from trimesh.creation import cylinder, icosphere

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
