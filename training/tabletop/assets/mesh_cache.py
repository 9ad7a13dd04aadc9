"""Extracted geometries kept between runs: arrays as safetensors, the rest as JSON beside them.

The folder may be shared (`FIND_TABLETOP_CACHE`), so that nothing in it is ever run: a file of it
can hold numbers and text alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch

from find_core.errors import CheckpointError
from find_core.support.files import read_tensors, write_tensors
from find_core.support.json_text import json_text
from training.tabletop.assets.meshes import Geometry, Part
from training.tabletop.assets.packages import cache_folder

CACHE_VERSION = 8
ARRAYS = ("verts_V3", "faces_F3", "uvs_T2", "face_uvs_F3", "texture")


def cached(
    label: str, names: list[str], load: Callable[[str], Geometry | None]
) -> dict[str, Geometry]:
    """The geometries of `names`, from the cache folder or made by `load` and kept there.

    Names whose `load` gives None are left out. A damaged file is made anew.
    """
    key = hashlib.sha256(repr((CACHE_VERSION, label, names)).encode()).hexdigest()[:12]
    path = cache_folder() / f"{label}-{key}.safetensors"
    if path.is_file():
        try:
            return read_geometries(path)
        except CheckpointError:
            pass
    loaded = {n: g for n in names if (g := load(n)) is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_geometries(path, loaded)
    return loaded


def write_geometries(path: Path, geometries: dict[str, Geometry]) -> None:
    """Write named geometries to one file, atomically."""
    tensors, table = {}, []
    for g, (name, geometry) in enumerate(geometries.items()):
        rows = []
        for p, part in enumerate(geometry.parts):
            for field in ARRAYS:
                array = getattr(part, field)
                if array is not None:
                    tensors[f"{g}.{p}.{field}"] = torch.from_numpy(array.copy())
            rows.append({"rgba": [float(c) for c in part.rgba], "specular": float(part.specular)})
        table.append({"name": name, "parts": rows})
    write_tensors(path, tensors, {"geometries": json_text(table)}, CheckpointError)


def read_geometries(path: Path) -> dict[str, Geometry]:
    """The geometries of a file that `write_geometries` wrote.

    Raises:
        CheckpointError: the file is damaged or of another form.
    """
    tensors, texts = read_tensors(path, CheckpointError)
    try:
        table = json.loads(texts["geometries"])
        return {
            row["name"]: Geometry(
                [_part(tensors, f"{g}.{p}.", part) for p, part in enumerate(row["parts"])]
            )
            for g, row in enumerate(table)
        }
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} holds no geometries ({error!r}): delete it, it is made anew."
        ) from None


def _part(tensors: dict[str, torch.Tensor], prefix: str, row: dict) -> Part:
    arrays = {f: tensors[prefix + f].numpy() for f in ARRAYS if prefix + f in tensors}
    red, green, blue, alpha = map(float, row["rgba"])
    return Part(rgba=(red, green, blue, alpha), specular=float(row["specular"]), **arrays)
