"""What a labelled image says, whatever data set it comes from.

A `Record` is the label side of one image; its pixels are read only to fill the feature store.
Instances are numbered 1..M in the order of `instances`; `read_ids` gives the map of those numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ReadPixels = Callable[[], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class InstanceLabel:
    """One thing or surface of an image.

    Attributes:
        name: its canonical name. names: everything it may be called, the canonical name included.
        asset: identity across images ("the same object"), or None.
        kind: what it is an example of ("the same sort of object").
        source: data set it comes from ("tabletop", "coco", "user").
        stuff: a surface or region rather than a countable object.
    """

    name: str
    names: frozenset[str]
    asset: str | None
    kind: str
    source: str
    stuff: bool = False


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
        key: unique name. read: () -> ((H, W, 3) uint8 RGB, (H, W) uint8 instance numbers, 0 none).
        absent: phrases that are true of nothing in the image.
        untrue: relations that do not hold, between things that are there ("mug left of the plate").
        exhaustive: everything visible is labelled, so an unmatched proposal is really nothing.
        mirrored_words: "left" and "right" must be swapped when the image is mirrored.
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


def mirror_text(text: str) -> str:
    """Swap the words left and right, as a mirrored image needs."""
    swapped = text.replace("left", "\0").replace("right", "left").replace("\0", "right")
    return swapped.replace("Left", "\0").replace("Right", "Left").replace("\0", "Right")
