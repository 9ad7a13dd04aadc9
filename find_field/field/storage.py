"""The field's file: one safetensors file, written atomically, read without running anything.

Layout: eight bytes little-endian header length, a JSON header, raw arrays. The header's
"__metadata__" holds {"format": "find-field", "version": "1", "info": JSON of voxel size and
provenance}. Tensors: ijk, points_world_m, colors, weight, count, and per channel
"<name>.basis" (D, k), "<name>.coefficients" (N, k), "<name>.variance" (N,); since there are any also times_seen and
last_seen_ns. Large fields also hold "semantic.search" (N, k) and "semantic.search_factor" (N,), what a query
looks at first; readers of before there were any pass over them.

A file can be mapped instead of read. Then shapes and types are checked at once, values block by block
when rows of a block are first used (`BlockCheck`).
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
from find_field.field.blocks import BlockCheck
from find_field.field.data import SEMANTIC, Channel, FieldData
from find_field.field.quantized import QuantizedVectors

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
SEARCH = {
    "semantic.search": Array("N k", "int8"),
    "semantic.search_factor": Array("N", "float32", low=0),
}
SEARCH_FROM = 300_000
"""Voxels from which on a field is saved with its search index, half as large again."""
INFO = {"voxel_size_m": Key((float,), 1e-6, 1e4), "provenance": Key((dict,))}
PROVENANCE = {
    "model": Key((str,), optional=True),
    "fingerprint": Key((str,), optional=True),
    "frame": Key((str,), optional=True),
    "frames": Key((int,), low=0, optional=True),
    "source": Key((str,), optional=True),
}


def field_arrays(field: FieldData) -> dict[str, np.ndarray]:
    """All arrays of a field by their names in the file, without its search index."""
    field.check()
    arrays = {name: getattr(field, name) for name in ARRAYS}
    arrays |= {name: a for name in SEEN if (a := getattr(field, name)) is not None}
    for name, channel in field.channels.items():
        for part in ("basis", "coefficients", "variance"):
            arrays[f"{name}.{part}"] = getattr(channel, part)
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def field_info(field: FieldData) -> dict[str, Any]:
    """What a field holds besides arrays, as JSON."""
    return {"voxel_size_m": field.voxel_size_m, "provenance": field.provenance}


def save(field: FieldData, path: str | Path, search: bool | None = None) -> Path:
    """Write `field` to `path` (any name; `.field` is customary). An old file stays until then.

    Args:
        search: with its search index, so that a mapped file is asked without reading all of it. None:
            where the field is large.
    """
    from safetensors.numpy import save_file

    metadata = {"format": FORMAT, "version": str(VERSION), "info": json_text(field_info(field))}
    arrays = field_arrays(field)
    if len(field) >= SEARCH_FROM if search is None else search:
        arrays |= dict(zip(SEARCH, field.search_index.arrays, strict=True))
    replace_file(Path(path), lambda file: save_file(arrays, file, metadata), FieldError)
    return Path(path)


def load(path: str | Path, kind: type[FieldT], mapped: bool = False) -> FieldT:
    """Read a field that `save` wrote, as `kind`: `FeatureField`, or plain `FieldData`.

    Args:
        mapped: leave the arrays in the file; they are read where they are used, and read-only.

    Raises:
        FieldError: no such file, truncated, not a field, or written by a newer version.
    """
    metadata, arrays = _read(Path(path), mapped)
    info = _info(metadata, path)
    return _assemble(info, arrays, path, kind, mapped)


def _read(path: Path, mapped: bool) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FieldError(f"No field at {path}: make one with find-field lift.")
    check_genuine(path, FieldError)
    try:
        with safe_open(path, framework="numpy") as file:  # compares the header with the file's size
            metadata = file.metadata() or {}
            if mapped:
                return metadata, _mapped(path)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise FieldError(
            f"{path} is truncated or not a field ({shown(error)}): copy it again, or lift again."
        ) from None
    return metadata, arrays


_NUMPY = {"F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I8": "i1", "U8": "u1"}


def _mapped(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, left in it; of types that no field has, none."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = parse_json(file.read(length).decode(), "The header", FieldError)
    raw = np.asarray(np.memmap(path, np.uint8, "r", offset=8 + length))
    return {
        name: raw[slice(*entry["data_offsets"])]
        .view(_NUMPY[entry["dtype"]])
        .reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] in _NUMPY
    }


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


def _assemble(info: dict[str, Any], arrays: dict[str, np.ndarray], path: str | Path,
              kind: type[FieldT], mapped: bool) -> FieldT:  # fmt: skip
    names = {name.split(".")[0] for name in arrays if "." in name} | {SEMANTIC}
    values = not mapped
    try:
        sizes = check_arrays(arrays, ARRAYS, "it", FieldError, values=values)
        seen = {name: wanted for name, wanted in SEEN.items() if name in arrays}
        check_arrays(arrays, seen, "it", FieldError, {"N": sizes["N"]}, values)
        channels = {
            name: _channel(name, arrays, sizes["N"], values)
            for name in sorted(names, key=lambda n: (n != SEMANTIC, n))
        }
        index = _search_index(arrays, channels[SEMANTIC])
    except FieldError as error:
        raise FieldError(f"{path} is no whole field ({error}): lift again.") from None
    field = kind(
        voxel_size_m=float(info["voxel_size_m"]),
        channels=channels,
        provenance=dict(info["provenance"]),
        unchecked=BlockCheck(arrays, _row_layout(names, seen), path) if mapped else None,
        **{name: arrays[name] for name in (*ARRAYS, *seen)},
    )
    if index is not None:
        field.use_search_index(index)
    return field


def _channel(name: str, arrays: dict[str, np.ndarray], voxels: int, values: bool) -> Channel:
    layout = {f"{name}.{part}": wanted for part, wanted in CHANNEL.items()}
    sizes = check_arrays(arrays, layout, "it", FieldError, {"N": voxels}, values)
    if not 0 < sizes["k"] <= sizes["D"]:
        raise FieldError(f"{shown(name)} has {sizes['k']} coefficients of width {sizes['D']}")
    basis = f"{name}.basis"
    check_arrays(arrays, {basis: CHANNEL["basis"]}, "it", FieldError)
    return Channel(*(arrays[f"{name}.{part}"] for part in CHANNEL))


def _search_index(arrays: dict[str, np.ndarray], channel: Channel) -> QuantizedVectors | None:
    """The stored one. It only says where to look: scores come from the coefficients."""
    if not set(SEARCH) <= set(arrays):
        return None
    voxels, rank = channel.coefficients.shape
    check_arrays(arrays, SEARCH, "it", FieldError, {"N": voxels, "k": rank})
    return QuantizedVectors.of(*(arrays[name] for name in SEARCH))


def _row_layout(channels: set[str], seen: dict[str, Array]) -> dict[str, Array]:
    """Of the arrays that have a row for each voxel."""
    parts = {f"{name}.{part}": CHANNEL[part] for name in channels for part in CHANNEL}
    return {name: a for name, a in (ARRAYS | seen | parts).items() if a.shape.startswith("N")}
