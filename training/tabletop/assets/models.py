"""Geometries of every source, extracted once and cached as arrays.

A geometry is grounded (footprint centred, lowest point at z = 0) and comes with the poses in
which it can lie still, found from its convex hull.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

from training.tabletop.assets import kinds
from training.tabletop.assets.mesh_cache import cached
from training.tabletop.assets.meshes import Geometry, Part, load_mjcf, load_trimesh, merge_parts
from training.tabletop.assets.packages import (
    libero_assets,
    metaworld_assets,
    pybullet_assets,
    robosuite_assets,
)
from training.tabletop.assets.palette import SLOT_PARTS
from training.tabletop.assets.procedural_mesh import build

_LIBERO_GROUPS = (
    "stable_scanned_objects",
    "stable_hope_objects",
    "turbosquid_objects",
    "custom_objects",
)


@dataclass(frozen=True)
class Model:
    """A household model of another package."""

    load: Callable[[], Geometry]
    names: tuple[str, ...]
    category: str
    source: str
    color: str | None = None
    """Dominant colour as shipped ("" = no single word); None: only painted variants exist."""
    also: tuple[str, ...] = ()
    maybe: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()
    recolor: int = 4
    lies: bool = False


@dataclass
class Loaded:
    """A geometry with its source and which of its parts take paint."""

    geometry: Geometry
    source: str
    painted: tuple[bool, ...] = ()
    model: Model | None = None


_UP = trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])  # files with y up


def _bullet(path: str, longest_m: float, turn: bool = False) -> Callable[[], Geometry]:
    return lambda: (
        load_trimesh(pybullet_assets() / path)
        .transformed(_UP if turn else np.eye(4))
        .resized(longest_m)
    )


def _suite(name: str, longest_m: float) -> Callable[[], Geometry]:
    return lambda: load_mjcf(robosuite_assets() / "objects" / f"{name}.xml", group=None).resized(
        longest_m
    )


def _stl_group(
    folder: str, colors: dict[str, tuple[float, float, float]], longest_m: float
) -> Callable[[], Geometry]:
    def load() -> Geometry:
        root = metaworld_assets() / "meshes" / folder
        parts = [
            load_trimesh(root / f"{name}.stl", rgba=(*rgb, 1.0)).parts[0]
            for name, rgb in colors.items()
        ]
        merged: dict[tuple, list[Part]] = {}
        for part in parts:
            merged.setdefault(part.rgba, []).append(part)
        return Geometry([merge_parts(group) for group in merged.values()]).resized(longest_m)

    return load


_DARK, _STEEL, _LIGHT = (0.08, 0.08, 0.09), (0.62, 0.63, 0.65), (0.88, 0.88, 0.87)
MODELS: dict[str, Model] = {
    "m-toymug": Model(
        _bullet("objects/mug.obj", 0.12),
        ("mug", "cup"),
        "tableware",
        "pybullet",
        colors=("blue", "green", "yellow", "purple", "turquoise", "pink", "gray"),
    ),
    "m-duck": Model(
        _bullet("duck.obj", 0.11, turn=True),
        ("duck", "toy duck"),
        "toy",
        "pybullet",
        colors=("yellow", "white", "pink", "blue", "green", "orange"),
    ),
    "m-teddy": Model(
        _bullet("teddy2_VHACD_CHs.obj", 0.14, turn=True),
        ("teddy bear", "toy bear"),
        "toy",
        "pybullet",
        colors=("brown", "white", "pink", "gray"),
    ),
    "m-bunny": Model(
        _bullet("bunny.obj", 0.12), ("bunny", "rabbit", "toy rabbit"), "toy", "pybullet", recolor=6
    ),
    "m-lego": Model(
        _bullet("lego/lego.obj", 0.06, turn=True),
        ("lego brick", "toy brick"),
        "toy",
        "pybullet",
        colors=("red", "blue", "yellow", "green", "white", "black"),
        maybe=("block", "brick", "cube"),
        recolor=6,
    ),
    "m-bottle": Model(_suite("bottle", 0.18), ("bottle",), "container", "robosuite", recolor=6),
    "m-bread": Model(
        _suite("bread-visual", 0.09),
        ("bread", "loaf of bread"),
        "food",
        "robosuite",
        color=None,
        colors=("brown", "orange"),
        recolor=2,
    ),
    "m-soda": Model(
        _suite("can-visual", 0.11),
        ("soda can", "can"),
        "drink",
        "robosuite",
        maybe=("tin", "cylinder"),
        recolor=7,
        lies=True,
    ),
    "m-cereal": Model(
        _suite("cereal-visual", 0.2),
        ("cereal box", "box"),
        "food",
        "robosuite",
        maybe=("carton", "package"),
        recolor=6,
        lies=True,
    ),
    "m-lemon": Model(
        _suite("lemon", 0.075),
        ("lemon",),
        "food",
        "robosuite",
        color="yellow",
        maybe=("fruit",),
        colors=("green",),
        recolor=1,
    ),
    "m-thermos": Model(
        _stl_group(
            "thermos",
            {
                "therm_body": (0.7, 0.1, 0.1),
                "therm_base": _DARK,
                "therm_cap": _DARK,
                "therm_handle": _DARK,
                "therm_trim": _STEEL,
            },
            0.2,
        ),
        ("thermos", "flask"),
        "container",
        "metaworld",
        maybe=("bottle",),
        recolor=6,
    ),
    "m-coffeemachine": Model(
        _stl_group(
            "coffeemachine",
            {
                "body1": (0.3, 0.3, 0.3),
                "body2": (0.3, 0.3, 0.3),
                "bodypiece1": _STEEL,
                "bodypiece2": _STEEL,
                "bodypiece3": _STEEL,
                "spout": _DARK,
                "spoutconnect": _DARK,
                "button": _LIGHT,
            },
            0.26,
        ),
        ("coffee machine", "coffee maker"),
        "appliance",
        "metaworld",
        recolor=4,
    ),
}


def libero_file(name: str) -> Path:
    """The MJCF file of a LIBERO object folder."""
    root = libero_assets()
    for group in _LIBERO_GROUPS:
        path = root / group / name / f"{name}.xml"
        if path.is_file():
            return path
    return root / "articulated_objects" / f"{name}.xml"


def _load_libero(name: str) -> Geometry:
    geometry = load_mjcf(libero_file(name))
    if kinds.LIBERO[name].turn == "x90":
        geometry = geometry.transformed(
            trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])
        )
    if len(geometry.parts) > SLOT_PARTS:  # drawers of one cabinet share two materials
        groups: dict[bytes, list[Part]] = {}
        for part in geometry.parts:
            key = b"" if part.texture is None else part.texture[::64, ::64].tobytes()
            groups.setdefault(key, []).append(part)
        geometry = Geometry([merge_parts(g) for g in groups.values()])
    return geometry


def _random_mesh(name: str) -> Geometry | None:
    number = int(name[1:])
    rng = np.random.default_rng(number)
    path = pybullet_assets() / "random_urdfs" / f"{number:03d}" / f"{number:03d}.obj"
    geometry = load_trimesh(path)
    extent = geometry.extent_m()
    if not np.isfinite(extent).all() or extent.max() < 1e-6:  # one of the files is empty
        return None
    if _in_pieces(geometry.parts[0]):
        return None
    return geometry.resized(float(rng.uniform(0.05, 0.15)))


def _in_pieces(part: Part) -> bool:
    """Whether a gap across some axis cuts the mesh in two (a few files hold floating pieces)."""
    tri_F33 = part.verts_V3[part.faces_F3]
    for axis in range(3):
        low, high = tri_F33[..., axis].min(1), tri_F33[..., axis].max(1)
        order = np.argsort(low)
        reach = np.maximum.accumulate(high[order])
        if (low[order][1:] > reach[:-1] + 0.01 * np.ptp(tri_F33[..., axis])).any():
            return True
    return False


def load_geometries(sources: tuple[str, ...], n_random: int) -> dict[str, Loaded]:
    """Name to geometry for every chosen source; slow work is cached per source."""
    out: dict[str, Loaded] = {}
    if "libero" in sources and libero_assets().is_dir():
        names = sorted(kinds.LIBERO)
        for name, geometry in cached("libero", names, _load_libero).items():
            out[name] = Loaded(geometry.grounded(), "libero")
    if "shapes" in sources:
        for kind_name, kind in kinds.SHAPES.items():
            for i in range(kind.shapes):
                seed = int.from_bytes(
                    hashlib.sha256(f"{kind_name}{i}".encode()).digest()[:4], "big"
                )
                geometry, painted = build(kind, seed)
                out[f"s-{kind_name}.{i}"] = Loaded(geometry, "shapes", tuple(painted))
    if "random" in sources and pybullet_assets().is_dir():
        names = [f"r{i:03d}" for i in range(n_random)]
        for name, geometry in cached("random", names, _random_mesh).items():
            out[name] = Loaded(geometry.grounded(), "random", (True,))
    if "models" in sources:
        # What is installed is part of the key: a package added later must not be missed.
        homes = (pybullet_assets(), robosuite_assets(), metaworld_assets())
        label = "models-" + "".join("01"[home.is_dir()] for home in homes)
        for name, geometry in cached(label, sorted(MODELS), _load_model).items():
            first = tuple(i == 0 for i in range(len(geometry.parts)))
            out[name] = Loaded(geometry.grounded(), "models", first, MODELS[name])
    return out


def _load_model(name: str) -> Geometry | None:
    try:
        return MODELS[name].load()
    except (OSError, ValueError):  # the package is not installed: the gallery is smaller
        return None
