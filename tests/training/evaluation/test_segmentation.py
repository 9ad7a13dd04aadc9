"""Panoptic quality and mask AP of miniature images, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from find_core.results import InstanceSegmentation, PanopticSegmentation, Segment
from training.evaluation.segmentation import AveragePrecisionMeter, PanopticMeter

pytest.importorskip("torchmetrics", reason="panoptic quality needs the train extra")


def segment(number: int, class_index: int, mask: np.ndarray, score: float = 0.9) -> Segment:
    return Segment(number, class_index, "x", True, score, mask, np.zeros(4))


def columns(first: int, last: int) -> np.ndarray:
    """(4, 10) bool: columns first to last - 1."""
    mask = np.zeros((4, 10), bool)
    mask[:, first:last] = True
    return mask


def panoptic(*segments: Segment) -> PanopticSegmentation:
    ids = np.zeros((4, 10), np.int32)
    for s in segments:
        ids[s.mask] = s.id
    return PanopticSegmentation(ids, segments)


def test_panoptic_quality_by_hand() -> None:
    """Class 0: IoU 3/4 is matched, another object is missed: PQ = .75 / (1 + 1/2) = .5.
    Class 2 (stuff): IoU 1, PQ 1. Class 1 never comes up and does not count."""
    meter = PanopticMeter(3, stuff=[2])
    numbers = np.zeros((4, 10), np.uint8)
    numbers[columns(0, 4)], numbers[columns(4, 6)], numbers[columns(6, 10)] = 1, 2, 3
    found = panoptic(segment(1, 0, columns(0, 3)), segment(2, 2, columns(6, 10)))
    meter.add(found, numbers, [0, 0, 2])
    metrics = meter.metrics()
    assert metrics["pq_things"] == pytest.approx(0.5) and metrics["pq_stuff"] == 1.0
    assert metrics["pq"] == pytest.approx(0.75)
    assert metrics["sq"] == pytest.approx((0.75 + 1) / 2)
    assert metrics["rq"] == pytest.approx((1 / 1.5 + 1) / 2, abs=1e-4)


def test_what_lies_on_unlabelled_ground_is_no_false_positive() -> None:
    meter = PanopticMeter(2)
    numbers = np.zeros((4, 10), np.uint8)
    numbers[columns(0, 4)] = 1
    for elsewhere in (0, 1):
        found = panoptic(segment(1, 0, columns(0, 4)), segment(2, elsewhere, columns(6, 9)))
        meter.add(found, numbers, [0])
        assert meter.metrics()["pq"] == 1.0


def test_mask_ap_by_hand() -> None:
    """One class, two objects. A mask of IoU 1 (score .9) and one of IoU 2/3 (score .8): both right
    up to IoU .65, so AP is 1 at .50, .55, .60 and .65; from .70 on only the first is: precision 1 up
    to recall 1/2, which COCO reads at 101 points of recall as 51/101."""
    meter = AveragePrecisionMeter()
    found = InstanceSegmentation(
        (segment(1, 0, columns(0, 3), 0.9), segment(2, 0, columns(5, 7), 0.8))
    )
    meter.add(found, [columns(0, 3), columns(5, 8)], [0, 0])
    metrics = meter.metrics()
    assert metrics["mask_ap50"] == pytest.approx(1.0)
    assert metrics["mask_ap"] == pytest.approx((4 + 6 * 51 / 101) / 10, abs=1e-4)


def test_nothing_labelled_and_nothing_found() -> None:
    meter = AveragePrecisionMeter()
    meter.add(InstanceSegmentation(()), [], [])
    assert meter.metrics()["mask_ap"] is None
    meter.add(InstanceSegmentation(()), [columns(0, 3)], [0])
    assert meter.metrics()["mask_ap"] == 0.0
