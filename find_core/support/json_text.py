"""The one place that makes JSON of our answers, figures and files: what it writes, every reader reads.

Python's own `json.dumps` writes NaN and infinity, for which JSON has no words: other languages refuse
the whole document. `tests/test_architecture.py` holds that nobody else calls it.
"""

from __future__ import annotations

import json
import math
from typing import Any

from find_core.errors import FindError


class NotJsonError(FindError, ValueError):
    """An answer holds what JSON has no words for."""


def json_text(
    data: Any,
    *,
    indent: int | None = None,
    ensure_ascii: bool = True,
    sort_keys: bool = False,
    separators: tuple[str, str] | None = None,
) -> str:
    """JSON as the standard has it; arguments as those of `json.dumps`.

    Raises:
        NotJsonError: it holds NaN or infinity; the sentence says where.
    """
    try:
        return json.dumps(
            data, allow_nan=False, indent=indent, ensure_ascii=ensure_ascii, sort_keys=sort_keys,
            separators=separators,
        )  # fmt: skip
    except ValueError as problem:
        if "Circular" in str(problem):
            raise
        place = _place_of_a_number_that_is_none(data)
        raise NotJsonError(
            f"The answer is not written: {place or 'it'} is not a finite number."
        ) from None


def figures_text(data: Any, *, indent: int | None = None) -> str:
    """JSON of measured figures: null stands for what could not be measured, such as a mean of nothing."""
    return json_text(_without_nan(data), indent=indent)


def _without_nan(data: Any) -> Any:
    """A copy with None in the place of NaN and infinity."""
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_nan(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _place_of_a_number_that_is_none(data: Any, place: str = "") -> str | None:
    """Where the first NaN or infinity stands, "prompts[0].score"; None where there is none."""
    if isinstance(data, float):
        return None if math.isfinite(data) else place
    if isinstance(data, dict):
        parts = [(f"{place}.{key}".lstrip("."), value) for key, value in data.items()]
    elif isinstance(data, list | tuple):
        parts = [(f"{place}[{n}]", value) for n, value in enumerate(data)]
    else:
        return None
    found = (_place_of_a_number_that_is_none(value, at) for at, value in parts)
    return next((at for at in found if at is not None), None)
