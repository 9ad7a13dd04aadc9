"""Selecting results (docs/spec.md 2.9): pure functions from logits to masks, segments and candidates.

Letters: N proposals, C classes (without background), H/W pixels, E entities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class RawSegment:
    """A segment before it gets names. `query`: the proposal it came from (-1 for merged stuff)."""

    id: int
    class_index: int
    is_thing: bool
    score: float
    query: int


def semantic_scores(class_logits_NC: Tensor, mask_logits_NHW: Tensor) -> Tensor:
    """(C, H, W) scores: sum over proposals of class probability times mask probability.

    The last column of `class_logits_NC` is background and is dropped after the softmax.
    """
    classes = class_logits_NC.softmax(-1)[:, :-1]
    return torch.einsum("nc,nhw->chw", classes, mask_logits_NHW.sigmoid())


def confident(class_logits_NC: Tensor, score_threshold: float) -> list[int]:
    """Proposals whose best class is none of background, and more likely than the threshold."""
    scores, labels = class_logits_NC.softmax(-1).max(-1)
    background = class_logits_NC.shape[1] - 1
    return torch.nonzero((labels != background) & (scores > score_threshold))[:, 0].tolist()


def panoptic(
    class_logits_NC: Tensor,
    mask_logits_NHW: Tensor,
    is_thing: Sequence[bool],
    score_threshold: float = 0.8,
    overlap_threshold: float = 0.8,
) -> tuple[Tensor, list[RawSegment]]:
    """Non-overlapping segments.

    Args:
        class_logits_NC: C includes background as its last column.
        is_thing: per class; segments of one stuff class are merged.
        score_threshold: a proposal's best class must be strictly more likely than this.
        overlap_threshold: least part of its own area a segment must win.

    Returns:
        (H, W) int32 id map (0 = void, ids from 1 in proposal order) and its segments.
    """
    scores, labels = class_logits_NC.softmax(-1).max(-1)
    kept = confident(class_logits_NC, score_threshold)
    ids = torch.zeros(mask_logits_NHW.shape[1:], dtype=torch.int32, device=mask_logits_NHW.device)
    segments: list[RawSegment] = []
    if not kept:
        return ids, segments
    masks = mask_logits_NHW[kept].sigmoid()
    winner = (scores[kept].view(-1, 1, 1) * masks).argmax(0)
    stuff_ids: dict[int, int] = {}
    for row, query in enumerate(kept):
        inside = masks[row] >= 0.5
        won = (winner == row) & inside
        area, original = int((winner == row).sum()), int(inside.sum())
        if not (area and original and won.any()) or area / original < overlap_threshold:
            continue
        label = int(labels[query])
        if not is_thing[label] and label in stuff_ids:
            ids[won] = stuff_ids[label]
            continue
        segment_id = len(segments) + 1
        ids[won] = segment_id
        if not is_thing[label]:
            stuff_ids[label] = segment_id
        segments.append(
            RawSegment(segment_id, label, bool(is_thing[label]), float(scores[query]), query)
        )
    return ids, segments


def instances(
    class_logits_NC: Tensor, mask_logits_NHW: Tensor, is_thing: Sequence[bool], top_k: int = 100
) -> tuple[Tensor, Tensor, Tensor]:
    """Scored instances of things: (scores (K,), classes (K,), proposals (K,)).

    Top-k of the flattened class probabilities; a score is class probability times the mean mask
    probability inside the mask (divisor area + 1e-6).
    """
    scores, classes, proposals = class_candidates(class_logits_NC, is_thing, top_k)
    quality = mask_scores(mask_logits_NHW)[proposals]
    return scores * quality, classes, proposals


def class_candidates(
    class_logits_NC: Tensor, is_thing: Sequence[bool], top_k: int = 100
) -> tuple[Tensor, Tensor, Tensor]:
    """Class probabilities of things, the top k: (probabilities (K,), classes (K,), proposals (K,))."""
    probabilities = class_logits_NC.softmax(-1)[:, :-1]
    count = probabilities.shape[1]
    scores, flat = probabilities.flatten().topk(min(top_k, probabilities.numel()), sorted=False)
    classes, proposals = flat % count, flat // count
    keep = torch.tensor(list(is_thing), device=classes.device)[classes]
    return scores[keep], classes[keep], proposals[keep]


def mask_scores(mask_logits_NHW: Tensor) -> Tensor:
    """(N,) mean mask probability inside each mask."""
    logits = mask_logits_NHW.flatten(1)
    inside = (logits > 0).float()
    return (logits.sigmoid() * inside).sum(1) / (inside.sum(1) + 1e-6)


def interleave_similarity(
    semantic_NH: Tensor, pixel_NP: Tensor, entity_semantic_EH: Tensor, entity_pixel_EP: Tensor,
    is_visual_E: Tensor,
) -> Tensor:  # fmt: skip
    """(..., E, N) raw similarities: visual entities by pixel embedding, text ones by semantic.

    All may have leading dimensions (predictions, images) that broadcast.
    """
    by_text = entity_semantic_EH @ semantic_NH.transpose(-1, -2)
    by_sight = entity_pixel_EP @ pixel_NP.transpose(-1, -2)
    return torch.where(is_visual_E.to(by_text.device).unsqueeze(-1), by_sight, by_text)


def stroke_choice(strokes_BNP: Tensor, proposals_BQP: Tensor) -> Tensor:
    """(B, N) long, the proposal that each interactive prompt means.

    Raw dot product of pixel embeddings (docs/spec.md 2.9).
    """
    return torch.matmul(strokes_BNP, proposals_BQP.transpose(1, 2)).argmax(-1)


def shared_areas(masks_NHW: Tensor) -> Tensor:
    """(N, N) float32: how many pixels each two of N bool masks share; the diagonal has their areas."""
    flat = masks_NHW.flatten(1).float()  # whole numbers below 2^24: their sums are exact
    return flat @ flat.T


def distinct(shared_NN: np.ndarray, order: Sequence[int], overlap: float = 0.5) -> list[int]:
    """Greedy choice in `order`: skip empty masks and those overlapping a chosen one.

    Overlap is intersection over the smaller area, so that a part of a chosen object is no second
    object.

    Args:
        shared_NN: see `shared_areas`.
    """
    areas, chosen = shared_NN.diagonal(), list[int]()
    for n in order:
        if areas[n] == 0:
            continue
        if (shared_NN[n, chosen] <= overlap * np.minimum(areas[n], areas[chosen])).all():
            chosen.append(n)
    return chosen


WITHIN = 0.9
"""Share of a part's pixels that lie in the whole."""
MOST = 0.7
"""Share of a whole that its parts cover at most: what covers more of it is a rival, not a part."""
MARGIN = 0.1
"""By so much a whole may score lower than its part."""


def wholes_first(shared_NN: np.ndarray, order: Sequence[int], scores_N: np.ndarray) -> list[int]:
    """`order` with a whole before the parts of it that score a little higher.

    Legs are a part of a person; two cups side by side are no parts of the mask that holds both,
    since together they fill it.

    Args:
        shared_NN: see `shared_areas`. scores_N: of the same masks, in [0, 1].
    """
    areas, out = shared_NN.diagonal(), list(order)
    for whole in order:
        place = out.index(whole)
        parts = [
            n for n in out[:place]
            if areas[n] and shared_NN[n, whole] >= WITHIN * areas[n]
            and areas[n] < MOST * areas[whole] and scores_N[whole] >= scores_N[n] - MARGIN
        ]  # fmt: skip
        apart = distinct(shared_NN, parts)
        if parts and shared_NN[apart, whole].sum() < MOST * areas[whole]:
            out.remove(whole)
            out.insert(out.index(parts[0]), whole)
    return out
