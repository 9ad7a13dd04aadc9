"""What stands around the objects: tables, floor, walls and furniture ("stuff").

World frame: z up, metres; the working surface (table top, or the floor) is the plane z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh

from training.tabletop.assets.mesh_cache import cached
from training.tabletop.assets.meshes import Geometry, Part, load_mjcf
from training.tabletop.assets.packages import libero_assets
from training.tabletop.assets.textures import surface_texture

TABLE_SIZES_M: dict[str, tuple[float, float]] = {
    "table-small": (0.8, 0.7),
    "table-medium": (1.1, 0.8),
    "table-wide": (1.5, 0.9),
    "table-long": (2.4, 0.8),
    "table-round": (1.0, 1.0),
    "table-desk": (1.3, 0.65),
}
ROOM_M = 7.0

FURNITURE: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "f-kitchen": (
        "libero_kitchen_tabletop_base_style",
        ("kitchen_background_vis",),
        ("kitchen counter", "kitchen"),
    ),
    "f-fridge": ("libero_kitchen_tabletop_base_style", ("fridge_vis",), ("fridge", "refrigerator")),
    "f-livingroom": (
        "libero_living_room_tabletop_base_style",
        ("living_room_vis",),
        ("wall unit",),
    ),
    "f-coffeetable": (
        "libero_coffee_table_base_style",
        ("short_coffee_table_vis",),
        ("coffee table",),
    ),
    "f-seats": ("libero_coffee_table_base_style", ("coffee_table_seats_vis",), ("sofa", "couch")),
    "f-decoration": (
        "libero_living_room_tabletop_base_style",
        ("wall_decoration_vis",),
        ("wall decoration", "picture"),
    ),
    "f-painting": (
        "libero_study_base_style",
        ("study_wall_painting_vis",),
        ("painting", "picture"),
    ),
    "f-lamp": ("libero_study_base_style", ("floor_lamp_vis",), ("floor lamp", "lamp")),
    "f-plant": ("libero_study_base_style", ("plant_vis",), ("plant", "potted plant")),
    "f-bookshelf": ("libero_study_base_style", ("office_book_shelf_vis",), ("bookshelf",)),
    "f-desk": ("libero_study_base_style", ("desk_vis",), ("desk",)),
}
"""Furniture cut from LIBERO's furnished scenes: scene file, mesh names, what it is called."""


@dataclass
class Stuff:
    """One surrounding surface or piece of furniture of a scene."""

    id: str
    names: list[str]
    geometry: str
    T_world_object: np.ndarray
    texture: np.ndarray | None
    """Replaces the geometry's own look where given."""
    material: str = ""


def slab(width: float, depth: float, thick: float, tile_m: float) -> Geometry:
    """A box whose top is z = 0, with texture coordinates in units of `tile_m`."""
    mesh = trimesh.creation.box(extents=[width, depth, thick])
    mesh.apply_translation([0, 0, -thick / 2])
    return _tiled(mesh, tile_m)


def _tiled(mesh: trimesh.Trimesh, tile_m: float) -> Geometry:
    verts, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    tri = verts[faces]
    axis = np.abs(np.cross(tri[:, 1] - tri[:, 0], tri[:, 2] - tri[:, 0])).argmax(1)
    keep = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    uvs = np.take_along_axis(tri / tile_m, keep[:, None, :].repeat(3, 1), axis=2).reshape(-1, 2)
    flat = tri.reshape(-1, 3).astype(np.float32)  # unwelded: flat shading
    index = np.arange(len(flat), dtype=np.int32).reshape(-1, 3)
    return Geometry([Part(flat, index, uvs.astype(np.float32), index)])


