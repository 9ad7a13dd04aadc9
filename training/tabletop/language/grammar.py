"""A little English: articles, plurals, lists."""

from __future__ import annotations


def plural(phrase: str) -> str:
    """The plural of a noun phrase, by rule."""
    head, _, rest = phrase.partition(" of ")
    if head.endswith(("s", "x", "ch", "sh")):
        head += "es"
    elif head.endswith("f") and not head.endswith("ff"):
        head = head[:-1] + "ves"
    elif head.endswith("y") and head[-2] not in "aeiou":
        head = head[:-1] + "ies"
    else:
        head += "s"
    return f"{head} of {rest}" if rest else head


def article(phrase: str) -> str:
    """The indefinite article that a phrase takes."""
    return "an" if phrase[:1] in "aeiou" else "a"


def with_article(phrase: str) -> str:
    """The phrase with "a" or "an" before it."""
    return f"{article(phrase)} {phrase}"


def joined(items: list[str]) -> str:
    """Items as "a, b and c"; empty for none."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def longest(words: frozenset[str]) -> str:
    """The longest word, the first in the alphabet among equals."""
    return max(sorted(words), key=len)
