"""Generic segmentation: PQ by panopticapi's protocol, semantic mIoU, mask AP by pycocotools.

Each keeps what an image adds apart, so that intervals resample images. PQ equals torchmetrics' where
no crowd is labelled (tests); crowds are panopticapi's own rule.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from find_core.masks import mask_to_rle
from find_core.results import InstanceSegmentation, PanopticSegmentation
from training.evaluation.bench.figures import figure

AP_RESAMPLES = 200
"""COCO's accumulation takes seconds on thousands of images."""


@dataclass(frozen=True, eq=False)
class PanopticTruth:
    """Labels of one image.

    Attributes:
        id_map: (H, W) int32 segment ids, 0 void. ids, classes, crowd: of each segment.
    """

    id_map: np.ndarray
    ids: tuple[int, ...]
    classes: tuple[int, ...]
    crowd: tuple[bool, ...]


def panoptic_counts(found: PanopticSegmentation, truth: PanopticTruth, classes: int) -> np.ndarray:
    """(C, 4) sum of matched IoUs, true positives, false positives, false negatives.

    Kirillov et al. 2019 (arXiv 1801.00868) 4.1 and panopticapi: a pair of one class matches above
    IoU 0.5, where pixels of void leave the union. A true crowd is never missed. An unmatched answer
    that lies by more than half on void and crowd of its class is forgiven.
    """
    counts = np.zeros((classes, 4))
    pairs, sizes = np.unique(
        np.stack([truth.id_map.ravel(), found.id_map.ravel()]).astype(np.int64), axis=1,
        return_counts=True,
    )  # fmt: skip
    shared = {(int(t), int(f)): int(n) for (t, f), n in zip(pairs.T, sizes, strict=True)}
    area_t, area_f = _areas(shared, 0), _areas(shared, 1)
    class_f = {s.id: s.class_index for s in found.segments}
    class_t = dict(zip(truth.ids, truth.classes, strict=True))
    crowd_t = dict(zip(truth.ids, truth.crowd, strict=True))
    matched_t, matched_f = set(), set()
    for (t, f), both in shared.items():
        if t not in class_t or crowd_t[t] or f not in class_f or class_t[t] != class_f[f]:
            continue
        union = area_t[t] + area_f[f] - both - shared.get((0, f), 0)
        if both / union > 0.5:
            counts[class_t[t], :2] += both / union, 1
            matched_t.add(t)
            matched_f.add(f)
    for t, kind in class_t.items():
        if t not in matched_t and not crowd_t[t] and area_t.get(t):
            counts[kind, 3] += 1
    for f, kind in class_f.items():
        if f in matched_f or not area_f.get(f):
            continue
        forgiven = shared.get((0, f), 0) + sum(
            shared.get((t, f), 0) for t in class_t if crowd_t[t] and class_t[t] == kind
        )
        if forgiven / area_f[f] <= 0.5:
            counts[kind, 2] += 1
    return counts


def _areas(shared: dict[tuple[int, int], int], side: int) -> dict[int, int]:
    areas: dict[int, int] = {}
    for pair, n in shared.items():
        areas[pair[side]] = areas.get(pair[side], 0) + n
    return areas


@dataclass
class PanopticTable:
    """PQ, SQ and RQ over classes that are labelled or answered (as panopticapi averages)."""

    stuff: Sequence[bool]
    _rows: list[np.ndarray] = field(default_factory=list)

    def add(self, found: PanopticSegmentation, truth: PanopticTruth) -> float:
        """One image; its own PQ over its classes, 1 where nothing is labelled or answered."""
        row = panoptic_counts(found, truth, len(self.stuff))
        self._rows.append(row)
        return _quality(row, np.ones(len(self.stuff), bool), 0, empty=1.0)

    def metrics(self) -> dict[str, Any]:
        table = np.array(self._rows)
        stuff = np.array(self.stuff, bool)
        out = {}
        for suffix, members in (("", stuff | ~stuff), ("_things", ~stuff), ("_stuff", stuff)):
            for k, name in enumerate(("pq", "sq", "rq")):

                def statistic(
                    index: np.ndarray, k: int = k, members: np.ndarray = members
                ) -> float:
                    return _quality(table[index].sum(0), members, k)

                out[name + suffix] = figure(len(table), statistic)
        return out


def _quality(counts: np.ndarray, members: np.ndarray, kind: int, empty: float = np.nan) -> float:
    """Mean over classes of PQ (kind 0), SQ (1) or RQ (2)."""
    iou, tp, fp, fn = counts[members].T
    met = tp + fp + fn > 0
    if not met.any():
        return empty
    iou, tp, weight = iou[met], tp[met], (tp + (fp + fn) / 2)[met]
    values = (iou / weight, np.where(tp > 0, iou / np.maximum(tp, 1), 0.0), tp / weight)[kind]
    return float(values.mean())


