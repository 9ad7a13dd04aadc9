"""What a file must hold, said once for each format: names, shapes, types, ranges.

    LAYOUT = {"ijk": Array("N 3", "int32"), "weight": Array("N", "float32", low=0)}
    sizes = check_arrays(arrays, LAYOUT, f"{path}", FieldError)        # {"N": 1234}

A safetensors or .npy file that parses is not yet whole: what is in it must fit together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import FindError


@dataclass(frozen=True)
class Array:
    """One array of a file.

    Attributes:
        shape: axes by name or number, "N 3"; an axis of one name has one size in the whole file.
        dtypes: allowed ones, "float16 float32".
        low, high: inclusive range of its values. Floats are finite in any case.
    """

    shape: str
    dtypes: str
    low: float | None = None
    high: float | None = None


def check_arrays(
    arrays: Mapping[str, np.ndarray],
    layout: Mapping[str, Array],
    what: str,
    error: type[FindError],
    sizes: Mapping[str, int] | None = None,
    values: bool = True,
) -> dict[str, int]:
    """Compare arrays with their layout; arrays without one are not looked at.

    Args:
        what: names the file in errors. sizes: of axes that are known already.
        values: look at the values too, not at shapes and types alone.

    Returns:
        The size of every named axis.

    Raises:
        error: the first array that is missing, of another shape or type, not finite or out of range.
    """
    known = dict(sizes or {})
    for name, wanted in layout.items():
        if name not in arrays:
            raise error(f"{what} is not whole: it has no {name!r}.")
        problem = _misfit(arrays[name], wanted, known)
        if not problem and values:
            problem = _bad_values(arrays[name], wanted)
        if problem:
            raise error(f"{what} is damaged: {name!r} {problem}.")
    return known


def _misfit(array: np.ndarray, wanted: Array, sizes: dict[str, int]) -> str:
    if array.dtype.name not in wanted.dtypes.split():
        return f"has type {array.dtype.name}, not {wanted.dtypes.replace(' ', ' or ')}"
    axes = wanted.shape.split()
    expected = [
        int(axis) if axis.isdigit() else sizes.get(axis, -1) for axis in axes
    ]  # -1: not known yet
    fits = array.ndim == len(axes) and all(
        have == want or want == -1 for have, want in zip(array.shape, expected, strict=True)
    )
    if not fits:
        return f"has shape {array.shape}, not ({', '.join(axes)}) with {sizes or 'any sizes'}"
    sizes.update({a: n for a, n in zip(axes, array.shape, strict=True) if not a.isdigit()})
    return ""


def _bad_values(array: np.ndarray, wanted: Array) -> str:
    if not array.size:
        return ""
    low, high = float(array.min()), float(array.max())  # NaN wherever there is one
    if not (np.isfinite(low) and np.isfinite(high)):
        return "is not finite"
    if (wanted.low is not None and low < wanted.low) or (
        wanted.high is not None and high > wanted.high
    ):
        return f"has values from {low:g} to {high:g}, outside [{wanted.low}, {wanted.high}]"
    return ""


@dataclass(frozen=True)
class Key:
    """One value of a JSON object in a file.

    Attributes:
        types: of the value; a bool is no int, and an int is a float.
        low, high: inclusive range of a number, or of the length of text.
        optional: whether it may be missing. allowed: the only values it may have.
    """

    types: tuple[type, ...]
    low: float | None = None
    high: float | None = None
    optional: bool = False
    allowed: tuple[Any, ...] = field(default=())


def check_object(
    data: Any, layout: Mapping[str, Key], what: str, error: type[FindError]
) -> dict[str, Any]:
    """Compare a decoded JSON object with its layout; keys without one are not looked at.

    Raises:
        error: no object, or the first key that is missing or is not as the layout says.
    """
    if not isinstance(data, dict):
        raise error(f"{what} is damaged: it holds no object.")
    for name, wanted in layout.items():
        if name not in data:
            if wanted.optional:
                continue
            raise error(f"{what} is not whole: it has no {name!r}.")
        if not _fits(data[name], wanted):
            raise error(f"{what} is damaged: {name!r} is not what it should be.")
    return data


def _fits(value: Any, wanted: Key) -> bool:
    kinds = (*wanted.types, int) if float in wanted.types else wanted.types
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        return False
    if wanted.allowed and value not in wanted.allowed:
        return False
    size = len(value) if isinstance(value, str) else value
    if isinstance(size, int | float):
        inside = (
            -np.inf if wanted.low is None else wanted.low,
            (np.inf if wanted.high is None else wanted.high),
        )
        return bool(np.isfinite(size)) and inside[0] <= size <= inside[1]
    return True


def read_npy(
    path: Path, layout: Array, sizes: Mapping[str, int] | None = None
) -> np.ndarray | None:
    """A cache's .npy file, memory-mapped; None where it is missing, damaged or does not fit.

    A damaged cache is an absent one: whoever asks computes it again.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception:  # numpy reads headers with Python's own parser, and lets its errors pass
        return None
    fits = not _misfit(array, layout, dict(sizes or {})) and not _bad_values(array, layout)
    return array if fits else None


def read_or_none(path: Path, read: Callable[[Path], Any]) -> Any:
    """What `read` makes of a file that may as well be missing; None where it is damaged."""
    try:
        return read(path)
    except (FindError, OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None


def read_state(path: Path, layout: Mapping[str, Key]) -> dict[str, Any] | None:
    """A JSON object by which a job goes on; None where it is missing, damaged or does not fit."""

    def read(path: Path) -> dict[str, Any]:
        data = json.loads(path.read_text(encoding="utf-8"))
        return check_object(data, layout, path.name, FindError)

    return read_or_none(path, read)
