"""What is true, false or arguable of the objects in a scene: three-valued logic for phrases.

`TRUE` and `FALSE` are claims that nobody would dispute; `UNKNOWN` means that people could disagree
(a carton is perhaps a box, a patterned bowl perhaps white). Texts are written only where every
object in the scene is `TRUE` or `FALSE`.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.tabletop.assets.colors import CONFUSABLE, SYNONYMS
from training.tabletop.assets.gallery import GENERIC_NOUNS, Asset
from training.truth import FALSE, TRUE, UNKNOWN, Truth

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
class SceneObject:
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


def scene_object(asset: Asset, index: int = -1, salient: bool = True) -> SceneObject:
    """An asset as language sees it."""
    return SceneObject(
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


def truth(item: SceneObject, query: Query, strict: bool = False) -> Truth:
    """Is the query true of the object? `strict` (for denials) treats close colours as arguable."""
    states = [_noun_truth(item, query.noun)]
    if query.color:
        states.append(_color_truth(item, query.color, strict))
    if query.pattern:
        states.append(_pattern_truth(item, query.pattern))
    if query.material:
        states.append(_material_truth(item, query.material))
    return Truth.all_of(states)


def _noun_truth(item: SceneObject, noun: str) -> Truth:
    if noun in item.nouns:
        return TRUE
    if noun in GENERIC_NOUNS:
        return UNKNOWN if item.stuff or item.category == "furniture" else TRUE
    if noun in item.maybe_nouns:
        return UNKNOWN
    category = _CATEGORY_OF_WORD.get(noun)
    if category:
        if item.category == category:
            return TRUE
        return UNKNOWN if item.category in _ARGUABLE[category] else FALSE
    return FALSE


def _color_truth(item: SceneObject, color: str, strict: bool) -> Truth:
    color = next((c for c, s in SYNONYMS.items() if s == color), color)
    if item.color == color:
        return TRUE
    if color in item.also_colors or (item.stuff and not item.color):
        return UNKNOWN
    if strict and (color in CONFUSABLE.get(item.color, ()) or not item.color):
        return UNKNOWN
    return FALSE


def _pattern_truth(item: SceneObject, pattern: str) -> Truth:
    if item.pattern == pattern:
        return TRUE
    return FALSE if item.pattern or item.category == "shape" else UNKNOWN


def _material_truth(item: SceneObject, material: str) -> Truth:
    if item.material == material:
        return TRUE
    return FALSE if item.material else UNKNOWN


def matching(objects: list[SceneObject], query: Query) -> list[int] | None:
    """Ids that the query is true of; None when it is arguable of any object."""
    states = {t.id: truth(t, query) for t in objects}
    if UNKNOWN in states.values():
        return None
    return [i for i, state in states.items() if state is TRUE]


def is_denied(objects: list[SceneObject], query: Query) -> bool:
    """Whether the query is beyond dispute true of nothing here."""
    return all(truth(t, query, strict=True) is FALSE for t in objects)