@dataclass
class SemanticTable:
    """mIoU over classes that are labelled, and pixel accuracy. Void and crowd pixels do not count."""

    classes: int
    _rows: list[np.ndarray] = field(default_factory=list)

    def add(self, class_map: np.ndarray, truth: PanopticTruth) -> None:
        """One image; `class_map` is (H, W) int, negative where nothing is answered."""
        true = np.full(truth.id_map.shape, -1)
        for number, kind, crowd in zip(truth.ids, truth.classes, truth.crowd, strict=True):
            if not crowd:
                true[truth.id_map == number] = kind
        counted = true >= 0
        true, answered = true[counted], class_map[counted]
        hit = np.bincount(true[true == answered], minlength=self.classes)
        there = np.bincount(true, minlength=self.classes)
        said = np.bincount(answered[answered >= 0], minlength=self.classes)[: self.classes]
        self._rows.append(np.stack([hit, there, said]).astype(np.int32))

    def metrics(self) -> dict[str, Any]:
        table = np.array(self._rows).reshape(-1, 3, self.classes)

        def miou(index: np.ndarray) -> float:
            hit, there, said = table[index].sum(0, dtype=np.int64)
            met = there > 0
            return float((hit / (there + said - hit + ~met))[met].mean()) if met.any() else np.nan

        def accuracy(index: np.ndarray) -> float:
            hit, there, _ = table[index].sum((0, 2), dtype=np.int64)
            return float(hit / there) if there else np.nan

        met = int((table[:, 1].sum(0) > 0).sum())
        return {"miou": figure(len(table), miou, classes=met),
                "pixel_accuracy": figure(len(table), accuracy)}  # fmt: skip


@dataclass
class PrecisionTable:
    """COCO mask AP (IoU .50 to .95) and AP50: pycocotools' evaluation, images resampled."""

    _truth: list[dict[str, Any]] = field(default_factory=list)
    _found: list[dict[str, Any]] = field(default_factory=list)
    _images: list[dict[str, Any]] = field(default_factory=list)

    def add(self, found: InstanceSegmentation, truth: PanopticTruth, stuff: Sequence[bool]) -> None:
        image_id = len(self._images) + 1
        height, width = truth.id_map.shape
        self._images.append({"id": image_id, "height": height, "width": width})
        for number, kind, crowd in zip(truth.ids, truth.classes, truth.crowd, strict=True):
            if stuff[kind]:
                continue
            mask = truth.id_map == number
            self._truth.append({
                "id": len(self._truth) + 1, "image_id": image_id, "category_id": kind,
                "segmentation": mask_to_rle(mask), "area": int(mask.sum()), "iscrowd": int(crowd),
            })  # fmt: skip
        self._found += [
            {"image_id": image_id, "category_id": s.class_index, "score": s.score,
             "segmentation": mask_to_rle(s.mask)}
            for s in found.segments
        ]  # fmt: skip

    def metrics(self) -> dict[str, Any]:
        empty = {"value": None, "images": len(self._images)}
        if not any(not a["iscrowd"] for a in self._truth):
            return {"mask_ap": empty, "mask_ap50": empty}
        if not self._found:
            none = figure(len(self._images), lambda index: 0.0, resamples=9)
            return {"mask_ap": none, "mask_ap50": none}
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            evaluation = self._evaluated()
            by_image = np.array(evaluation.evalImgs, object).reshape(-1, len(self._images))
            memory: dict[bytes, tuple[float, float]] = {}

            def values(index: np.ndarray) -> tuple[float, float]:
                key = index.tobytes()
                if key not in memory:
                    memory[key] = _average_precision(evaluation, by_image[:, index])
                return memory[key]

            def value(k: int, index: np.ndarray) -> float:
                return values(index)[k]

            return {
                name: figure(len(self._images), functools.partial(value, k), AP_RESAMPLES)
                for k, name in enumerate(("mask_ap", "mask_ap50"))
            }

    def _evaluated(self) -> Any:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        kinds = sorted({a["category_id"] for a in self._truth + self._found})
        truth = COCO()
        truth.dataset = {"images": self._images, "annotations": self._truth,
                         "categories": [{"id": c} for c in kinds]}  # fmt: skip
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(self._found), "segm")
        parameters = evaluation.params
        parameters.areaRng, parameters.areaRngLbl = parameters.areaRng[:1], ["all"]
        parameters.maxDets = parameters.maxDets[-1:]
        evaluation.evaluate()
        return evaluation


def _average_precision(evaluation: Any, by_image: np.ndarray) -> tuple[float, float]:
    """AP and AP50 of (classes, images) evaluated images."""
    places = list(range(by_image.shape[1]))
    evaluation.evalImgs = list(by_image.ravel())
    evaluation.params.imgIds = evaluation._paramsEval.imgIds = places
    evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, 0]  # IoU, recall, class
    return tuple(  # type: ignore[return-value]
        float(p[p > -1].mean()) if (p > -1).any() else np.nan for p in (precision, precision[:1])
    )
