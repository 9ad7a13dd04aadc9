"""What is known to be true of which object: the ground of every negative.

A negative is only taught where it is known. `LabelKnowledge.truth` answers for words and an object,
`same_object` for a reference and an object.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from training.data.formats.records import InstanceLabel
from training.data.queries.name_groups import far_apart, labelled_apart, surely_not
from training.truth import FALSE, TRUE, UNKNOWN, Truth

# COCO classes that may also be called by words of the tabletop world, and the other way round.
HOUSEHOLD = frozenset([
    "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake",
    "potted plant", "dining table", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "sports ball", "toothbrush", "table", "cabinet", "counter", "shelf", "food",
    "fruit", "paper", "cardboard", "towel", "wall", "wall-wood", "wall-tile", "wall-stone",
    "wall-brick", "floor", "floor-wood", "rug", "stairs", "chair", "couch", "bed", "frisbee",
    "handbag", "suitcase", "backpack", "bench", "door-stuff", "door", "curtain", "pillow",
    "blanket", "mirror", "light", "window",
])  # fmt: skip
_GENERIC = re.compile(r"\b(thing|things|object|objects|item|items|one|ones|something|stuff)\b")


@dataclass(frozen=True)
class LabelKnowledge:
    """Attributes:
    matches: phrase -> assets of the tabletop gallery it is true of.
    coco: clean names of the COCO classes. own: the words a user taught.
    class_lists: of each photograph set, the names that its labellers chose among.
    """

    matches: Mapping[str, frozenset[str]]
    coco: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    class_lists: tuple[frozenset[str], ...] = ()
    _known: dict[tuple, Truth] = field(default_factory=dict, repr=False, compare=False)

    def truth(self, text: str, instance: InstanceLabel) -> Truth:
        """Is `text` true of `instance`?"""
        key = (text, instance.source, instance.asset, instance.name)
        if key not in self._known:
            self._known[key] = self._truth(text, instance)
        return self._known[key]

    def same_object(self, reference: InstanceLabel, instance: InstanceLabel) -> Truth:
        """`same_object`, and what class lists say of two classes."""
        found = same_object(reference, instance)
        if found is UNKNOWN and reference.source == instance.source == "photos":
            return self._of_photo(reference.name, instance)
        return found

    def _truth(self, text: str, instance: InstanceLabel) -> Truth:
        if text in instance.names:
            return TRUE
        if instance.source == "user":  # other words may well be true of a user's object
            return FALSE if text in self.own else UNKNOWN
        if instance.source == "coco":
            return self._of_coco(text, instance)
        if instance.source == "photos":
            return self._of_photo(text, instance)
        if text in self.matches:
            return Truth.when(instance.asset in self.matches[text])
        if self.class_lists and surely_not(text, instance.name, rendered=True):
            return FALSE
        if text in self.coco:
            return UNKNOWN if text in HOUSEHOLD else FALSE
        return UNKNOWN

    def _of_photo(self, text: str, instance: InstanceLabel) -> Truth:
        """Classes of different sets overlap; those of one set exclude each other, mostly."""
        name = instance.name
        together = any(text in names and name in names for names in self.class_lists)
        apart = (together and labelled_apart(text, name)) or far_apart(text, name)
        return FALSE if apart else UNKNOWN

    def _of_coco(self, text: str, instance: InstanceLabel) -> Truth:
        if text in self.coco:
            return FALSE
        generic = _GENERIC.search(text) is not None
        return UNKNOWN if generic or instance.name in HOUSEHOLD else FALSE


def same_object(reference: InstanceLabel, instance: InstanceLabel) -> Truth:
    """Does a reference to one object also mean the other? Variants of one kind are unknown."""
    if "photos" in (reference.source, instance.source):
        return _alike(reference, instance)
    if reference.source != instance.source:
        near = reference.name in HOUSEHOLD or instance.name in HOUSEHOLD
        return UNKNOWN if near else FALSE
    if reference.asset is not None and reference.asset == instance.asset:
        return TRUE
    return UNKNOWN if reference.kind == instance.kind else FALSE


def _alike(reference: InstanceLabel, instance: InstanceLabel) -> Truth:
    """By name, where one of the two is in a photograph: there a reference means the class."""
    if reference.name == instance.name and reference.source == instance.source:
        return TRUE
    return FALSE if far_apart(reference.name, instance.name) else UNKNOWN


def vocabulary(instances: Iterable[InstanceLabel]) -> list[str]:
    """Sorted canonical names: the classes a panoptic bank may hold."""
    return sorted({instance.name for instance in instances})
