"""Text from outside, made fit for sentences, logs, ROS strings and terminals."""

from __future__ import annotations

TEXT_LIMIT = 80


def shown(text: object, limit: int = TEXT_LIMIT) -> str:
    """One printable line of at most `limit` characters.

    Control characters, other unprintable ones and lone surrogates (`json.loads` makes them of
    `"\\ud800"`, the operating system of file names that are not UTF-8) are escaped: each would break a
    line of a log or the encoding of a file or ROS string. What is too long ends in "...".
    """
    text = str(text)
    # No more than `limit` characters are looked at, however long the text is.
    line = "".join(c if c.isprintable() else _escaped(c) for c in text[: limit + 1])
    return line if len(text) <= limit and len(line) <= limit else line[: max(limit - 3, 0)] + "..."


def quoted(value: object, limit: int = TEXT_LIMIT) -> str:
    """`shown` in quotation marks for text, bare for other values, for use inside a sentence."""
    if isinstance(value, str):
        return f"'{shown(value, limit)}'"
    if isinstance(value, list | tuple | dict | set):
        # repr of a huge container would be built whole before it is cut.
        size = len(value)
        return shown(repr(value), limit) if size <= limit else f"{type(value).__name__} of {size}"
    try:
        return shown(repr(value), limit)
    except ValueError:  # an integer of more digits than Python agrees to write
        return f"a number of type {type(value).__name__}"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
