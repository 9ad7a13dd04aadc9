"""Measures of video localization against exact labels.

When: temporal IoU, R@1 of the best moment. Where: mask IoU while visible. Which one: IDF1 and
identity switches. And how often it speaks up where nothing is: false alarms a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import motmetrics
import numpy as np

from find_core.masks import mask_iou
from find_core.results import Entity
from find_core.video.timeline import Interval
from training.evaluation.metrics import ScoreSeries

MATCH_IOU = 0.5  # from which a predicted instance is a labelled one, and a moment is right


def intervals_of_presence(
    times_s: Sequence[float] | np.ndarray, present: Sequence[bool] | np.ndarray, end_s: float
) -> list[Interval]:
    """Stretches of frames that are true, each frame lasting until the next one."""
    edges = [*times_s, end_s]
    out: list[Interval] = []
    start = None
    for n, here in enumerate([*present, False]):
        if here and start is None:
            start = n
        elif not here and start is not None:
            out.append(Interval(edges[start], edges[n], 1.0, edges[start], 1.0))
            start = None
    return out


def temporal_iou(found: Sequence[Interval], truth: Sequence[Interval]) -> float:
    """Intersection over union of the time covered by either; 1 where both are empty."""
    edges = sorted({t for i in (*found, *truth) for t in (i.start_s, i.end_s)})
    both = either = 0.0
    for low, high in pairwise(edges):
        middle = (low + high) / 2
        a = any(i.start_s <= middle < i.end_s for i in found)
        b = any(i.start_s <= middle < i.end_s for i in truth)
        both += (high - low) * (a and b)
        either += (high - low) * (a or b)
    return both / either if either else 1.0


def recall_at_1(best: Sequence[Interval], truth: Sequence[Interval]) -> bool:
    """Does the best moment (first of `best`) fit a true interval with IoU >= 0.5?"""
    return bool(best) and any(best[0].overlap(t) >= MATCH_IOU for t in truth)


class TrackingMeter:
    """IDF1 and identity switches of one entity in one clip, by motmetrics.

    IDF1: Ristani et al. 2016 (ID measures). Switches: CLEAR MOT (Bernardin and Stiefelhagen 2008),
    whose matching keeps a pair of the frame before as long as their masks agree.
    """

    def __init__(self) -> None:
        self._frames = motmetrics.MOTAccumulator(auto_id=True)

    def add(self, truth: dict[int, np.ndarray], tracks: dict[int, np.ndarray]) -> None:
        """One frame: true instance id -> mask, track id -> mask, each (H, W) bool.

        The distance of two masks is 1 - IoU; from an IoU of `MATCH_IOU` down they cannot match.
        """
        iou = np.array([[mask_iou(t, k) for k in tracks.values()] for t in truth.values()])
        iou = iou.reshape(len(truth), len(tracks))
        distance = np.where(iou >= MATCH_IOU, 1.0 - iou, np.nan)
        self._frames.update(list(truth), list(tracks), distance)

    def metrics(self) -> dict[str, float]:
        """{"idf1": in [0, 1], 1 where nothing was there and nothing was claimed; "id_switches"}."""
        host = motmetrics.metrics.create()
        row = host.compute(self._frames, metrics=["idf1", "num_switches"], return_dataframe=False)
        idf1 = float(row["idf1"])
        return {
            "idf1": idf1 if np.isfinite(idf1) else 1.0,
            "id_switches": int(row["num_switches"]),
        }


def tracked_masks(entity: Entity) -> dict[int, np.ndarray]:
    """Track id -> mask of all found instances that have an id."""
    return {i.track_id: i.mask for i in entity.instances if i.track_id is not None}


def entity_mask_iou(entity: Entity, truth: dict[int, np.ndarray]) -> float:
    """Best IoU of the entity's mask with any true instance; 0 when it is not found."""
    if not entity.found or not truth:
        return 0.0
    return max(mask_iou(entity.mask, mask) for mask in truth.values())


def mean_interval(values: Sequence[float], seed: int = 0) -> dict[str, float]:
    """{"value", "low", "high", "n"}: mean with its 95 % bootstrap interval over clips.

    Values that are not finite are left out.
    """
    series = ScoreSeries()
    for n, value in enumerate(values):
        if np.isfinite(value):
            series.add(value, str(n))
    if not series.values:
        return {"value": float("nan"), "low": float("nan"), "high": float("nan"), "n": 0}
    summary = series.summary(np.mean, seed)
    return {key: summary[key] for key in ("value", "low", "high", "n")}
