"""Generic segmentation of a scene into classes given by name, by description or by example."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from find_core.errors import FindError, PromptError
from find_core.model.attention_table import TokenGroup
from find_core.preprocess import logits_to_original
from find_core.prompts.prompt import Prompt
from find_core.protocols import EncodedImage
from find_core.results import (
    InstanceSegmentation,
    PanopticSegmentation,
    Segment,
    SemanticSegmentation,
    box_of_mask,
)
from find_core.support.numbers import check_number, check_texts, check_threshold
from find_core.tasks import postprocess

PANOPTIC_SCORE = 0.8
INSTANCE_SCORE = 0.05


@torch.inference_mode()
def segment(
    scene: EncodedImage,
    classes: Sequence[str | Prompt],
    mode: str,
    stuff: Sequence[str],
    score_threshold: float | None,
    overlap_threshold: float,
) -> PanopticSegmentation | InstanceSegmentation | SemanticSegmentation:
    """See `Scene.segment`."""
    if isinstance(classes, str) or not len(classes):
        raise PromptError('Give a list of class names: e.g. ["mug", "table", "wall"].')
    check_texts([c for c in classes if not isinstance(c, Prompt)] or ["-"], "Classes", PromptError)
    score_threshold = check_threshold(score_threshold)
    check_number(overlap_threshold, "An overlap threshold", FindError, 0, 1)
    if mode not in ("panoptic", "instance", "semantic"):
        raise FindError(f"Unknown mode {mode!r}: use 'panoptic', 'instance' or 'semantic'.")
    names = tuple(c if isinstance(c, str) else c.text for c in classes)
    things = [name not in stuff for name in names]
    logits = _class_logits(scene, classes)
    masks = logits_to_original(scene.object_logits, scene.geometry)
    if mode == "semantic":
        best = postprocess.semantic_scores(logits, masks).argmax(0)
        return SemanticSegmentation(best.int().cpu().numpy(), names)
    if mode == "panoptic":
        least = PANOPTIC_SCORE if score_threshold is None else score_threshold
        return _panoptic(logits, masks, names, things, least, overlap_threshold)
    least = INSTANCE_SCORE if score_threshold is None else score_threshold
    return _instances(logits, masks, names, things, least)


def _class_logits(scene: EncodedImage, classes: Sequence[str | Prompt]) -> Tensor:
    """(Q, C + 1), the last column for background."""
    with scene.find.autocast():
        bank = scene.find.classes([*classes, "background"])
        d = scene.objects.embeddings[TokenGroup.OBJECT]
        return scene.find.model.heads.class_logits(d, bank)[0].float()


def _panoptic(
    logits: Tensor, masks: Tensor, names: Sequence[str], things: Sequence[bool], least: float,
    overlap: float,
) -> PanopticSegmentation:  # fmt: skip
    ids, raw = postprocess.panoptic(logits, masks, things, least, overlap)
    id_map = ids.cpu().numpy()
    found = [_segment(r.id, r.class_index, names, r.is_thing, r.score, id_map == r.id) for r in raw]
    return PanopticSegmentation(id_map, tuple(found))


def _instances(
    logits: Tensor, masks: Tensor, names: Sequence[str], things: Sequence[bool], least: float
) -> InstanceSegmentation:
    scores, classes, proposals = postprocess.instances(logits, masks, things)
    found: list[Segment] = []
    for i in scores.argsort(descending=True).tolist():
        mask = (masks[proposals[i]] > 0).cpu().numpy()
        if scores[i] >= least and mask.any():
            n = len(found) + 1
            found.append(_segment(n, int(classes[i]), names, True, float(scores[i]), mask))
    return InstanceSegmentation(tuple(found))


def _segment(
    segment_id: int, index: int, names: Sequence[str], thing: bool, score: float, mask: np.ndarray
) -> Segment:
    return Segment(segment_id, index, names[index], thing, score, mask, box_of_mask(mask))
