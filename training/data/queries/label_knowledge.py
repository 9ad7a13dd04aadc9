"""What is known to be true of which object: the ground of every negative.

A negative is only taught where it is known. `LabelKnowledge.truth` answers for words and an object,
`same_object` for a reference and an object.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from training.data.formats.records import InstanceLabel
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
    """

    matches: Mapping[str, frozenset[str]]
    coco: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    _known: dict[tuple, Truth] = field(default_factory=dict, repr=False, compare=False)

    def truth(self, text: str, instance: InstanceLabel) -> Truth:
        """Is `text` true of `instance`?"""
        key = (text, instance.source, instance.asset, instance.name)
        if key not in self._known:
            self._known[key] = self._truth(text, instance)
        return self._known[key]

    def _truth(self, text: str, instance: InstanceLabel) -> Truth:
        if text in instance.names:
            return TRUE
        if instance.source == "user":  # other words may well be true of a user's object
            return FALSE if text in self.own else UNKNOWN
        if instance.source == "coco":
            return self._of_coco(text, instance)
        if instance.source != "tabletop":  # photographs: classes of different sets overlap
            return UNKNOWN
        if text in self.matches:
            return Truth.when(instance.asset in self.matches[text])
        if text in self.coco:
            return UNKNOWN if text in HOUSEHOLD else FALSE
        return UNKNOWN

    def _of_coco(self, text: str, instance: InstanceLabel) -> Truth:
        if text in self.coco:
            return FALSE
        generic = _GENERIC.search(text) is not None
        return UNKNOWN if generic or instance.name in HOUSEHOLD else FALSE


def same_object(reference: InstanceLabel, instance: InstanceLabel) -> Truth:
    """Does a reference to one object also mean the other? Variants of one kind are unknown."""
    if reference.source != instance.source:
        near = reference.name in HOUSEHOLD or instance.name in HOUSEHOLD
        return UNKNOWN if near else FALSE
    if reference.asset is not None and reference.asset == instance.asset:
        return TRUE
    return UNKNOWN if reference.kind == instance.kind else FALSE


def vocabulary(instances: Iterable[InstanceLabel]) -> list[str]:
    """Sorted canonical names: the classes a panoptic bank may hold."""
    return sorted({instance.name for instance in instances})
