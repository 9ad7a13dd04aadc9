"""Text that came from outside, made fit for logs, DDS strings and JSON."""

from __future__ import annotations

import json
from typing import Any

# What a user wrote, and a whole sentence that may quote it.
TEXT_LIMIT, SENTENCE_LIMIT = 200, 600


def printable(text: object, limit: int = TEXT_LIMIT) -> str:
    """One line of at most `limit` characters; what cannot be printed or encoded is escaped.

    Control characters and lone surrogates (`json.loads` makes them of seven ASCII characters) would
    otherwise break a log line, or the encoding of a ROS string.
    """
    text = str(text)
    shown = "".join(c if c.isprintable() else _escaped(c) for c in text[: limit + 1])
    return shown if len(text) <= limit and len(shown) <= limit else shown[: limit - 3] + "..."


def sentence_of(error: BaseException) -> str:
    """An error as one printable sentence; the name of its type where it has no words of its own."""
    return printable(error if str(error) else type(error).__name__, SENTENCE_LIMIT)


def json_text(data: Any) -> str:
    """JSON as the standard has it, ASCII only.

    Raises:
        ValueError: it holds NaN or infinity, for which JSON has no words.
    """
    return json.dumps(data, allow_nan=False)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
