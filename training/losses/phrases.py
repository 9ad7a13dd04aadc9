"""Many short phrases against all objects of the batch: what is there, what only looks like it.

An entity query does not depend on the target picture (docs/spec.md 2.7), so a phrase alone costs a
handful of token rows. Each picture gives some phrases that are true of it and some that are known
to be false (other colours of what is there, other kinds); every phrase is then scored against every
object of every picture, wherever the truth is known. Phrases that pick among look-alikes by their
places are known in their own picture only. Ours: the paper's losses never say "not here".

Dimension letters: T phrases, B pictures, M instances, Q proposals, H width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data.queries.config import EntityQuery
from training.data.queries.label_knowledge import LabelKnowledge
from training.data.queries.sampling import mirrored_text, visible_phrases
from training.data.sample import Batch
from training.losses.relevance import (
    Relevance,
    image_truth,
    shown_names,
    spread_truth,
    truths,
)
from training.losses.terms import cosine_logits, multi_positive_nce, relevance_bce
from training.truth import FALSE, TRUE, UNKNOWN


@dataclass(frozen=True)
class Phrase:
    """Attributes:
    picture: the one picture in which its truth is known; None: `LabelKnowledge` knows it everywhere.
    targets: instances of that picture it is true of; none for a relation that does not hold.
    """

    text: str
    picture: int | None = None
    targets: tuple[int, ...] = ()


def choose_phrases(batch: Batch, count: int, placed: int, rng: np.random.Generator) -> list[Phrase]:
    """Up to `count` true and `count` false phrases of every picture, each once, and up to `placed`
    that only places tell apart with as many that do not hold."""
    chosen: dict[str, Phrase] = {}
    for picture in batch.images:
        true = [p.text for p in visible_phrases(picture) if not p.referring]
        true += shown_names(picture)
        false = [mirrored_text(text, picture) for text in picture.record.absent]
        for texts in (true, false):
            for k in _some(len(texts), count, rng):
                chosen[texts[k]] = Phrase(texts[k])
    return list(chosen.values()) + _placed(batch, placed, rng)


def _placed(batch: Batch, count: int, rng: np.random.Generator) -> list[Phrase]:
    """Relations among look-alikes, true ones and false ones."""
    out = []
    for b, picture in enumerate(batch.images):
        alike = [p for p in visible_phrases(picture) if p.ambiguous]
        untrue = picture.record.false_relations if picture.complete else ()
        out += [Phrase(alike[k].text, b, alike[k].targets) for k in _some(len(alike), count, rng)]
        out += [
            Phrase(mirrored_text(untrue[k], picture), b) for k in _some(len(untrue), count, rng)
        ]
    return out


def _some(size: int, count: int, rng: np.random.Generator) -> list[int]:
    return [int(k) for k in rng.permutation(size)[:count]]


def phrase_truths(phrases: Sequence[Phrase], batch: Batch, knowledge: LabelKnowledge) -> Tensor:
    """(T, B, M) long: is each phrase true of each visible instance of each picture (-1 unknown)."""
    table = torch.full((len(phrases), *batch.valid.shape), UNKNOWN)
    everywhere = [t for t, p in enumerate(phrases) if p.picture is None]
    table[everywhere] = truths(
        [EntityQuery(phrases[t].text, ()) for t in everywhere], batch, knowledge
    )
    for row, phrase in zip(table, phrases, strict=True):
        if phrase.picture is not None:
            row[phrase.picture, : len(batch.images[phrase.picture].instances)] = FALSE
            row[phrase.picture, list(phrase.targets)] = TRUE
    return table


def phrase_losses(
    relevance: Relevance, phrases: Sequence[Phrase], truth_TBM: Tensor, rows_TH: Tensor, objects_BQH: Tensor,
    matched_BM: Tensor, batch: Batch, scale: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(relevance, alignment): is it there at all, and which of all the batch's objects are it.

    Args:
        matched_BM: the proposal of each visible instance, -1 for padding.
    """
    truth_TBM = truth_TBM.to(rows_TH.device)
    cosine_TBQ = cosine_logits(rows_TH, objects_BQH.flatten(0, 1)).unflatten(
        1, objects_BQH.shape[:2]
    )
    # What is said of one image by place ("the left cup") is not what a label of the whole names.
    said = [EntityQuery(p.text if p.picture is None else "", ()) for p in phrases]
    seen_TB = image_truth(truth_TBM, batch, said)
    truth_TBQ = spread_truth(truth_TBM, matched_BM, seen_TB, objects_BQH.shape[1])
    here = relevance_bce(relevance(cosine_TBQ.amax(2)), seen_TB)
    each = relevance_bce(relevance(cosine_TBQ), truth_TBQ)
    alignment = multi_positive_nce(scale * cosine_TBQ.flatten(1), truth_TBQ.flatten(1))
    return here + each, alignment
