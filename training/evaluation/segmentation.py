"""Panoptic quality and mask AP, by the libraries whose figures papers report.

PQ (Kirillov et al. 2019, arXiv 1801.00868) is torchmetrics'; mask AP is COCOeval's of pycocotools.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from find_core.masks import mask_to_rle
from find_core.results import InstanceSegmentation, PanopticSegmentation
from training.evaluation.metrics import rounded

VOID = -1
"""Class of pixels without a label: they count for nothing and against nothing."""


class PanopticMeter:
    """Panoptic quality over images.

    Pixels without an answer form a class of their own here, which is left out of the means. Without
    it the library would take them for void and forgive objects that nothing was found of; the
    official protocol (panopticapi) counts those as missed.

    Args:
        num_classes: classes are 0 to num_classes - 1. stuff: those that are material, not countable.
    """

    def __init__(self, num_classes: int, stuff: Sequence[int] = ()) -> None:
        from torchmetrics.detection import PanopticQuality  # seconds to import

        self._things = sorted(set(range(num_classes)) - set(stuff))
        self._stuff = sorted(set(stuff))
        self._unanswered = num_classes
        self._quality = PanopticQuality(
            things=self._things, stuffs=[*self._stuff, self._unanswered], allow_unknown_preds_category=True,
            return_sq_and_rq=True, return_per_class=True,
        )  # fmt: skip

    def add(self, found: PanopticSegmentation, numbers: np.ndarray, classes: Sequence[int]) -> None:
        """One image.

        Args:
            numbers: (H, W) true instance numbers from 1, 0 without a label.
            classes: class of each true instance, in the order of their numbers.
        """
        answered = np.full((*numbers.shape, 2), (self._unanswered, 0), np.int64)
        for segment in found.segments:
            answered[found.id_map == segment.id] = segment.class_index, segment.id
        labelled = np.full((*numbers.shape, 2), (VOID, 0), np.int64)
        for number, class_index in enumerate(classes, 1):
            labelled[numbers == number] = class_index, number
        self._quality.update(torch.from_numpy(answered)[None], torch.from_numpy(labelled)[None])

    def metrics(self) -> dict[str, float | None]:
        """{"pq", "sq", "rq", "pq_things", "pq_stuff"}: means over the classes that were labelled, or
        answered where something is labelled."""
        order = [*self._things, *self._stuff]  # the library's own: things first
        quality = self._quality
        table = quality.compute().double().numpy()[: len(order)]
        counted = quality.true_positives + quality.false_positives + quality.false_negatives
        met = (counted > 0).numpy()[: len(order)]
        countable = np.arange(len(order)) < len(self._things)
        pq, sq, rq = (_mean(table[met, k]) for k in range(3))
        return {"pq": pq, "sq": sq, "rq": rq, "pq_things": _mean(table[met & countable, 0]),
                "pq_stuff": _mean(table[met & ~countable, 0])}  # fmt: skip


@dataclass
class AveragePrecisionMeter:
    """COCO mask AP over images: the mean over IoU 0.50 to 0.95 and over classes."""

    _truth: list[dict[str, Any]] = field(default_factory=list)
    _found: list[dict[str, Any]] = field(default_factory=list)
    _images: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, found: InstanceSegmentation, masks: Sequence[np.ndarray], classes: Sequence[int]
    ) -> None:
        """One image: (H, W) bool masks of the true objects and their classes."""
        image_id = len(self._images) + 1
        every = [*masks, *(s.mask for s in found.segments)]
        height, width = every[0].shape if every else (0, 0)
        self._images.append({"id": image_id, "height": height, "width": width})
        for mask, class_index in zip(masks, classes, strict=True):
            area = int(np.count_nonzero(mask))
            self._truth.append(
                {"id": len(self._truth) + 1, "image_id": image_id, "category_id": class_index,
                 "segmentation": mask_to_rle(mask), "area": area, "iscrowd": 0}
            )  # fmt: skip
        self._found += [
            {"image_id": image_id, "category_id": s.class_index, "score": s.score,
             "segmentation": mask_to_rle(s.mask)}
            for s in found.segments
        ]  # fmt: skip

    def metrics(self) -> dict[str, float | None]:
        """{"mask_ap", "mask_ap50"}; None where nothing is labelled."""
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        if not self._truth:
            return {"mask_ap": None, "mask_ap50": None}
        if not self._found:
            return {"mask_ap": 0.0, "mask_ap50": 0.0}
        classes = sorted({a["category_id"] for a in self._truth + self._found})
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            truth = COCO()
            truth.dataset = {"images": self._images, "annotations": self._truth,
                             "categories": [{"id": c} for c in classes]}  # fmt: skip
            truth.createIndex()
            evaluation = COCOeval(truth, truth.loadRes(self._found), "segm")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return {
            "mask_ap": _or_none(evaluation.stats[0]),
            "mask_ap50": _or_none(evaluation.stats[1]),
        }


def _mean(values: np.ndarray) -> float | None:
    return rounded(float(values.mean())) if len(values) else None


def _or_none(value: float) -> float | None:
    """COCOeval says -1 where nothing is labelled."""
    return rounded(float(value)) if value >= 0 else None
