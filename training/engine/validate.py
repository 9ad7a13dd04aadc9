"""A quick look at how a model in training is doing: a few fixed batches of pictures it has not seen.

This is for curves and for choosing a checkpoint; the figures that are reported come from
`training.evaluate`, through the public API.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from find_core.model.attention_table import TokenGroup
from find_core.tasks.postprocess import stroke_choice
from training.data.formats.records import LabelKind
from training.data.sample import Batch, LabelledImage
from training.evaluation.metrics import auc
from training.losses.terms import cosine_logits
from training.step.step import StepResult, TrainStep

VALIDATION_STEP = 2**31
"""Seeds the strokes and templates of validation; far from any training step."""


@torch.no_grad()
def validate(module: TrainStep, batches: Sequence[Batch]) -> dict[str, float]:
    """Mean IoU of text and visual entities, phrases, oracle, one stroke; AUC of presence; share of
    captions that find their picture within the batch."""
    values: dict[str, list[float]] = defaultdict(list)
    scores: list[tuple[float, bool]] = []
    training = module.training
    module.eval()
    for n, batch in enumerate(batches):
        result = module(batch, VALIDATION_STEP + n)
        _entities(module, batch, result, values, scores)
        _strokes(module, batch, result, values)
        _phrases(module, batch, result, values)
        _captions(module, batch, result, values)
    module.train(training)
    out = {f"val_{k}": float(np.mean(v)) for k, v in sorted(values.items()) if v}
    present = [s for s, there in scores if there]
    absent = [s for s, there in scores if not there]
    if present and absent:
        out["val_presence_auc"] = auc(np.array(present), np.array(absent))
    return out


def prefix_of(image: LabelledImage) -> str:
    """What the figures of an image are called after: nothing for rendered ones."""
    return {"coco": "coco_", "photos": "photo_"}.get(image.record.source, "")


def _is_box(image: LabelledImage, m: int) -> bool:
    """Is only the box of the m-th visible instance known? Masks are then not measured."""
    return image.instances[m].label_kind is LabelKind.BOX


def iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of (..., h, w) bool masks."""
    both = (a & b).sum((-1, -2)).float()
    return both / (a | b).sum((-1, -2)).clamp(min=1)


def _entities(
    module: TrainStep, batch: Batch, result: StepResult, values: dict[str, list[float]],
    scores: list[tuple[float, bool]],
) -> None:  # fmt: skip
    last, heads = result.outputs[-1], module.model.heads
    if TokenGroup.ENTITY not in last.pixel:  # a recipe without the task
        return
    masks = module.model.masks(last.pixel[TokenGroup.ENTITY], result.image) > 0
    proposals = heads.semantic(last.embeddings[TokenGroup.ENTITY])
    queries = heads.semantic(last.embeddings[TokenGroup.INTERLEAVE])
    looks = heads.pixel(last.embeddings[TokenGroup.INTERLEAVE])
    cosine = cosine_logits(queries, proposals)
    for b, ask in enumerate(batch.queries):
        prefix = prefix_of(batch.images[b])
        for n, entity in enumerate(ask.entities):
            if not prefix:
                scores.append((float(cosine[b, n].max()), bool(entity.targets)))
            if len(entity.targets) != 1 or _is_box(batch.images[b], entity.targets[0]):
                continue
            truth = batch.masks[b, entity.targets[0]] > 0.5
            by = (looks if entity.is_visual else queries)[b, n]
            to = (last.pixel[TokenGroup.ENTITY] if entity.is_visual else proposals)[b]
            overlaps = iou(masks[b], truth[None])
            if entity.ambiguous and not entity.is_visual:
                chosen = masks[b, cosine[b, n].argmax()]
                values["alike_right"].append(_is_best(chosen, batch, b, entity.targets[0]))
            kind = "visual" if entity.is_visual else "text"
            if entity.image_index == b:
                kind = "visual_same"
            values[f"{prefix}{kind}_miou"].append(float(overlaps[(to @ by).argmax()]))
            values[f"{prefix}{kind}_p50"].append(float(overlaps[(to @ by).argmax()] > 0.5))
            values[f"{prefix}{kind}_by_score"].append(float(overlaps[cosine[b, n].argmax()]))
            values[f"{prefix}oracle_miou"].append(float(overlaps.max()))


def _is_best(mask: Tensor, batch: Batch, b: int, target: int) -> float:
    """Does a mask cover the target more than any other instance of picture `b`?"""
    overlaps = iou(batch.masks[b] > 0.5, mask[None])
    return float(overlaps.argmax() == target and overlaps[target] > 0)


def _strokes(
    module: TrainStep, batch: Batch, result: StepResult, values: dict[str, list[float]]
) -> None:
    last = result.outputs[-1]
    if TokenGroup.SEGMENT not in last.pixel:  # a recipe without the task
        return
    masks = module.model.masks(last.pixel[TokenGroup.SEGMENT], result.image) > 0
    queries = module.model.heads.pixel(last.embeddings[TokenGroup.SPATIAL])
    chosen = stroke_choice(queries, last.pixel[TokenGroup.SEGMENT])
    for b, ask in enumerate(batch.queries):
        prefix = prefix_of(batch.images[b])
        for n, prompt in enumerate(ask.prompts):
            truth = batch.masks[b, prompt.target] > 0.5
            values[f"{prefix}stroke_miou"].append(float(iou(masks[b, chosen[b, n]], truth)))


def _phrases(
    module: TrainStep, batch: Batch, result: StepResult, values: dict[str, list[float]]
) -> None:
    last, heads = result.outputs[-1], module.model.heads
    if TokenGroup.GROUNDING not in last.pixel:
        return
    masks = module.model.masks(last.pixel[TokenGroup.GROUNDING], result.image) > 0
    queries = heads.semantic(last.embeddings[TokenGroup.DESCRIPTION])
    cosine = cosine_logits(queries, heads.semantic(last.embeddings[TokenGroup.GROUNDING]))
    for b, ask in enumerate(batch.queries):
        prefix = prefix_of(batch.images[b])
        for n, phrase in enumerate(ask.phrases):
            if len(phrase.targets) == 1 and not _is_box(batch.images[b], phrase.targets[0]):
                truth = batch.masks[b, phrase.targets[0]] > 0.5
                overlap = iou(masks[b, cosine[b, n].argmax()], truth)
                values[f"{prefix}grounding_miou"].append(float(overlap))


def _captions(
    module: TrainStep, batch: Batch, result: StepResult, values: dict[str, list[float]]
) -> None:
    last, heads = result.outputs[-1], module.model.heads
    if TokenGroup.CAPTION not in last.embeddings:
        return
    images = heads.semantic(last.embeddings[TokenGroup.IMAGE][:, 0])
    texts = heads.semantic(last.embeddings[TokenGroup.CAPTION][:, 0])
    nearest = cosine_logits(texts, images).argmax(1)
    for b, ask in enumerate(batch.queries):
        if ask.caption is not None:
            same = batch.images[int(nearest[b])].record is batch.images[b].record
            values["caption_r1"].append(float(same))
