"""The field's file: one safetensors file, written atomically, read without running anything.

Layout: eight bytes little-endian header length, a JSON header, raw arrays. The header's
"__metadata__" holds {"format": "find-field", "version": "1", "info": JSON of voxel size and
provenance}. Tensors: ijk, points_world_m, colors, weight, count, and per channel
"<name>.basis" (D, k), "<name>.coefficients" (N, k), "<name>.variance" (N,); since there are any also times_seen and
last_seen_ns.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from find_core.errors import FieldError
from find_core.support.files import check_genuine, replace_file
from find_core.support.formats import Array, Key, check_arrays, check_object
from find_core.support.json_text import json_text
from find_core.support.printable import quoted, shown
from find_core.support.strict_json import parse_json
from find_field.field.data import SEMANTIC, Channel, FieldData

FieldT = TypeVar("FieldT", bound=FieldData)

FORMAT, VERSION = "find-field", 1
# N voxels; of each channel D embedding width and k coefficients. Places lie within 1e7 m, squares of
# which float32 still adds up.
ARRAYS = {
    "ijk": Array("N 3", "int32", -(2**30), 2**30),
    "points_world_m": Array("N 3", "float32", -1e7, 1e7),
    "colors": Array("N 3", "uint8"),
    "weight": Array("N", "float32", low=0),
    "count": Array("N", "int32", low=0),
}
CHANNEL = {
    "basis": Array("D k", "float32", -2, 2),
    "coefficients": Array("N k", "float16"),
    "variance": Array("N", "float16", low=0),
}
# Not in files of before there were any.
SEEN = {
    "times_seen": Array("N", "int32", low=0),
    "last_seen_ns": Array("N", "int64", low=-1),
}
INFO = {"voxel_size_m": Key((float,), 1e-6, 1e4), "provenance": Key((dict,))}
PROVENANCE = {
    "model": Key((str,), optional=True),
    "fingerprint": Key((str,), optional=True),
    "frame": Key((str,), optional=True),
    "frames": Key((int,), low=0, optional=True),
    "source": Key((str,), optional=True),
}


def field_arrays(field: FieldData) -> dict[str, np.ndarray]:
    """All arrays of a field by their names in the file."""
    arrays = {name: getattr(field, name) for name in ARRAYS}
    arrays |= {name: a for name in SEEN if (a := getattr(field, name)) is not None}
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

    metadata = {"format": FORMAT, "version": str(VERSION), "info": json_text(field_info(field))}
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
    check_genuine(path, FieldError)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise FieldError(
            f"{path} is truncated or not a field ({shown(error)}): copy it again, or lift again."
        ) from None
    return metadata, arrays


def _info(metadata: dict[str, str], path: str | Path) -> dict[str, Any]:
    if metadata.get("format") != FORMAT:
        raise FieldError(f"{path} is a safetensors file but no field: find-field lift makes one.")
    version = metadata.get("version", "")
    if version != str(VERSION):
        raise FieldError(
            f"{path} was written by a newer find_field (file version {quoted(version, 20)}, this one "
            f"reads {VERSION}): upgrade with pip install -U find_ros[field]."
        )
    try:
        info = parse_json(metadata.get("info", ""), "The header", FieldError)
        check_object(info, INFO, "The header", FieldError)
        check_object(info["provenance"], PROVENANCE, "The header's provenance", FieldError)
        _check_up(info["provenance"].get("up_world"))
    except FieldError as error:
        raise FieldError(f"{path} is no whole field ({error}): lift again.") from None
    return info


def _check_up(up_world: Any) -> None:
    numbers = up_world if isinstance(up_world, list) and len(up_world) == 3 else [math.nan]
    if up_world is not None and not (
        all(type(v) in (int, float) for v in numbers) and 1e-6 < math.hypot(*numbers) < 1e6
    ):
        raise FieldError("up_world is not a direction")


def _assemble(
    info: dict[str, Any], arrays: dict[str, np.ndarray], path: str | Path, kind: type[FieldT]
) -> FieldT:
    names = {name.split(".")[0] for name in arrays if "." in name} | {SEMANTIC}
    try:
        sizes = check_arrays(arrays, ARRAYS, "it", FieldError)
        seen = {name: wanted for name, wanted in SEEN.items() if name in arrays}
        check_arrays(arrays, seen, "it", FieldError, {"N": sizes["N"]})
        channels = {
            name: _channel(name, arrays, sizes["N"])
            for name in sorted(names, key=lambda n: (n != SEMANTIC, n))
        }
    except FieldError as error:
        raise FieldError(f"{path} is no whole field ({error}): lift again.") from None
    return kind(
        voxel_size_m=float(info["voxel_size_m"]),
        channels=channels,
        provenance=dict(info["provenance"]),
        **{name: arrays[name] for name in (*ARRAYS, *seen)},
    )


def _channel(name: str, arrays: dict[str, np.ndarray], voxels: int) -> Channel:
    layout = {f"{name}.{part}": wanted for part, wanted in CHANNEL.items()}
    sizes = check_arrays(arrays, layout, "it", FieldError, {"N": voxels})
    if not 0 < sizes["k"] <= sizes["D"]:
        raise FieldError(f"{shown(name)} has {sizes['k']} coefficients of width {sizes['D']}")
    return Channel(*(arrays[f"{name}.{part}"] for part in CHANNEL))
