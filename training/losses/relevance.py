"""Is it there at all? Absolute scores for entities, beside the relative ones of the paper.

The paper's losses only rank proposals within a picture that does hold the entity. A robot must
also know that it is *not* there. Entity embeddings do not depend on the target picture
(docs/spec.md 2.7), so each is scored against every picture of the batch, wherever the truth is known.
score = sigmoid(scale * (cos - bias)); scale and bias are learned and become the calibration.

Dimension letters: T entities of the batch, B pictures, Q proposals, M instances, H width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from find_core.model.attention_table import TokenGroup
from training.data.queries.config import EntityQuery
from training.data.queries.label_knowledge import LabelKnowledge
from training.data.sample import Batch
from training.losses.terms import cosine_logits, multi_positive_nce, relevance_bce
from training.truth import FALSE, TRUE, UNKNOWN


class Relevance(nn.Module):
    """Scale and bias of the relevance score."""

    def __init__(self, scale: float, bias: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(float(scale)).log())
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def forward(self, cosine: Tensor) -> Tensor:
        return self.log_scale.exp() * (cosine - self.bias)


def relevance_losses(
    relevance: Relevance, batch: Batch, knowledge: LabelKnowledge, semantic: dict[TokenGroup, Tensor],
    matched: dict[str, Tensor], scale: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(relevance, alignment) of the final prediction."""
    where = [(b, n) for b, ask in enumerate(batch.queries) for n in range(len(ask.entities))]
    if not where or TokenGroup.INTERLEAVE not in semantic:
        zero = semantic[TokenGroup.OBJECT].sum() * 0.0
        return zero, zero
    owner = torch.tensor([b for b, _ in where], device=scale.device)
    slot = torch.tensor([n for _, n in where], device=scale.device)
    entities = semantic[TokenGroup.INTERLEAVE][-1][owner, slot]  # (T, H)
    own = cosine_logits(entities[:, None], semantic[TokenGroup.ENTITY][-1][owner])[:, 0]  # (T, Q)
    conditioned = _conditioned(relevance, batch, where, own, matched["interleave"][-1])
    truth_TBM = truth_table(batch, where, knowledge).to(scale.device)
    objects = semantic[TokenGroup.OBJECT][-1]
    cosine_TBQ = cosine_logits(entities, objects.flatten(0, 1)).unflatten(1, objects.shape[:2])
    truth_TBQ = spread_truth(truth_TBM, matched["panoptic"][-1], objects.shape[1])
    seen = image_truth(truth_TBM, batch).to(scale.device)
    generic = relevance_bce(relevance(cosine_TBQ.amax(2)), seen)
    generic = generic + relevance_bce(relevance(cosine_TBQ), truth_TBQ)
    alignment = multi_positive_nce(scale * cosine_TBQ.flatten(1), truth_TBQ.flatten(1))
    return conditioned + generic, alignment


def _conditioned(
    relevance: Relevance,
    batch: Batch,
    where: list[tuple[int, int]],
    own_TQ: Tensor,
    matched_BM: Tensor,
) -> Tensor:
    """Entity proposals of the own picture: the best one, and each one."""
    there = torch.tensor([bool(batch.queries[b].entities[n].targets) for b, n in where])
    best = relevance_bce(relevance(own_TQ.amax(1)), there.long().to(own_TQ.device))
    each = torch.full(own_TQ.shape, FALSE, device=own_TQ.device)
    slots: dict[tuple[int, int], list[int]] = {}
    for b, ask in enumerate(batch.queries):
        pairs = [(n, m) for n, e in enumerate(ask.entities) for m in e.targets]
        for k, (n, _) in enumerate(pairs):
            slots.setdefault((b, n), []).append(int(matched_BM[b, k]))
    for t, key in enumerate(where):
        for q in slots.get(key, ()):
            if q >= 0:
                each[t, q] = TRUE
    return best + relevance_bce(relevance(own_TQ), each)


def truth_table(batch: Batch, where: list[tuple[int, int]], knowledge: LabelKnowledge) -> Tensor:
    """(T, B, M) long: is each entity true of each visible instance of each picture (-1 unknown)."""
    return truths([batch.queries[b].entities[n] for b, n in where], batch, knowledge)


def truths(entities: Sequence[EntityQuery], batch: Batch, knowledge: LabelKnowledge) -> Tensor:
    """`truth_table` of any entities."""
    table = torch.full((len(entities), *batch.valid.shape), UNKNOWN)
    rows = [picture.instances for picture in batch.images]
    for t, entity in enumerate(entities):
        for o, instances in enumerate(rows):
            for m, instance in enumerate(instances):
                table[t, o, m] = entity.truth(instance, knowledge)
    return table


def spread_truth(truth_TBM: Tensor, matched_BM: Tensor, proposals: int) -> Tensor:
    """(T, B, Q): matched proposals inherit their instance's truth.

    Unmatched ones may be near copies of a true instance: they count as false only where the
    picture holds nothing that is, or may be, true.
    """
    nothing = (truth_TBM <= FALSE).all(2) & ~((truth_TBM == UNKNOWN) & (matched_BM >= 0)).any(2)
    spread = torch.where(nothing, FALSE, UNKNOWN)[..., None].repeat(1, 1, proposals)
    image, mask = torch.nonzero(matched_BM >= 0, as_tuple=True)
    spread[:, image, matched_BM[image, mask]] = truth_TBM[:, image, mask]
    return spread


def image_truth(truth_TBM: Tensor, batch: Batch) -> Tensor:
    """(T, B): true if any instance is; false if all are known false and all is labelled."""
    valid = batch.valid.to(truth_TBM.device)
    exhaustive = torch.tensor([p.record.exhaustive for p in batch.images]).to(truth_TBM.device)
    any_true = ((truth_TBM == TRUE) & valid).any(2)
    all_false = ((truth_TBM == FALSE) | ~valid).all(2) & exhaustive
    return torch.where(any_true, TRUE, torch.where(all_false, FALSE, UNKNOWN))