def stuff_geometries(furniture: bool = True) -> dict[str, Geometry]:
    """All surfaces, and LIBERO's furniture where it is installed."""
    out = {name: slab(w, d, 0.04, 0.7) for name, (w, d) in TABLE_SIZES_M.items()}
    disc = trimesh.creation.cylinder(radius=0.5, height=0.04, sections=64)
    out["table-round"] = _tiled(disc.apply_translation([0, 0, -0.02]), 0.7)
    out["floor"] = slab(ROOM_M, ROOM_M, 0.02, 1.0)
    wall = trimesh.creation.box(extents=[ROOM_M, 0.04, 3.0]).apply_translation([0, 0.02, 1.5])
    out["wall"] = _tiled(wall, 1.5)
    if furniture and libero_assets().is_dir():
        out |= cached("furniture", sorted(FURNITURE), _load_furniture)
    return out


def _load_furniture(name: str) -> Geometry:
    scene, meshes, _ = FURNITURE[name]
    facing_us = trimesh.transformations.rotation_matrix(-np.pi / 2, [0, 0, 1])  # files face +x
    loaded = load_mjcf(libero_assets() / "scenes" / f"{scene}.xml", only=meshes)
    return loaded.transformed(facing_us).grounded()


def sample_surroundings(
    rng: np.random.Generator, split: str, available: dict[str, Geometry]
) -> tuple[list[Stuff], float, float]:
    """Stuff for one scene and the half-sizes (x, y) of the free working area, metres."""
    on_floor = rng.random() < 0.12
    floor_z = 0.0 if on_floor else -float(rng.uniform(0.42, 0.8))
    out = [_surface("floor", ["floor", "ground"], floor_z, rng, split)]
    half = (0.6, 0.5)
    if not on_floor:
        name = str(rng.choice(sorted(TABLE_SIZES_M)))
        size = TABLE_SIZES_M[name]
        half = (size[0] / 2 * 0.92, size[1] / 2 * 0.92)
        if name == "table-round":
            half = (0.32, 0.32)
        table = _surface(name, ["table", "tabletop"], 0.0, rng, split)
        out.insert(0, table)
    back = float(rng.uniform(0.55, 2.2))
    if rng.random() < 0.96:
        out.append(_surface("wall", ["wall"], floor_z, rng, split, offset=(0.0, back)))
    for sign in (-1, 1):
        if rng.random() > 0.75:
            continue
        side = float(sign * rng.uniform(1.4, 3.2))
        wall = _surface("wall", ["wall"], floor_z, rng, split)
        quarter = trimesh.transformations.rotation_matrix(-np.sign(side) * np.pi / 2, [0, 0, 1])
        quarter[:3, 3] = [side, 0, floor_z]
        wall.T_world_object = quarter
        out.append(wall)
    if back > 1.0:
        out += _furniture(rng, available, floor_z, back)
    return out, *half


def _surface(
    geometry: str,
    names: list[str],
    z: float,
    rng: np.random.Generator,
    split: str,
    offset: tuple[float, float] = (0.0, 0.0),
) -> Stuff:
    texture, material = surface_texture(rng, split)
    T = np.eye(4)
    T[:3, 3] = [*offset, z]
    if material:
        names = [*names, f"{material} {names[0]}"]
    return Stuff(geometry, names, geometry, T, texture, material)


def _furniture(
    rng: np.random.Generator, available: dict[str, Geometry], floor_z: float, back: float
) -> list[Stuff]:
    names = [n for n in sorted(available) if n.startswith("f-")]
    out: list[Stuff] = []
    spans: list[tuple[float, float]] = []
    for name in rng.permutation(names)[:3]:
        size = available[name].extent_m()
        x = float(rng.uniform(-1.6, 1.6))
        span = (x - size[0] / 2, x + size[0] / 2)
        clear = size[1] < back - 0.5 and not any(a < span[1] and span[0] < b for a, b in spans)
        if not clear or rng.random() < 0.25:
            continue
        spans.append(span)
        T = np.eye(4)
        hung = name in ("f-decoration", "f-painting")
        T[:3, 3] = [x, back - size[1] / 2 - 0.01, floor_z + (1.0 if hung else 0.0)]
        out.append(Stuff(str(name), list(FURNITURE[str(name)][2]), str(name), T, None))
    return out
