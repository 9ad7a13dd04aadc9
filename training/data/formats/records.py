"""What a labelled image says, whatever data set it comes from.

A `Record` is the label side of one image; its pixels are read only to fill the feature store.
Instances are numbered 1..M in the order of `instances`; `Record.read` gives the map of those numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

ReadPixels = Callable[[], tuple[np.ndarray, np.ndarray]]


IGNORED = 255
"""Number of pixels that nothing is said of, such as a crowd: neither an instance nor background."""


class LabelKind(str, Enum):
    """What an instance's label says of its pixels, and so what it may teach."""

    MASK = "mask"
    """The outline of one object."""
    MERGED = "merged"
    """All pixels of a class, be they one object or several: teaches pixels and names, no counts."""
    BOX = "box"
    """Only the extent: the pixels of its box hold the object and other objects."""


@dataclass(frozen=True)
class InstanceLabel:
    """One object or surface of an image.

    Attributes:
        name: its canonical name. names: everything it may be called, the canonical name included.
        asset: identity across images ("the same object"), or None.
        kind: what it is an example of ("the same sort of object").
        source: data set it comes from ("tabletop", "coco", "user", "photos").
        stuff: a surface or region rather than a countable object.
        label_kind: what the label says of its pixels. box_xyxy: pixel edges, where only the box is
            known.
    """

    name: str
    names: frozenset[str]
    asset: str | None
    kind: str
    source: str
    stuff: bool = False
    label_kind: LabelKind = LabelKind.MASK
    box_xyxy: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class PhraseLabel:
    """Words that are true of some instances of the image (0-based indices), and of no other.

    Attributes:
        kind: name, attribute, category, relation or instruction.
    """

    text: str
    instances: tuple[int, ...]
    kind: str = "name"


@dataclass(frozen=True)
class SentenceLabel:
    """Prompt markup ("the <white mug> left of the <plate>") and the instances of each entity."""

    markup: str
    entities: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Record:
    """Labels of one image.

    Attributes:
        key: unique name. read: () -> ((H, W, 3) uint8 RGB, (H, W) uint8 instance numbers, 0 none,
            `IGNORED` where nothing is said).
        absent: phrases that are true of nothing in the image.
        false_relations: relations that do not hold, between objects that are there ("mug left of the plate").
        exhaustive: everything visible is labelled, so an unmatched proposal is really nothing.
        image_labels: names of what the image shows, where nobody said where.
        caption_names: phrases of its captions that no instance is labelled with.
        names_exhaustive: whatever a name of its instances is true of is labelled, so that nothing
            else in the image is such an object.
    """

    key: str
    read: ReadPixels
    instances: tuple[InstanceLabel, ...]
    phrases: tuple[PhraseLabel, ...] = ()
    sentences: tuple[SentenceLabel, ...] = ()
    captions: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    exhaustive: bool = True
    source: str = "tabletop"
    source_ids: tuple[int, ...] = ()
    """Each instance's number in its data set (COCO: panoptic segment or annotation id)."""
    false_relations: tuple[str, ...] = ()
    image_labels: tuple[str, ...] = ()
    caption_names: tuple[str, ...] = ()
    names_exhaustive: bool = True

    @property
    def is_photograph(self) -> bool:
        """Is it a real image rather than a rendered one?"""
        return self.source in PHOTOGRAPHS


PHOTOGRAPHS = frozenset(["coco", "photos"])
"""Sources of real images."""


def mirror_text(text: str) -> str:
    """Swap the words left and right, as a mirrored image needs."""
    swapped = text.replace("left", "\0").replace("right", "left").replace("\0", "right")
    return swapped.replace("Left", "\0").replace("Right", "Left").replace("\0", "Right")
