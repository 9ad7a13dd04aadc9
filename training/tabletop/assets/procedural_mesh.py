"""Tools for procedural shapes: lathes, sweeps, and the assembly of their pieces.

All lengths in metres, z up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import trimesh
from trimesh import Trimesh
from trimesh.creation import icosphere

from training.tabletop.assets.meshes import Geometry, creased, part_from_triangles

Rng = np.random.Generator
Pieces = list[tuple[str, Trimesh]]
"""("body" | an accent such as "dark", mesh) pairs; "body" takes the variant's colour."""

ACCENTS = {
    "dark": (0.09, 0.09, 0.1, 1.0),
    "metal": (0.66, 0.67, 0.69, 1.0),
    "page": (0.93, 0.91, 0.85, 1.0),
    "wood": (0.62, 0.44, 0.27, 1.0),
    "white": (0.93, 0.93, 0.92, 1.0),
    "green": (0.2, 0.5, 0.2, 1.0),
}


def lathe(profile_N2: list[tuple[float, float]], sections: int = 40) -> Trimesh:
    """Revolve a profile of (radius, height) points about z."""
    return trimesh.creation.revolve(np.array(profile_N2), sections=sections)


def vessel(outer_N2: list[tuple[float, float]], wall: float, floor: float) -> Trimesh:
    """A hollow lathe: the outer profile from the bottom up, then the inner one back down."""
    outer = np.array(outer_N2)
    inner = outer[::-1].copy()
    inner[:, 0] = np.maximum(inner[:, 0] - wall, 1e-4)
    inner[:, 1] = np.maximum(inner[:, 1], outer[0, 1] + floor)
    profile = np.concatenate([[[0, outer[0, 1]]], outer, inner, [[0, outer[0, 1] + floor]]])
    return lathe([tuple(p) for p in profile])


def merged(pieces: Sequence[Trimesh]) -> Trimesh:
    """All pieces as one mesh."""
    return cast(Trimesh, trimesh.util.concatenate(list(pieces)))


def tube(path_N3: np.ndarray, radius: float, sections: int = 10) -> Trimesh:
    """A round tube along a polyline (handles, spouts), with ball joints."""
    pieces = [
        trimesh.creation.cylinder(radius=radius, segment=path_N3[i : i + 2], sections=sections)
        for i in range(len(path_N3) - 1)
    ]
    pieces += [icosphere(subdivisions=1, radius=radius).apply_translation(p) for p in path_N3]
    return merged(pieces)


def handle(radius_at: float, z: float, reach: float, height: float, thick: float) -> Trimesh:
    angles = np.linspace(-np.pi / 2, np.pi / 2, 9)
    path = np.stack(
        [radius_at + reach * np.cos(angles), 0 * angles, z + height / 2 * np.sin(angles)], 1
    )
    return tube(path, thick)


def at(mesh: Trimesh, *xyz: float) -> Trimesh:
    return mesh.apply_translation(xyz)


@dataclass(frozen=True)
class ShapeKind:
    """A procedural kind: how it is made, what it is called, how many shapes and colours."""

    make: Callable[[Rng], Pieces]
    names: tuple[str, ...]
    category: str
    colors: tuple[str, ...] = ()
    """Colour words it comes in; empty means all."""
    maybe: tuple[str, ...] = ()
    """Nouns that somebody might also use: never claimed absent, never a clean positive."""
    patterned: bool = True
    shapes: int = 4
    train_only: bool = False
    """Joined after val and held were drawn: those worlds stay as they were, so that figures of
    different days can be compared."""


def build(kind: ShapeKind, seed: int) -> tuple[Geometry, list[bool]]:
    """A geometry of the kind, and for each part whether it takes the variant's colour."""
    rng = np.random.default_rng(seed)
    parts, painted = [], []
    for role, mesh in kind.make(rng):
        rgba = ACCENTS.get(role, (0.8, 0.8, 0.8, 1.0))
        parts.append(part_from_triangles(*creased(mesh), rgba=rgba))
        painted.append(role == "body")
    return Geometry(parts).grounded(), painted
