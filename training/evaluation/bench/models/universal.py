"""Mask2Former and OneFormer of transformers: segmentation into the classes they were trained on.

Classes are matched by name, COCO's suffixes taken off as everywhere here; an asked class that the
model does not know is never answered. Logits become segments by find_core's own selection, which is
that of Mask2Former's code (docs/spec.md 2.9). The processors of transformers differ: they stretch
padded images and give void to the nearest segment; OneFormer's asks for torchvision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from find_core.masks import box_of_mask
from find_core.results import InstanceSegmentation, PanopticSegmentation, Segment
from find_core.tasks import postprocess
from training.data.formats.coco import clean_name
from training.evaluation.bench.model import NO_ANSWER, ClassQuery, SegmentAnswer
from training.evaluation.bench.models.hub import HubModel, as_pil, load_pair, resized, to_bool

INSTANCE_SCORE = 0.05
TASKS = ("panoptic", "instance", "semantic")


@dataclass(frozen=True, eq=False)
class Logits:
    """(Q, L + 1) class logits, the last no object; (Q, H, W) mask logits of the image's size."""

    classes: Tensor
    masks: Tensor


class Mask2Former(HubModel):
    """`Mask2FormerForUniversalSegmentation`; one pass answers all three ways."""

    kind = "Mask2Former"

    def __init__(self, model: Any, processor: Any, path: str = "") -> None:
        super().__init__(self.kind, path, model)
        self.model, self.processor = model, processor
        names = model.config.id2label
        self._labels = [clean_name(names[k]) for k in sorted(names)]

    @classmethod
    def load(cls, path: str) -> Mask2Former:
        return cls(
            *load_pair("Mask2FormerForUniversalSegmentation", path, "AutoImageProcessor"), path
        )

    def segment(self, image: np.ndarray, classes: Sequence[ClassQuery]) -> SegmentAnswer:
        asked = {c.name: k for k, c in enumerate(classes)}
        place = [asked.get(label, NO_ANSWER) for label in self._labels]
        things = [k == NO_ANSWER or not classes[k].stuff for k in place]
        logits = self.logits(image)
        ids, raw = postprocess.panoptic(
            logits["panoptic"].classes, logits["panoptic"].masks, things
        )
        id_map = ids.cpu().numpy()
        known = [r for r in raw if place[r.class_index] != NO_ANSWER]
        found = tuple(
            _segment(r.id, place[r.class_index], classes, r.score, id_map == r.id) for r in known
        )
        id_map[~np.isin(id_map, [r.id for r in known])] = 0
        semantic = postprocess.semantic_scores(logits["semantic"].classes, logits["semantic"].masks)
        return SegmentAnswer(
            PanopticSegmentation(id_map, found),
            InstanceSegmentation(_instances(logits["instance"], place, things, classes)),
            np.array(place, np.int32)[semantic.argmax(0).cpu().numpy()],
        )

    @torch.inference_mode()
    def logits(self, image: np.ndarray) -> dict[str, Logits]:
        """The model's logits for each task."""
        inputs = self.processor(images=as_pil(image), return_tensors="pt").to(self.device)
        return dict.fromkeys(TASKS, _logits(self.model(**inputs), inputs, image.shape))


class OneFormer(Mask2Former):
    """`OneFormerForUniversalSegmentation`; a pass for each task, which is part of its input."""

    kind = "OneFormer"

    @classmethod
    def load(cls, path: str) -> OneFormer:
        return cls(
            *load_pair("OneFormerForUniversalSegmentation", path, "OneFormerProcessor"), path
        )

    @torch.inference_mode()
    def logits(self, image: np.ndarray) -> dict[str, Logits]:
        out = {}
        for task in TASKS:
            inputs = self.processor(as_pil(image), [task], return_tensors="pt").to(self.device)
            pixels, words = inputs["pixel_values"], inputs["task_inputs"]
            outputs = self.model(pixel_values=pixels, task_inputs=words)
            out[task] = _logits(outputs, inputs, image.shape)
        return out


def _logits(outputs: Any, inputs: Any, shape: tuple[int, ...]) -> Logits:
    """Mask logits enlarged, freed of the padding below and to the right, at the image's size."""
    padded = tuple(inputs["pixel_values"].shape[-2:])
    masks = resized(outputs.masks_queries_logits[0], padded)
    if "pixel_mask" in inputs:
        real = inputs["pixel_mask"][0]
        masks = masks[:, : int(real.any(1).sum()), : int(real.any(0).sum())]
    masks = resized(masks, (shape[0], shape[1]))
    return Logits(outputs.class_queries_logits[0].float().cpu(), masks.cpu())


def _instances(
    logits: Logits, place: Sequence[int], things: Sequence[bool], classes: Sequence[ClassQuery]
) -> tuple[Segment, ...]:
    scores, labels, queries = postprocess.instances(logits.classes, logits.masks, things)
    out: list[Segment] = []
    for n in scores.argsort(descending=True).tolist():
        k = place[int(labels[n])]
        mask = to_bool(logits.masks[queries[n]] > 0)
        if k != NO_ANSWER and scores[n] >= INSTANCE_SCORE and mask.any():
            out.append(_segment(len(out) + 1, k, classes, float(scores[n]), mask))
    return tuple(out)


def _segment(
    number: int, k: int, classes: Sequence[ClassQuery], score: float, mask: np.ndarray
) -> Segment:
    name, thing = classes[k].name, not classes[k].stuff
    return Segment(number, k, name, thing, score, mask, box_of_mask(mask))
