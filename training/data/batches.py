"""Batches: views from the feature store, and what each task asks about them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from find_core.errors import ImageError
from training.data.cutmix import may_mix, mix
from training.data.derived.references import is_reference
from training.data.formats.records import InstanceLabel, Record
from training.data.live import LiveStore
from training.data.queries.config import QueryConfig
from training.data.queries.label_knowledge import LabelKnowledge
from training.data.queries.sampling import is_ambiguous, sample_queries
from training.data.sample import Batch, LabelledImage, collate, labelled_image
from training.data.store import FeatureStore, StoredView

log = logging.getLogger("training")
READ_TRIES = 50
"""Images that may be unreadable one after another before a training stops."""


@dataclass(frozen=True)
class BatchConfig:
    """What is in a batch."""

    size: int = 8
    partners: int = 4
    """How many of the rendered images are chosen for sharing an object with another one."""
    lookalikes: int = 0
    """How many of the other rendered images hold objects that only their places tell apart."""
    real: int = 2
    """How many are real photographs (0 where there are none)."""
    photo_dropout: float = 0.0
    """Largest share of a photograph's feature channels that is blanked (drawn anew each time, from
    none): where photographs are few, they are otherwise learnt by heart."""
    photo_mix: float = 0.0
    """Share of the fully labelled photographs that get a window of another one
    (training/data/cutmix.py)."""
    photo_partners: int = 0
    """How many of the photographs are chosen for showing a class of another one."""
    photo_balance: float = 1.0
    """How often each set of photographs comes: as its count to this power (0: all as often)."""
    references: int = 0
    """How many pictures of a thing alone are at hand to refer to (0 where there are none)."""
    min_view_px: int = 40
    """Instances smaller than this in the view are left out."""
    asks: QueryConfig = field(default_factory=QueryConfig)


def load_view(
    store: FeatureStore | LiveStore, view: StoredView
) -> tuple[np.ndarray, list[Tensor], StoredView]:
    """(H, W) uint8 instance numbers, four (C, h, w) float32 maps, and the view as made."""
    maps, numbers, view = store.load(view)
    return np.array(numbers), [torch.from_numpy(np.array(m)).float() for m in maps], view


def blank_channels(maps: list[Tensor], share: float, rng: np.random.Generator) -> list[Tensor]:
    """Feature maps (C, h, w) with some channels at zero and the others scaled to make up for it."""
    kept = [torch.from_numpy(rng.random(len(m)) >= share) for m in maps]
    return [m * k[:, None, None] / (1.0 - share) for m, k in zip(maps, kept, strict=True)]


class Batches:
    """An endless, seeded stream of batches; step n is the same batch whatever came before.

    An image that cannot be read costs itself: another one stands in for it, the same one each time.

    Attributes:
        left_out: why, for each record that could not be read so far.

    Args:
        records: by key. store: views of (some of) them, refreshed as it grows.
        reload: reads records and facts again, for label files that are still growing.
    """

    def __init__(
        self, records: Mapping[str, Record], store: FeatureStore | LiveStore, knowledge: LabelKnowledge,
        config: BatchConfig, seed: int = 0,
        reload: Callable[[], tuple[Mapping[str, Record], LabelKnowledge]] | None = None,
    ) -> None:  # fmt: skip
        self.records, self.store, self.knowledge = records, store, knowledge
        self.config, self.seed, self.reload = config, seed, reload
        self.left_out: dict[str, str] = {}
        self._index()

    def refresh(self) -> int:
        """Take in views that were added to the store; returns how many images there are."""
        before = sum(map(len, self.store.views.values()))
        if self.store.refresh() == before:
            return len(self._rendered) + len(self._real)
        if self.reload is not None:
            self.records, self.knowledge = self.reload()
        return self._index()

    def _index(self) -> int:
        every = sorted(k for k in self.store.views if k in self.records)
        keys = [k for k in every if not is_reference(k)]
        self._shown: dict[str, list[str]] = {}
        for key in (k for k in every if is_reference(k)):
            self._shown.setdefault(shared_name(self.records[key].instances[0]), []).append(key)
        self._rendered = [k for k in keys if not self.records[k].is_photograph]
        self._real = [k for k in keys if self.records[k].is_photograph]
        self._chances = balanced(self._real, self.config.photo_balance)
        self._mixable = [k for k in self._real if may_mix(self.records[k])]
        self._ambiguous = [k for k in self._rendered if has_ambiguous_phrases(self.records[k])]
        self._holders: dict[str, list[str]] = {}
        for key in keys:
            for instance in self.records[key].instances:
                if not instance.stuff:
                    self._holders.setdefault(shared_name(instance), []).append(key)
        return len(keys)

    def batch(self, step: int) -> Batch:
        """Batch number `step`, from 0.

        Raises:
            ImageError: one image after another cannot be read.
        """
        rng = np.random.default_rng((self.seed, step))
        items = [self._readable(key, rng) for key in self._choose(rng)]
        shown = [self._readable(key, rng) for key in self._choose_references(items, rng)]
        images, references = [p for p, _ in items], [p for p, _ in shown]
        queries = sample_queries(images, self.knowledge, self.config.asks, rng, references)
        return collate(items, queries, shown)

    def _choose_references(
        self, items: Sequence[tuple[LabelledImage, list[Tensor]]], rng: np.random.Generator
    ) -> list[str]:
        """Reference images of objects of the batch, of different names while there are some."""
        if not self.config.references:
            return []
        names = sorted({shared_name(i) for p, _ in items for i in p.instances if not i.stuff})
        known = [n for n in names if n in self._shown]
        picked = [known[k] for k in rng.permutation(len(known))[: self.config.references]]
        return [str(rng.choice(self._shown[name])) for name in picked]

    def what_was_left_out(self) -> str:
        """How many images could not be read, and the first one, in a sentence."""
        first = next(iter(self.left_out.values()))
        return f"{len(self.left_out)} images were left out, the first: {first}"

    def _readable(self, key: str, rng: np.random.Generator) -> tuple[LabelledImage, list[Tensor]]:
        """The item of a record, or of another of its kind where it cannot be read."""
        for _ in range(READ_TRIES):
            try:
                return self._item(key, rng)
            except ImageError as error:
                if not self.left_out:
                    log.warning("An image is left out: %s", error)
                self.left_out.setdefault(key, str(error))
                key = str(rng.choice(self._alike(key)))
        last = list(self.left_out.values())[-1]
        raise ImageError(f"{READ_TRIES} images in a row cannot be read, the last: {last}")

    def _alike(self, key: str) -> list[str]:
        """Records of one kind: pictures of a thing alone, photographs, or rendered scenes."""
        if is_reference(key):
            return sorted({k for keys in self._shown.values() for k in keys})
        return self._real if self.records[key].is_photograph else self._rendered

    def _item(self, key: str, rng: np.random.Generator) -> tuple[LabelledImage, list[Tensor]]:
        record, config = self.records[key], self.config
        numbers, maps, view = self._view(key, rng)
        if (
            config.photo_mix
            and not is_reference(key)
            and may_mix(record)
            and rng.random() < config.photo_mix
        ):
            other = self._mixable[int(rng.integers(len(self._mixable)))]
            guest = (self.records[other], *self._view(other, rng)[:2])
            record, numbers, maps = mix((record, numbers, maps), guest, rng)
        if config.photo_dropout and record.is_photograph:
            maps = blank_channels(maps, rng.uniform(0.0, config.photo_dropout), rng)
        return labelled_image(record, view, numbers, config.min_view_px), maps

    def _view(
        self, key: str, rng: np.random.Generator
    ) -> tuple[np.ndarray, list[Tensor], StoredView]:
        views = self.store.views[key]
        return load_view(self.store, views[int(rng.integers(len(views)))])

    def __iter__(self) -> Iterator[Batch]:
        step = 0
        while True:
            yield self.batch(step)
            step += 1

    def _choose(self, rng: np.random.Generator) -> list[str]:
        real = min(self.config.real, len(self._real)) if self._rendered else self.config.size
        rendered = self.config.size - real if self._rendered else 0
        partners = min(self.config.partners, rendered // 2)
        ambiguous = min(self.config.lookalikes, rendered - partners) if self._ambiguous else 0
        chosen = [str(k) for k in rng.choice(self._ambiguous, ambiguous)] if ambiguous else []
        if rendered:
            chosen += [str(k) for k in rng.choice(self._rendered, rendered - partners - ambiguous)]
        chosen += [self._partner(key, rng) for key in chosen[:partners]]
        return chosen + self._photographs(real, rng)

    def _photographs(self, count: int, rng: np.random.Generator) -> list[str]:
        if not count:
            return []
        partners = min(self.config.photo_partners, count // 2)
        alone = count - partners
        if self.config.photo_balance == 1.0:
            chosen = [str(k) for k in rng.choice(self._real, alone)]
        else:
            chosen = [str(k) for k in rng.choice(self._real, alone, p=self._chances)]
        return chosen + [self._partner(key, rng) for key in chosen[:partners]]

    def _partner(self, key: str, rng: np.random.Generator) -> str:
        """Another image with one of this one's objects (itself when there is none)."""
        names = [shared_name(i) for i in self.records[key].instances if not i.stuff]
        rng.shuffle(names)
        for name in names:
            others = [k for k in self._holders[name] if k != key]
            if others:
                return others[int(rng.integers(len(others)))]
        return key


def balanced(keys: Sequence[str], power: float) -> np.ndarray:
    """(N,) chance of each record, such that a set comes as its count to that power.

    A record's set is the part of its key before the image's own name.
    """
    sets, place, counts = np.unique(
        [key.split("+")[0].rpartition("/")[0] for key in keys], return_inverse=True,
        return_counts=True,
    )  # fmt: skip
    weight = counts[place].astype(float) ** (power - 1.0) if len(sets) else np.zeros(0)
    return weight / max(weight.sum(), 1e-12)


def has_ambiguous_phrases(record: Record) -> bool:
    """Does a phrase of the record pick among objects of one kind by where they are?"""
    return any(is_ambiguous(p.kind, record.instances, p.instances) for p in record.phrases)


def shared_name(instance: InstanceLabel) -> str:
    """What makes two instances partners: the asset, or the class where assets are unknown."""
    return instance.asset if instance.asset is not None else f"class {instance.name}"
