"""Nouns in sentences, and which classes they may name.

Nouns of COCO's classes are a list (`nouns.json`); any other class is named by its own name and by
the noun at its end ("red coffee mug": also "mug").
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from find_core.errors import ImageError

SPOKEN = {
    "floor-wood": "wooden floor", "playingfield": "playing field", "wall-brick": "brick wall",
    "wall-stone": "stone wall", "wall-tile": "tiled wall", "wall-wood": "wooden wall",
    "window-blind": "window blind",
}  # fmt: skip
"""Classes whose names nobody says."""
_PLURALS = {
    "man": "men", "woman": "women", "child": "children", "person": "people", "gentleman": "gentlemen",
    "policeman": "policemen", "knife": "knives", "shelf": "shelves", "mouse": "mice", "calf": "calves",
    "goose": "geese", "sheep": "sheep", "broccoli": "broccoli", "scissors": "scissors", "ox": "oxen",
    "bookshelf": "bookshelves", "wife": "wives", "aircraft": "aircraft", "luggage": "luggage",
}  # fmt: skip
_PLURAL_ALONE = frozenset(["scissors", "skis", "ski", "sheep", "broccoli", "stairs", "bricks",
                           "aircraft", "luggage"])  # fmt: skip
"""Nouns whose plural says nothing of how many there are."""
_MEANS_MORE = """several many some few two three four five six seven eight nine ten various both all multiple
couple group crowd row herd flock dozens lots 2 3 4 5 6"""
"""Before a noun they say that there are several."""
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*|[0-9]+")


@dataclass(frozen=True)
class Word:
    """A word, in lower case, and where it stands (end exclusive)."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Mention:
    """A noun in a text.

    Attributes:
        start, end: characters of the noun, end exclusive. first, last: places of its words.
        classes: what it may name. plural: it speaks of several.
        noun: the singular form in which it is listed.
    """

    start: int
    end: int
    first: int
    last: int
    classes: frozenset[str]
    plural: bool
    noun: str


def words_of(text: str) -> list[Word]:
    """The words of a text, with their places."""
    return [Word(m[0].lower(), m.start(), m.end()) for m in _WORD.finditer(text)]


def plural_of(noun: str) -> str:
    """The plural of a noun phrase by its last word ("wine glass" -> "wine glasses")."""
    head, _, last = noun.rpartition(" ")
    if last in _PLURALS:
        many = _PLURALS[last]
    elif last.endswith(("s", "sh", "ch", "x")):
        many = last + "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        many = last[:-1] + "ies"
    else:
        many = last + "s"
    return f"{head} {many}".strip()


def spoken(name: str) -> str:
    """A class as people say it."""
    return SPOKEN.get(name, name.replace("_", " "))


@functools.cache
def _listed() -> dict[str, tuple[str, ...]]:
    path = Path(__file__).with_name("nouns.json")
    try:
        return {name: tuple(nouns) for name, nouns in json.loads(path.read_text()).items()}
    except (OSError, ValueError) as error:
        raise ImageError(f"{path} is missing or damaged ({error!r}): check the clone.") from None


def nouns_of(name: str) -> tuple[str, ...]:
    """What a thing of that class may be called, its spoken name first."""
    own = spoken(name)
    listed = _listed().get(name)
    if listed is None:
        listed = (own, own.rpartition(" ")[2])
    return tuple(dict.fromkeys((own, *listed)))


class Lexicon:
    """Finds the nouns of some classes.

    Args:
        names: of the classes that count; COCO's own are the usual ones.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._forms: dict[tuple[str, ...], tuple[str, bool, set[str]]] = {}
        for name in sorted(set(names)):
            for noun in nouns_of(name):
                many = plural_of(noun)
                for form, is_many in ((noun, False), (many, True)):
                    alone = noun.rpartition(" ")[2] in _PLURAL_ALONE
                    key = tuple(form.lower().split())
                    entry = self._forms.setdefault(key, (noun, is_many and not alone, set()))
                    entry[2].add(name)
        self._longest = max((len(key) for key in self._forms), default=0)

    def mentions(self, text: str) -> list[Mention]:
        """All nouns, longest first at every place, none inside another."""
        words = words_of(text)
        found, at = [], 0
        while at < len(words):
            mention = self._at(words, at)
            if mention is not None:
                found.append(mention)
            at = at + 1 if mention is None else mention.last + 1
        return found

    def _at(self, words: Sequence[Word], at: int) -> Mention | None:
        for length in range(min(self._longest, len(words) - at), 0, -1):
            chosen = words[at : at + length]
            entry = self._forms.get(tuple(w.text for w in chosen))
            if entry is not None:
                noun, many, classes = entry
                many = many or any(
                    w.text in _MEANS_MORE.split() for w in words[max(0, at - 2) : at]
                )
                return Mention(chosen[0].start, chosen[-1].end, at, at + length - 1,
                               frozenset(classes), many, noun)  # fmt: skip
        return None


_ENDS_THE_HEAD = """of on in with at by near behind under over above below beside between from to against along
across through inside outside that which who wearing holding riding sitting standing carrying
next for while and or is are as covered filled made"""


def head_of(phrase: str) -> str:
    """The part of a noun phrase that holds its head: "the man on a horse" -> "the man".

    "a slice of pizza", "a bunch of bananas" keep what is counted: the lexicon lists such nouns.
    """
    words = words_of(phrase)
    for k, word in enumerate(words):
        if k and word.text in _ENDS_THE_HEAD.split():
            return phrase[: words[k - 1].end]
    return phrase
