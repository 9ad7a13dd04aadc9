"""What is true, false or arguable of the things in a scene: three-valued logic for phrases.

`True` and `False` are claims that nobody would dispute; `None` means that people could disagree
(a carton is perhaps a box, a patterned bowl perhaps white). Texts are written only where every
thing in the scene is `True` or `False`.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.tabletop.assets.colors import CONFUSABLE, SYNONYMS
from training.tabletop.assets.gallery import GENERIC_NOUNS, Asset

Truth = bool | None

CATEGORY_WORDS: dict[str, tuple[str, ...]] = {
    "food": ("food item", "grocery"),
    "drink": ("drink", "beverage"),
    "tableware": ("piece of tableware",),
    "furniture": ("piece of furniture",),
    "appliance": ("appliance",),
    "toy": ("toy",),
    "tool": ("tool",),
}
_CATEGORY_OF_WORD = {w: c for c, words in CATEGORY_WORDS.items() for w in words}
_ARGUABLE: dict[str, set[str]] = {
    "food": {"drink", "container", "object"},
    "drink": {"food", "container", "object"},
    "tableware": {"container", "drink", "object"},
    "container": {"tableware", "object"},
    "furniture": {"appliance", "container", "surface"},
    "appliance": {"furniture", "tool"},
    "toy": {"shape", "object", "tableware"},
    "tool": {"object", "toy", "appliance", "tableware"},
}


@dataclass(frozen=True)
class Thing:
    """One instance of a scene as language sees it."""

    id: int
    asset: str
    nouns: frozenset[str]
    maybe_nouns: frozenset[str] = frozenset()
    name: str = ""
    color: str = ""
    also_colors: frozenset[str] = frozenset()
    category: str = ""
    material: str = ""
    pattern: str = ""
    stuff: bool = False
    salient: bool = True
    """Seen well enough to be spoken of."""


@dataclass(frozen=True)
class Query:
    """A noun phrase: optional colour, pattern and material before a noun."""

    noun: str
    color: str = ""
    pattern: str = ""
    material: str = ""

    @property
    def text(self) -> str:
        """The phrase without an article."""
        words = [self.color, self.pattern, self.material, self.noun]
        return " ".join(w for w in words if w)

    @property
    def type(self) -> str:
        """`category`, `attribute` or `name`."""
        if self.noun in _CATEGORY_OF_WORD:
            return "category"
        return "attribute" if self.color or self.pattern or self.material else "name"


def thing_of(asset: Asset, index: int = -1, salient: bool = True) -> Thing:
    """An asset as language sees it."""
    return Thing(
        index,
        asset.id,
        frozenset(asset.nouns) | frozenset(asset.names),
        frozenset(asset.maybe_nouns),
        asset.name,
        asset.color,
        frozenset(asset.also_colors),
        asset.category,
        asset.material,
        asset.pattern,
        salient=salient,
    )


def truth(thing: Thing, query: Query, strict: bool = False) -> Truth:
    """Is the query true of the thing? `strict` (for denials) treats close colours as arguable."""
    states = [_noun_truth(thing, query.noun)]
    if query.color:
        states.append(_color_truth(thing, query.color, strict))
    if query.pattern:
        states.append(_pattern_truth(thing, query.pattern))
    if query.material:
        same = thing.material == query.material
        states.append(True if same else False if thing.material else None)
    if False in states:
        return False
    return None if None in states else True


def _noun_truth(thing: Thing, noun: str) -> Truth:
    if noun in thing.nouns:
        return True
    if noun in GENERIC_NOUNS:
        return None if thing.stuff or thing.category == "furniture" else True
    if noun in thing.maybe_nouns:
        return None
    category = _CATEGORY_OF_WORD.get(noun)
    if category:
        if thing.category == category:
            return True
        return None if thing.category in _ARGUABLE[category] else False
    return False


def _color_truth(thing: Thing, color: str, strict: bool) -> Truth:
    color = next((c for c, s in SYNONYMS.items() if s == color), color)
    if thing.color == color:
        return True
    if color in thing.also_colors or (thing.stuff and not thing.color):
        return None
    if strict and (color in CONFUSABLE.get(thing.color, ()) or not thing.color):
        return None
    return False


def _pattern_truth(thing: Thing, pattern: str) -> Truth:
    if thing.pattern == pattern:
        return True
    return False if thing.pattern or thing.category == "shape" else None


def matching(things: list[Thing], query: Query) -> list[int] | None:
    """Ids that the query is true of; None when it is arguable of any thing."""
    states = {t.id: truth(t, query) for t in things}
    if None in states.values():
        return None
    return [i for i, state in states.items() if state]


def denied(things: list[Thing], query: Query) -> bool:
    """Whether the query is beyond dispute true of nothing here."""
    return all(truth(t, query, strict=True) is False for t in things)
