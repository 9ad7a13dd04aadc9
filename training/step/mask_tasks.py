"""The mask tasks of a step: what each text, stroke or entity asks for, matched and scored.

Dimension letters: L predictions, B images, Q proposals, N texts / prompts / entities, M masks,
K classes, H semantic width, P mask width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from find_core.model.attention_table import TokenGroup
from find_core.tasks.postprocess import interleave_similarity
from training.data.queries.label_knowledge import LabelKnowledge
from training.losses.mask_criterion import (
    NEITHER,
    MaskLosses,
    MaskTargets,
    panoptic_losses,
    spread_targets,
)
from training.losses.terms import cosine_logits, proposal_ce
from training.step.context import StepContext
from training.step.targets import counts_to_weights, pair_labels
from training.truth import TRUE, UNKNOWN


def panoptic(
    context: StepContext, names: Sequence[str], bank_LKH: Tensor, knowledge: LabelKnowledge
) -> MaskLosses:
    """Every object of the image by its class.

    Args:
        names: the class bank's, the no-object class last.
    """
    logits = cosine_logits(context.semantic[TokenGroup.OBJECT], bank_LKH[:, None], context.scale)
    column = {name: k for k, name in enumerate(names)}
    # Filled in NumPy: a tensor's single elements cost microseconds each, and there are tens of thousands.
    label = np.zeros(context.valid.shape, np.int64)
    also = np.zeros((*context.valid.shape, len(names)), bool)
    for b, image in enumerate(context.batch.images):
        for m, instance in enumerate(image.instances):
            # An image's name may be left out of a bank with one fresh class an image.
            label[b, m] = column.get(instance.name, len(names) - 1)
            also[b, m, :-1] = [
                knowledge.truth(name, instance) in (TRUE, UNKNOWN) for name in names[:-1]
            ]
    exhaustive = torch.tensor([image.record.exhaustive for image in context.batch.images])
    device = context.features.device
    return panoptic_losses(
        logits, context.pixel[TokenGroup.OBJECT], context.features,
        MaskTargets(
            context.masks, context.valid, torch.from_numpy(label).to(device), context.kinds,
            context.ignored, context.open_cells,
        ), context.view, context.losses.masks, torch.from_numpy(also).to(device),
        exhaustive.float().to(device),
    )  # fmt: skip


def grounding(context: StepContext) -> MaskLosses:
    """The instances that each phrase means."""
    losses, queries = context.losses, context.batch.queries
    logits = cosine_logits(
        context.semantic[TokenGroup.DESCRIPTION],
        context.semantic[TokenGroup.GROUNDING],
        context.scale,
    )
    pairs = [[(m, n) for n, p in enumerate(q.phrases) for m in p.targets] for q in queries]
    weight = torch.zeros(logits.shape[1:3], device=context.features.device)
    for b, query in enumerate(queries):
        for n, phrase in enumerate(query.phrases):
            weight[b, n] = losses.referring if phrase.referring else losses.class_text
    return context.proposal_losses(logits, TokenGroup.GROUNDING, pairs, weight)


def interactive(context: StepContext) -> MaskLosses:
    """The instance that each prompt's strokes were drawn on."""
    queries = context.batch.queries
    proposals = context.pixel[TokenGroup.SEGMENT]
    logits = context.queries(TokenGroup.SPATIAL) @ proposals.transpose(-1, -2)
    pairs = [[(p.target, n) for n, p in enumerate(q.prompts)] for q in queries]
    weight = counts_to_weights([len(q.prompts) for q in queries], logits.shape[2], context.features)
    return context.proposal_losses(logits, TokenGroup.SEGMENT, pairs, weight)


def interleave(context: StepContext) -> tuple[MaskLosses, Tensor]:
    """The instances that each entity of the interleaved sentence means, words or reference.

    Returns:
        the losses as the paper has them, and a scalar of ours: the cross-entropy over the final
        prediction's proposals of all entities, words or references, by scaled semantic cosine.
    """
    queries = context.batch.queries
    semantic, device = context.semantic, context.features.device
    visual = torch.zeros(
        semantic[TokenGroup.INTERLEAVE].shape[1:3], dtype=torch.bool, device=device
    )
    for b, query in enumerate(queries):
        for n, entity in enumerate(query.entities):
            visual[b, n] = entity.is_visual
    logits = interleave_similarity(
        semantic[TokenGroup.ENTITY], context.pixel[TokenGroup.ENTITY],
        semantic[TokenGroup.INTERLEAVE], context.queries(TokenGroup.INTERLEAVE), visual,
    )  # fmt: skip
    pairs = [[(m, n) for n, e in enumerate(q.entities) for m in e.targets] for q in queries]
    weight = counts_to_weights(
        [len(q.entities) for q in queries], logits.shape[2], context.features
    )
    found = context.proposal_losses(logits, TokenGroup.ENTITY, pairs, weight)
    return found, _by_cosine(context, found, pair_labels(pairs).to(device), weight)


def _by_cosine(
    context: StepContext, found: MaskLosses, label_BM: Tensor, weight_BN: Tensor
) -> Tensor:
    if not context.losses.interleave_semantic:
        return weight_BN.new_zeros(())
    entities = context.semantic[TokenGroup.INTERLEAVE][-1]
    proposals = context.semantic[TokenGroup.ENTITY][-1]
    logits = cosine_logits(entities, proposals, context.scale)
    batch, texts, count = logits.shape
    target = spread_targets(found.matched[-1:], label_BM, texts, count)
    left_out = found.undecided[-1][:, None] & (target[0] == 0)
    logits = logits.masked_fill(left_out, NEITHER)
    rows = batch * texts
    return proposal_ce(logits.reshape(rows, -1), target[0].reshape(rows, -1), weight_BN.reshape(-1))
