"""Text that came from outside, made fit for logs and DDS strings."""

from __future__ import annotations

from find_core.support.printable import shown

# What a user wrote, and a whole sentence that may quote it.
TEXT_LIMIT, SENTENCE_LIMIT = 200, 600


def printable(text: object, limit: int = TEXT_LIMIT) -> str:
    """`find_core.support.printable.shown`, as long as logs and diagnostics take it."""
    return shown(text, limit)


def sentence_of(error: BaseException) -> str:
    """An error as one printable sentence; the name of its type where it has no words of its own."""
    return printable(error if str(error) else type(error).__name__, SENTENCE_LIMIT)
