"""The field's file: one safetensors file, written atomically, read without running anything.

Layout: eight bytes little-endian header length, a JSON header, raw arrays. The header's
"__metadata__" holds {"format": "find-field", "version": "1", "info": JSON of voxel size and
provenance}. Tensors: ijk, points_world_m, colors, weight, count, and per channel
"<name>.basis" (D, k), "<name>.coefficients" (N, k), "<name>.variance" (N,).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from find_core.errors import FieldError
from find_core.files import replace_file
from find_field.field.data import SEMANTIC, Channel, FieldData

FieldT = TypeVar("FieldT", bound=FieldData)

FORMAT, VERSION = "find-field", 1
ARRAYS = {"ijk": np.int32, "points_world_m": np.float32, "colors": np.uint8,
          "weight": np.float32, "count": np.int32}  # fmt: skip


def field_arrays(field: FieldData) -> dict[str, np.ndarray]:
    """All arrays of a field by their names in the file."""
    arrays = {name: getattr(field, name) for name in ARRAYS}
    for name, channel in field.channels.items():
        for part in ("basis", "coefficients", "variance"):
            arrays[f"{name}.{part}"] = getattr(channel, part)
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def field_info(field: FieldData) -> dict[str, Any]:
    """What a field holds besides arrays, as JSON."""
    return {"voxel_size_m": field.voxel_size_m, "provenance": field.provenance}


def save(field: FieldData, path: str | Path) -> Path:
    """Write `field` to `path` (any name; `.field` is customary). An old file stays until then."""
    from safetensors.numpy import save_file

    metadata = {"format": FORMAT, "version": str(VERSION), "info": json.dumps(field_info(field))}
    arrays = field_arrays(field)
    replace_file(Path(path), lambda file: save_file(arrays, file, metadata), FieldError)
    return Path(path)


def load(path: str | Path, kind: type[FieldT]) -> FieldT:
    """Read a field that `save` wrote, as `kind`: `FeatureField`, or plain `FieldData`.

    Raises:
        FieldError: no such file, truncated, not a field, or written by a newer version.
    """
    metadata, arrays = _read(Path(path))
    info = _info(metadata, path)
    return _assemble(info, arrays, path, kind)


def _read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FieldError(f"No field at {path}: make one with find-field lift.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise FieldError(
            f"{path} is truncated or not a field ({str(error)[:80]}): copy it again, or lift again."
        ) from None
    return metadata, arrays


def _info(metadata: dict[str, str], path: str | Path) -> dict[str, Any]:
    if metadata.get("format") != FORMAT:
        raise FieldError(f"{path} is a safetensors file but no field: find-field lift makes one.")
    version = metadata.get("version", "")
    if not version.isdigit() or int(version) > VERSION:
        raise FieldError(
            f"{path} was written by a newer find_field (file version {version}, this one reads up "
            f"to {VERSION}): upgrade with pip install -U find_ros[field]."
        )
    try:
        return json.loads(metadata["info"])
    except (KeyError, ValueError):
        raise FieldError(f"{path} has a damaged header: copy it again, or lift again.") from None


def _assemble(
    info: dict[str, Any], arrays: dict[str, np.ndarray], path: str | Path, kind: type[FieldT]
) -> FieldT:
    names = {name.split(".")[0] for name in arrays if "." in name}
    try:
        channels = {
            name: Channel(*(arrays[f"{name}.{part}"] for part in
                            ("basis", "coefficients", "variance")))
            for name in sorted(names, key=lambda n: (n != SEMANTIC, n))
        }  # fmt: skip
        field = kind(
            voxel_size_m=float(info["voxel_size_m"]),
            channels=channels,
            provenance=dict(info["provenance"]),
            **{name: arrays[name] for name in ARRAYS},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FieldError(f"{path} is no whole field (missing {error}): lift again.") from None
    rows = {len(getattr(field, name)) for name in ARRAYS}
    rows |= {len(c.coefficients) for c in channels.values()}
    if SEMANTIC not in channels or len(rows) != 1:
        raise FieldError(f"{path} is no whole field (rows {sorted(rows)}): lift again.")
    return field
