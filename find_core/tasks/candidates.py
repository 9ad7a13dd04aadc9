"""From scored proposals to entities: the best candidate of each, and every further one.

Chosen at 1/4, taken apart at the resized size; only what is returned is made at the original size.

Letters: N proposals, E entities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from find_core.crops import Crop
from find_core.masks import box_of_mask, is_duplicate, split_instance, without_duplicates
from find_core.places.choice import LEAST_SHARE, PlaceWords, choose
from find_core.places.geometry import Arrangement, small_masks
from find_core.protocols import EncodedImage
from find_core.results import Entity, Instance, Localization
from find_core.tasks import postprocess
from find_core.tasks.proposals import Proposals

MAX_INSTANCES = 20


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A mask at the resized size, where it is decided what is returned.

    Attributes:
        crop: of the whole mask that this one is, or is a part of.
    """

    score: float
    mask: np.ndarray
    box_xyxy: np.ndarray
    embedding: np.ndarray
    crop: Crop

    @staticmethod
    def of(score: float, embedding: np.ndarray, crop: Crop) -> _Candidate:
        mask = crop.resized_mask()
        return _Candidate(score, mask, box_of_mask(mask), embedding, crop)

    def instance(self) -> Instance:
        """At the original size."""
        mask, box_xyxy = self.crop.only(self.mask).original()
        return Instance(self.score, mask, box_xyxy, self.embedding)


def localization(
    scene: EncodedImage,
    labels: Sequence[str],
    choice_EN: Tensor,
    relevance_EN: Tensor,
    proposals: Proposals,
    threshold: float | None,
    places: PlaceWords | None = None,
) -> Localization:
    """One `Entity` a label, and the least of their scores as relevance.

    Args:
        choice_EN: what proposals are ranked by. relevance_EN: their scores, in [0, 1].
        threshold: score from which a proposal counts; None: the model's own.
        places: what the words say of places; decides between candidates of one entity.
    """
    config = scene.find.config
    least = config.threshold if threshold is None else threshold
    # One transfer for all scores: each comparison on the device would wait for it.
    both = torch.stack([relevance_EN, choice_EN.float()])
    scores_EN, choice = both.cpu().numpy()
    share = 1.0 if places is None else LEAST_SHARE
    chosen = _choose(proposals, scores_EN, choice, least, share)
    wanted = sorted(set(chain.from_iterable(chosen)))
    crop_of = dict(zip(wanted, proposals.crops(wanted), strict=True))
    listed = []
    for scores_N, numbers in zip(scores_EN, chosen, strict=True):
        rows = [(float(scores_N[n]), proposals.embeddings_ND[n], crop_of[n]) for n in numbers]
        whole = [_Candidate.of(*row) for row in rows]
        listed.append(_separated(scene, whole) if config.single_things else whole)
    place_score = None if places is None else _by_place(listed, places)
    entities = [
        _entity(label, [c.instance() for c in _shown(listed_of, least)], least)
        for label, listed_of in zip(labels, listed, strict=True)
    ]
    relevance = min(entity.score for entity in entities)
    return Localization(
        relevance, tuple(entities), scene.height, scene.width,
        separated=config.single_things, place_score=place_score,
    )  # fmt: skip


def _by_place(listed: list[list[_Candidate]], places: PlaceWords) -> float:
    """Bring to the front of each list what stands where the words say; how likely that is so.

    It takes over the list's best score: places decide which one is meant, scores whether one is here.
    """

    def arrange(members: list[tuple[int, int]]) -> Arrangement:
        return Arrangement(small_masks([listed[e][n].mask for e, n in members]))

    choice = choose(places, [[c.score for c in candidates] for candidates in listed], arrange)
    for candidates, picked in zip(listed, choice.picked, strict=True):
        best = max(c.score for c in candidates)
        candidates.insert(0, replace(candidates.pop(picked), score=best))
    return choice.probability


def _shown(candidates: list[_Candidate], least: float) -> list[_Candidate]:
    """The first, and of the others those that pass."""
    return [c for n, c in enumerate(candidates) if n == 0 or c.score >= least]


def _choose(
    proposals: Proposals, scores_EN: np.ndarray, choice_EN: np.ndarray, least: float, share: float
) -> list[list[int]]:
    """Of each entity its best proposal, then those that pass and show something else.

    Args:
        share: those with this share of the best one's score pass too.
    """
    orders = []
    for scores_N, choice_N in zip(scores_EN, choice_EN, strict=True):
        order = np.argsort(-choice_N, kind="stable")
        passing = scores_N[order] >= min(least, share * scores_N[order[0]] if share < 1 else least)
        passing[0] = True
        orders.append(order[passing].tolist())
    rivals = sorted(set(chain.from_iterable(order for order in orders if len(order) > 1)))
    if not rivals:
        return orders
    shared = postprocess.shared_areas(proposals.logits(rivals) > 0).cpu().numpy()
    row_of = {n: row for row, n in enumerate(rivals)}
    chosen = []
    for order, scores_N in zip(orders, scores_EN, strict=True):
        rows = [row_of[n] for n in order] if len(order) > 1 else []
        if rows and shared[rows[0], rows[0]]:  # an empty best answer stays the answer
            rows = postprocess.wholes_first(shared, rows, scores_N[rivals])
        first = rivals[rows[0]] if rows else order[0]
        others = [rivals[r] for r in postprocess.distinct(shared, rows)[:MAX_INSTANCES]]
        chosen.append([first, *(n for n in others if n != first)])
    return chosen


def _separated(scene: EncodedImage, whole: Sequence[_Candidate]) -> list[_Candidate]:
    """Masks taken apart where they cover objects that stand apart; the best one's best part first."""
    parts = [split_instance(instance, scene.object_crops) for instance in whole]
    first = parts[0][0]
    others = without_duplicates(chain.from_iterable(parts))
    return [first, *(p for p in others if p is not first and not is_duplicate(p, first))]


def _entity(label: str, candidates: Sequence[Instance], least: float) -> Entity:
    """The first candidate, and all of them where it is found."""
    first = candidates[0]
    found = bool(first.score >= least and first.box_xyxy.any())
    passed = sorted(candidates, key=lambda i: -i.score) if found else []
    return Entity(
        first.score,
        first.mask,
        first.box_xyxy,
        first.embedding,
        label=label,
        found=found,
        instances=tuple(passed),
    )
