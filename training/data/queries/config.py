"""What is asked about one image, and how much: plain data (training/data/queries/sampling.py draws it)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.data.formats.records import InstanceLabel
from training.data.queries.label_knowledge import LabelKnowledge
from training.truth import Truth


@dataclass(frozen=True)
class QueryConfig:
    """How much is queried, and how often what. The field names are configuration keys."""

    max_phrases: int = 4
    max_prompts: int = 4
    max_entities: int = 5
    visual: float = 0.6
    absent: float = 0.4
    alike: float = 0.5
    """Chance that a phrase which tells look-alikes apart is asked for, where there is one."""
    alike_phrases: int = 1
    """At most so many of them in one sentence."""
    untrue: float = 0.0
    """Share of the absent entities that are relations which do not hold, where there are some."""
    written: float = 0.6
    """Share of interleaved sentences taken from the record; the rest is put together here."""
    alone: float = 0.5
    """Share of the references that are pictures of the thing alone, where there are some."""
    reference_min_px: int = 120
    reference_kinds: tuple[tuple[str, float], ...] = (
        ("mask", 0.4), ("box", 0.25), ("circle", 0.1), ("scribble", 0.15), ("point", 0.1)
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class PhraseQuery:
    """Words and the visible instances (mask indices) they mean; `referring` weighs more.

    Attributes:
        ambiguous: it picks among objects of one kind by where they are.
        whole: an instruction ("hand me the mug"): nothing is said before or after it.
    """

    text: str
    targets: tuple[int, ...]
    referring: bool = False
    ambiguous: bool = False
    whole: bool = False


@dataclass(frozen=True, eq=False)
class StrokeQuery:
    """(H, W) bool stroke and the instance it was drawn on."""

    stroke: np.ndarray
    target: int


@dataclass(frozen=True, eq=False)
class EntityQuery:
    """One entity: its words, or which instance of which image shows it.

    Attributes:
        targets: visible instances it means here; empty when it is not there.
        image_index, region, shown: for visual entities: image index in the batch, (H, W) bool, label.
        ambiguous: its words pick among objects of one kind by where they are.
    """

    text: str
    targets: tuple[int, ...]
    image_index: int | None = None
    region: np.ndarray | None = None
    shown: InstanceLabel | None = None
    ambiguous: bool = False

    @property
    def is_visual(self) -> bool:
        return self.region is not None

    def truth(self, instance: InstanceLabel, knowledge: LabelKnowledge) -> Truth:
        """Is this entity true of an instance of any image?"""
        if self.shown is not None:
            return knowledge.same_object(self.shown, instance)
        return knowledge.truth(self.text, instance)


@dataclass(eq=False)
class QuerySample:
    """Everything asked about one image.

    Attributes:
        sentence: the interleaved one as the language model reads it (placeholders in place).
        spans: each entity's (start, end) characters in it.
        caption: None where nothing is known to describe the image.
    """

    phrases: list[PhraseQuery] = field(default_factory=list)
    prompts: list[StrokeQuery] = field(default_factory=list)
    entities: list[EntityQuery] = field(default_factory=list)
    sentence: str = ""
    spans: list[tuple[int, int]] = field(default_factory=list)
    caption: str | None = None
