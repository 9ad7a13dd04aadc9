"""Numbers of callers, checked where they come in."""

from __future__ import annotations

import math
from typing import Any

from find_core.errors import FindError
from find_core.support.printable import quoted


def check_threshold(threshold: Any, error: type[FindError] = FindError) -> float | None:
    """A threshold as float; None, the model's own, stays None.

    Raises:
        error: not a number in [0, 1].
    """
    if threshold is None:
        return None
    return check_number(threshold, "A threshold", error, 0, 1)


def check_number(value: Any, what: str, error: type[FindError], low: float, high: float) -> float:
    """A finite number in [low, high] as float; text and booleans are none.

    Raises:
        error: it is none; `what` names it.
    """
    try:
        number = math.nan if isinstance(value, str | bool | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        raise error(f"{what} lies between {low:g} and {high:g}, got {quoted(value)}.")
    return number


def check_texts(texts: Any, what: str, error: type[FindError]) -> list[str]:
    """A list of texts that say something.

    Raises:
        error: one text instead of a list, none at all, or an entry that is no text or empty.
    """
    if isinstance(texts, str | bytes):
        raise error(
            f"{what} are a list of texts, got the text {quoted(texts)}: write [{quoted(texts)}]."
        )
    texts = list(texts)
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise error(f"{what} are texts that say something, got {quoted(text)}.")
    if not texts:
        raise error(f"{what} are at least one text, got none.")
    return texts
