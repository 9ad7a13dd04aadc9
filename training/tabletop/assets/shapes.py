"""Geometric solids, drawn from a seed.

Every maker returns its pieces in metres, z up. The numbers are the everyday sizes of such toys,
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
    merged,
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
