"""Generic segmentation of a scene into classes given by name, by description or by example."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from find_core.errors import FindError, PromptError
from find_core.model.attention_table import TokenGroup
from find_core.preprocess import UPSAMPLED_PX, logits_to_original
from find_core.prompts.prompt import Prompt
from find_core.protocols import EncodedImage
from find_core.recognition.pooling import pooled_proposals
from find_core.recognition.reading import class_looks
from find_core.recognition.recognizer import Recognizer
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
SHARE = 0.5
"""Of what is recognised under a mask in the log probability of its class."""


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
    if mode == "semantic":
        return SemanticSegmentation(_class_map(scene, logits), names)
    if mode == "panoptic":
        least = PANOPTIC_SCORE if score_threshold is None else score_threshold
        return _panoptic(scene, logits, names, things, least, overlap_threshold)
    least = INSTANCE_SCORE if score_threshold is None else score_threshold
    return _instances(scene, logits, names, things, least)


def _class_logits(scene: EncodedImage, classes: Sequence[str | Prompt]) -> Tensor:
    """(Q, C + 1), the last column for background."""
    with scene.find.autocast():
        bank = scene.find.classes([*classes, "background"])
        d = scene.objects.embeddings[TokenGroup.OBJECT]
        logits = scene.find.model.heads.class_logits(d, bank)[0].float()
    if scene.find.recognizer is None or not scene.state.frozen:
        return logits
    return _recognised(scene, scene.find.recognizer, classes, logits)


def _recognised(
    scene: EncodedImage, recognizer: Recognizer, classes: Sequence[str | Prompt], logits_QC: Tensor
) -> Tensor:
    """(Q, C + 1): the classes' probabilities and those of the recogniser, geometrically averaged.

    That one is an object at all stays the interface's own probability.
    """
    own_QC = logits_QC.log_softmax(-1)
    object_Q1 = torch.log1p(-own_QC[:, -1:].exp().clamp(max=1 - 1e-6))
    looks_CV = class_looks(scene.find, recognizer, classes)
    pixel_QP = scene.objects.pixel[TokenGroup.OBJECT][0]
    units_QV = recognizer.of_regions(pooled_proposals(pixel_QP, scene.state, scene.geometry))
    seen_QC = (recognizer.log_scale.exp() * units_QV @ looks_CV.T).log_softmax(-1)
    mixed = (1 - SHARE) * logits_QC[:, :-1].log_softmax(-1) + SHARE * seen_QC
    return torch.cat([mixed.log_softmax(-1) + object_Q1, own_QC[:, -1:]], dim=-1)


def _class_map(scene: EncodedImage, logits_QC: Tensor) -> np.ndarray:
    """(H, W) int32, the most likely class; some masks at a time, as all are gigabytes at 4K."""
    height, width = scene.geometry.original
    together = max(1, UPSAMPLED_PX // (height * width))
    scores: Tensor | None = None
    for rows in torch.arange(len(logits_QC)).split(together):
        masks = logits_to_original(scene.object_logits[rows], scene.geometry)
        part = postprocess.semantic_scores(logits_QC[rows], masks)
        scores = part if scores is None else scores.add_(part)
    assert scores is not None
    return scores.argmax(0).int().cpu().numpy()


def _panoptic(
    scene: EncodedImage, logits_QC: Tensor, names: Sequence[str], things: Sequence[bool],
    least: float, overlap: float,
) -> PanopticSegmentation:  # fmt: skip
    kept = postprocess.confident(logits_QC, least)  # no other mask takes part
    masks = logits_to_original(scene.object_logits[kept], scene.geometry)
    ids, raw = postprocess.panoptic(logits_QC[kept], masks, things, least, overlap)
    id_map = ids.cpu().numpy()
    found = [_segment(r.id, r.class_index, names, r.is_thing, r.score, id_map == r.id) for r in raw]
    return PanopticSegmentation(id_map, tuple(found))


def _instances(
    scene: EncodedImage, logits_QC: Tensor, names: Sequence[str], things: Sequence[bool],
    least: float,
) -> InstanceSegmentation:  # fmt: skip
    scores, classes, numbers = (
        x.cpu().numpy() for x in postprocess.class_candidates(logits_QC, things)
    )
    passing = scores >= least  # a score is at most its class probability
    asked = sorted(set(numbers[passing].tolist()))
    crops = dict(zip(asked, scene.object_crops.crops(asked), strict=True))
    quality = {n: crop.score() for n, crop in crops.items()}
    scored = [
        (float(score * np.float32(quality[int(n)])), int(label), int(n))
        for score, label, n in zip(scores[passing], classes[passing], numbers[passing], strict=True)
    ]
    found: list[Segment] = []
    for score, label, n in sorted(scored, key=lambda row: -row[0]):
        if score < least:
            break
        mask, box_xyxy = crops[n].original()
        if mask.any():
            found.append(Segment(len(found) + 1, label, names[label], True, score, mask, box_xyxy))
    return InstanceSegmentation(tuple(found))


def _segment(
    segment_id: int, index: int, names: Sequence[str], thing: bool, score: float, mask: np.ndarray
) -> Segment:
    return Segment(segment_id, index, names[index], thing, score, mask, box_of_mask(mask))
