"""PQ equal to torchmetrics', AP equal to pycocotools', and crowds by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from find_core.masks import box_of_mask, mask_to_rle
from find_core.results import InstanceSegmentation, PanopticSegmentation, Segment
from training.evaluation.bench.quality import (
    PanopticTable,
    PanopticTruth,
    PrecisionTable,
    SemanticTable,
    panoptic_counts,
)

STUFF = (False, False, False, True, True)
SIZE = (24, 32)


def random_map(rng: np.random.Generator, void: float) -> tuple[np.ndarray, list[int]]:
    """(H, W) ids from 1 of blocky segments and the class of each; stuff at most once."""
    cells = rng.integers(1, 8, (6, 8))
    cells[rng.random((6, 8)) < void] = 0
    ids = np.kron(cells, np.ones((4, 4), int)).astype(np.int32)
    free = [3, 4]
    classes = []
    for _ in range(7):
        kind = int(rng.integers(0, 5))
        if STUFF[kind]:
            kind = free.pop() if free else 0
        classes.append(kind)
    return ids, classes


def answer(ids: np.ndarray, classes: list[int]) -> PanopticSegmentation:
    segments = tuple(
        Segment(n, k, "x", not STUFF[k], 1.0, ids == n, box_of_mask(ids == n))
        for n, k in enumerate(classes, 1) if (ids == n).any()
    )  # fmt: skip
    return PanopticSegmentation(ids, segments)


def noisy(rng: np.random.Generator, ids: np.ndarray) -> np.ndarray:
    """A copy in which some pixels belong to something else."""
    out = ids.copy()
    wrong = rng.random(ids.shape) < 0.2
    out[wrong] = rng.integers(1, 8, int(wrong.sum()))
    return out


def test_pq_equals_torchmetrics() -> None:
    quality = pytest.importorskip("torchmetrics.detection").PanopticQuality
    theirs = quality(things=[0, 1, 2], stuffs=[3, 4, 5], allow_unknown_preds_category=True,
                     return_sq_and_rq=True, return_per_class=True)  # fmt: skip
    ours = PanopticTable(STUFF)
    rng = np.random.default_rng(3)
    for _ in range(8):
        ids, classes = random_map(rng, 0.15)
        found = answer(noisy(rng, ids), classes)
        ours.add(found, PanopticTruth(ids, tuple(range(1, 8)), tuple(classes), (False,) * 7))
        labelled = np.full((*SIZE, 2), (-1, 0))
        answered = np.full((*SIZE, 2), (5, 0))
        for n, kind in enumerate(classes, 1):
            labelled[ids == n] = kind, 0 if STUFF[kind] else n
        for s in found.segments:
            answered[s.mask] = s.class_index, 0 if STUFF[s.class_index] else s.id
        theirs.update(torch.from_numpy(answered)[None], torch.from_numpy(labelled)[None])
    table = theirs.compute().double().numpy()[:5]
    metrics = ours.metrics()
    for k, name in enumerate(("pq", "sq", "rq")):
        assert metrics[name]["value"] == pytest.approx(table[:, k].mean(), abs=1e-6), name
        assert metrics[f"{name}_things"]["value"] == pytest.approx(table[:3, k].mean(), abs=1e-6)
        assert metrics[f"{name}_stuff"]["value"] == pytest.approx(table[3:, k].mean(), abs=1e-6)
    assert 0.1 < metrics["pq"]["low"] < metrics["pq"]["value"] < metrics["pq"]["high"]


def columns(first: int, last: int) -> np.ndarray:
    mask = np.zeros((4, 10), bool)
    mask[:, first:last] = True
    return mask


def ids_of(*masks: np.ndarray) -> np.ndarray:
    ids = np.zeros((4, 10), np.int32)
    for n, mask in enumerate(masks, 1):
        ids[mask] = n
    return ids


def test_a_crowd_is_never_missed_and_forgives_its_own_class() -> None:
    truth = PanopticTruth(ids_of(columns(0, 4), columns(4, 8)), (1, 2), (0, 1), (False, True))
    found = answer(ids_of(columns(0, 4)), [0])
    assert panoptic_counts(found, truth, 5).tolist()[:2] == [[1, 1, 0, 0], [0, 0, 0, 0]]
    on_crowd = answer(ids_of(columns(0, 4), columns(4, 7)), [0, 1])
    assert panoptic_counts(on_crowd, truth, 5)[1].tolist() == [0, 0, 0, 0]
    other_class = answer(ids_of(columns(0, 4), columns(4, 7)), [0, 2])
    assert panoptic_counts(other_class, truth, 5)[2].tolist() == [0, 0, 1, 0]
    on_void = answer(ids_of(columns(0, 4), columns(8, 10)), [0, 2])
    assert panoptic_counts(on_void, truth, 5)[2].tolist() == [0, 0, 0, 0]


def test_void_leaves_the_union() -> None:
    """4 of 4 columns and 4 more on void: IoU 1."""
    truth = PanopticTruth(ids_of(columns(0, 4)), (1,), (0,), (False,))
    assert panoptic_counts(answer(ids_of(columns(0, 8)), [0]), truth, 5)[0].tolist() == [1, 1, 0, 0]


def test_miou_by_hand() -> None:
    """Class 0: 3 of 4 columns right, none wrongly: 3/4. Class 1: 4 right, 1 too many: 4/5."""
    table = SemanticTable(5)
    truth = PanopticTruth(ids_of(columns(0, 4), columns(4, 8)), (1, 2), (0, 1), (False, False))
    found = np.where(columns(0, 3), 0, 1)
    table.add(found, truth)
    metrics = table.metrics()
    assert metrics["miou"]["value"] == pytest.approx((0.75 + 0.8) / 2)
    assert metrics["pixel_accuracy"]["value"] == 7 / 8 and metrics["miou"]["classes"] == 2
    unanswered = SemanticTable(5)
    unanswered.add(np.where(columns(0, 3), 0, -1), truth)
    assert unanswered.metrics()["miou"]["value"] == pytest.approx(0.375)


def test_ap_equals_pycocotools() -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(5)
    table = PrecisionTable()
    truth_json, found_json, images = [], [], []
    for n in range(1, 7):
        ids, classes = random_map(rng, 0.1)
        crowd = tuple(k == 6 for k in range(7))
        truth = PanopticTruth(ids, tuple(range(1, 8)), tuple(classes), crowd)
        moved = noisy(rng, ids)
        found = [Segment(k, c, "x", True, float(rng.random()), moved == k, np.zeros(4))
                 for k, c in enumerate(classes, 1) if not STUFF[c]]  # fmt: skip
        table.add(InstanceSegmentation(tuple(found)), truth, STUFF)
        images.append({"id": n, "height": SIZE[0], "width": SIZE[1]})
        truth_json += [
            {"id": len(truth_json) + 1 + k, "image_id": n, "category_id": c, "iscrowd": int(crowd[k]),
             "area": int((ids == k + 1).sum()), "segmentation": mask_to_rle(ids == k + 1)}
            for k, c in enumerate(classes) if not STUFF[c]
        ]  # fmt: skip
        found_json += [{"image_id": n, "category_id": s.class_index, "score": s.score,
                        "segmentation": mask_to_rle(s.mask)} for s in found]  # fmt: skip
    for k, item in enumerate(truth_json, 1):
        item["id"] = k
    coco = COCO()
    coco.dataset = {"images": images, "annotations": truth_json,
                    "categories": [{"id": c} for c in range(3)]}  # fmt: skip
    coco.createIndex()
    evaluation = COCOeval(coco, coco.loadRes(found_json), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    metrics = table.metrics()
    assert metrics["mask_ap"]["value"] == pytest.approx(evaluation.stats[0], abs=1e-6)
    assert metrics["mask_ap50"]["value"] == pytest.approx(evaluation.stats[1], abs=1e-6)
    assert metrics["mask_ap"]["low"] < metrics["mask_ap"]["value"] < metrics["mask_ap"]["high"]


def test_ap_of_nothing() -> None:
    empty = PrecisionTable()
    truth = PanopticTruth(ids_of(columns(0, 4)), (1,), (0,), (False,))
    empty.add(InstanceSegmentation(()), truth, STUFF)
    assert empty.metrics()["mask_ap"]["value"] == 0.0
    unlabelled = PrecisionTable()
    unlabelled.add(InstanceSegmentation(()), PanopticTruth(ids_of(), (), (), ()), STUFF)
    assert unlabelled.metrics()["mask_ap"]["value"] is None
