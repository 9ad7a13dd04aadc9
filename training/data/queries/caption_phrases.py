"""What captions say is there: class names with or without a plain adjective.

Captions are sentences of people, of which nobody said where anything is. A name counts where the
words around it leave little doubt: nothing denies it, and it is no part of a longer noun ("dog house").
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

from training.data.formats.records import Record
from training.tabletop.assets.colors import WORDS as COLORS

ADJECTIVES = frozenset(COLORS) | frozenset(
    [
        "small",
        "large",
        "big",
        "little",
        "tall",
        "young",
        "old",
        "brown",
        "striped",
        "wooden",
        "metal",
        "plastic",
        "open",
        "empty",
    ]
)
DENYING = frozenset(
    ["no", "not", "without", "fake", "toy", "stuffed", "picture", "painting", "statue"]
)
AMBIGUOUS = frozenset(
    [
        "bear",
        "counter",
        "field",
        "food",
        "fork",
        "hand",
        "house",
        "kite",
        "light",
        "melon",
        "mouse",
        "net",
        "orange",
        "paper",
        "person",
        "pepper",
        "plate",
        "platform",
        "rock",
        "sign",
        "tie",
        "train",
        "water",
    ]
)
"""Names that captions also use as another part of speech, or of something else."""
ENDS_A_NOUN = frozenset(
    [
        "a",
        "above",
        "across",
        "against",
        "and",
        "are",
        "as",
        "at",
        "behind",
        "below",
        "beside",
        "between",
        "by",
        "down",
        "for",
        "from",
        "has",
        "have",
        "in",
        "inside",
        "into",
        "is",
        "next",
        "near",
        "of",
        "off",
        "on",
        "or",
        "out",
        "over",
        "sits",
        "sitting",
        "standing",
        "stands",
        "that",
        "the",
        "to",
        "toward",
        "under",
        "up",
        "walking",
        "while",
        "who",
        "with",
    ]
)
"""Words before which a noun has ended."""
_WORD = re.compile(r"[a-z][a-z-]*|[.,;!]")


def caption_phrases(captions: Iterable[str], names: Sequence[str]) -> tuple[str, ...]:
    """Phrases that are true of an image by its captions, each once, in their order.

    "Two small dogs on a red couch." -> "small dog", "dog", "red couch", "couch".

    Args:
        names: class names to look for.
    """
    known = {tuple(n.split()): n for n in names if n not in AMBIGUOUS}
    longest = max((len(words) for words in known), default=0)
    found: dict[str, None] = {}
    for caption in captions:
        words = _WORD.findall(caption.lower())
        at = 0
        while at < len(words):
            name, length = _name_at(words, at, known, longest)
            if name is not None and not DENYING & set(words[max(0, at - 3) : at]):
                if at and words[at - 1] in ADJECTIVES:
                    found[f"{words[at - 1]} {name}"] = None
                found[name] = None
            at += max(1, length)
    return tuple(found)


def _name_at(
    words: Sequence[str], at: int, known: dict[tuple[str, ...], str], longest: int
) -> tuple[str | None, int]:
    """The longest name that starts at a word and ends its noun, and how many words it has."""
    for length in range(longest, 0, -1):
        if at + length > len(words):
            continue
        after = words[at + length] if at + length < len(words) else "."
        if after not in ENDS_A_NOUN and after not in ".,;!":
            continue
        chosen = words[at : at + length]
        for ending in ("", "s", "es"):
            if ending and not chosen[-1].endswith(ending):
                continue
            last = chosen[-1].removesuffix(ending) if ending else chosen[-1]
            if (name := known.get((*chosen[:-1], last))) is not None:
                return name, length
    return None, 0


def with_caption_names(record: Record, names: Sequence[str]) -> Record:
    """The record with what its captions name and no instance is labelled with.

    What a caption says is there is not absent, whatever the labels left out.
    """
    said = caption_phrases(record.captions, names)
    labelled = {instance.name for instance in record.instances} | set(record.image_labels)
    return dataclasses.replace(
        record,
        caption_names=tuple(p for p in said if p not in labelled),
        absent=tuple(name for name in record.absent if name not in said),
    )
