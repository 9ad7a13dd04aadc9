"""Is it there at all? Absolute scores for entities, beside the relative ones of the paper.

The paper's losses only rank proposals within a picture that does hold the entity. A robot must
also know that it is *not* there. Entity embeddings do not depend on the target picture
(docs/spec.md 2.7), so each is scored against every picture of the batch, wherever the truth is known.
score = sigmoid(scale * (cos - bias)); scale and bias are learned and become the calibration.

Dimension letters: T entities of the batch, B pictures, Q proposals, M instances, H width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from find_core.model.attention_table import TokenGroup
from training.data.queries.config import EntityQuery
from training.data.queries.label_knowledge import LabelKnowledge
from training.data.sample import Batch, LabelledImage
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
    matched: dict[str, Tensor], undecided: dict[str, Tensor], scale: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(relevance, alignment) of the final prediction.

    Args:
        matched, undecided: by mask task, as `MaskLosses` has them.
    """
    where = [(b, n) for b, ask in enumerate(batch.queries) for n in range(len(ask.entities))]
    if not where or TokenGroup.INTERLEAVE not in semantic:
        zero = semantic[TokenGroup.OBJECT].sum() * 0.0
        return zero, zero
    owner = torch.tensor([b for b, _ in where], device=scale.device)
    slot = torch.tensor([n for _, n in where], device=scale.device)
    entities = semantic[TokenGroup.INTERLEAVE][-1][owner, slot]  # (T, H)
    own = cosine_logits(entities[:, None], semantic[TokenGroup.ENTITY][-1][owner])[:, 0]  # (T, Q)
    conditioned = _conditioned(
        relevance, batch, where, own, matched["interleave"][-1], undecided["interleave"][-1]
    )
    entities_asked = [batch.queries[b].entities[n] for b, n in where]
    truth_TBM = truths(entities_asked, batch, knowledge).to(scale.device)
    objects = semantic[TokenGroup.OBJECT][-1]
    cosine_TBQ = cosine_logits(entities, objects.flatten(0, 1)).unflatten(1, objects.shape[:2])
    seen = image_truth(truth_TBM, batch, entities_asked)
    truth_TBQ = spread_truth(truth_TBM, matched["panoptic"][-1], seen, objects.shape[1])
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
    undecided_BQ: Tensor,
) -> Tensor:
    """Entity proposals of the own picture: the best one, and each one."""
    there = torch.tensor([bool(batch.queries[b].entities[n].targets) for b, n in where])
    best = relevance_bce(relevance(own_TQ.amax(1)), there.long().to(own_TQ.device))
    each = np.full(own_TQ.shape, FALSE, np.int64)
    matched, undecided = matched_BM.tolist(), undecided_BQ.cpu().numpy()
    slots: dict[tuple[int, int], list[int]] = {}
    for b, ask in enumerate(batch.queries):
        pairs = [(n, m) for n, e in enumerate(ask.entities) for m in e.targets]
        for k, (n, _) in enumerate(pairs):
            slots.setdefault((b, n), []).append(matched[b][k])
    for t, key in enumerate(where):
        if there[t]:  # where it is absent, nothing of the image is it
            each[t, undecided[key[0]]] = UNKNOWN
        for q in slots.get(key, ()):
            if q >= 0:
                each[t, q] = TRUE
    return best + relevance_bce(relevance(own_TQ), torch.from_numpy(each).to(own_TQ.device))


def truths(entities: Sequence[EntityQuery], batch: Batch, knowledge: LabelKnowledge) -> Tensor:
    """(T, B, M) long: is each entity true of each visible instance of each image (-1 unknown).

    What an image is known to hold nothing of (`Record.absent`) is false of all its instances.
    """
    # In NumPy: single elements of a tensor are slow to write, and there are tens of thousands.
    table = np.full((len(entities), *batch.valid.shape), UNKNOWN, np.int64)
    rows = [picture.instances for picture in batch.images]
    for t, entity in enumerate(entities):
        for o, instances in enumerate(rows):
            if _is_ruled_out(entity, batch.images[o]):
                table[t, o, : len(instances)] = FALSE
            else:
                table[t, o, : len(instances)] = [entity.truth(i, knowledge) for i in instances]
    return torch.from_numpy(table)


def _is_ruled_out(entity: EntityQuery, image: LabelledImage) -> bool:
    return (
        not entity.is_visual and image.record.is_photograph and entity.text in image.record.absent
    )


def spread_truth(truth_TBM: Tensor, matched_BM: Tensor, seen_TB: Tensor, proposals: int) -> Tensor:
    """(T, B, Q): matched proposals inherit their instance's truth.

    Unmatched ones may be near copies of a true instance, or objects that nobody labelled: they
    count as false only where the whole image is known to hold nothing that is true.

    Args:
        seen_TB: `image_truth`.
    """
    spread = torch.where(seen_TB == FALSE, FALSE, UNKNOWN)[..., None].repeat(1, 1, proposals)
    image, mask = torch.nonzero(matched_BM >= 0, as_tuple=True)
    spread[:, image, matched_BM[image, mask]] = truth_TBM[:, image, mask]
    return spread


def image_truth(truth_TBM: Tensor, batch: Batch, entities: Sequence[EntityQuery] = ()) -> Tensor:
    """(T, B): true if any instance is; false if all are known false and all is labelled.

    Also what labels of the whole image say of `entities`: names of what it shows, and what it is
    known to hold nothing of.
    """
    valid = batch.valid.to(truth_TBM.device)
    exhaustive = torch.tensor([p.record.exhaustive for p in batch.images]).to(truth_TBM.device)
    any_true = ((truth_TBM == TRUE) & valid).any(2)
    all_false = ((truth_TBM == FALSE) | ~valid).all(2) & exhaustive
    seen = torch.where(any_true, TRUE, torch.where(all_false, FALSE, UNKNOWN))
    if not entities:
        return seen
    said = np.full(seen.shape, UNKNOWN, np.int64)
    shown = [shown_names(image) for image in batch.images]
    for t, entity in enumerate(entities):
        for b, image in enumerate(batch.images):
            if entity.is_visual:
                continue
            if entity.text in shown[b]:
                said[t, b] = TRUE
            elif _is_ruled_out(entity, image):
                said[t, b] = FALSE
    told = torch.from_numpy(said).to(seen.device)
    return torch.where(told == UNKNOWN, seen, told)


def shown_names(image: LabelledImage) -> tuple[str, ...]:
    """Names of what an image shows though nobody said where.

    A caption speaks of the whole image, of which a crop may have lost a part.
    """
    record = image.record
    return record.image_labels + (() if image.view.cropped else record.caption_names)
