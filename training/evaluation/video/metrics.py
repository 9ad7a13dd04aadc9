"""Measures of video localization against exact labels.

When: temporal IoU, R@1 of the best moment. Where: mask IoU while visible. Which one: IDF1 and
identity switches. And how often it speaks up where nothing is: false alarms a minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from find_core.results import Entity
from find_core.video.timeline import Interval

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


def mask_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Of two (H, W) bool masks; 0 where both are empty."""
    either = int(np.count_nonzero(a | b))
    return np.count_nonzero(a & b) / either if either else 0.0


@dataclass
class Identities:
    """Identity bookkeeping of one entity in one clip, frame by frame.

    Attributes:
        together: (true id, track id) -> frames in which they were the same instance.
        true_frames, track_frames: how long each was seen. switches: identity switches.
    """

    together: Counter[tuple[int, int]] = field(default_factory=Counter)
    true_frames: Counter[int] = field(default_factory=Counter)
    track_frames: Counter[int] = field(default_factory=Counter)
    switches: int = 0
    _last: dict[int, int] = field(default_factory=dict)

    def add(self, truth: dict[int, np.ndarray], tracks: dict[int, np.ndarray]) -> None:
        """One frame: true instance id -> mask, track id -> mask, each (H, W) bool."""
        self.true_frames.update(truth.keys())
        self.track_frames.update(tracks.keys())
        for true_id, track_id in match_masks(truth, tracks):
            self.together[true_id, track_id] += 1
            if self._last.get(true_id, track_id) != track_id:
                self.switches += 1
            self._last[true_id] = track_id

    def idf1(self) -> float:
        """Ristani et al. 2016: F1 of frames under the best one-to-one pairing of whole tracks."""
        trues, tracks = sorted(self.true_frames), sorted(self.track_frames)
        total = sum(self.true_frames.values()) + sum(self.track_frames.values())
        if not total:
            return 1.0
        overlap = np.array([[self.together[t, k] for k in tracks] for t in trues], float)
        overlap = overlap.reshape(len(trues), len(tracks))
        rows, cols = linear_sum_assignment(-overlap)
        return float(2 * overlap[rows, cols].sum() / total)


def match_masks(
    truth: dict[int, np.ndarray], tracks: dict[int, np.ndarray]
) -> list[tuple[int, int]]:
    """Pairs (true id, track id) with mask IoU >= 0.5, most IoU in sum."""
    if not truth or not tracks:
        return []
    trues, ids = list(truth), list(tracks)
    iou = np.array([[mask_iou(truth[t], tracks[k]) for k in ids] for t in trues])
    rows, cols = linear_sum_assignment(-np.where(iou >= MATCH_IOU, iou, 0.0))
    return [(trues[r], ids[c]) for r, c in zip(rows, cols, strict=True) if iou[r, c] >= MATCH_IOU]


def tracked_masks(entity: Entity) -> dict[int, np.ndarray]:
    """Track id -> mask of all found instances that have an id."""
    return {i.track_id: i.mask for i in entity.instances if i.track_id is not None}


def entity_mask_iou(entity: Entity, truth: dict[int, np.ndarray]) -> float:
    """Best IoU of the entity's mask with any true instance; 0 when it is not found."""
    if not entity.found or not truth:
        return 0.0
    return max(mask_iou(entity.mask, mask) for mask in truth.values())


def mean_interval(values: Sequence[float], seed: int = 0, draws: int = 1000) -> dict[str, float]:
    """Mean with its bootstrapped 95 % interval over clips."""
    data = np.asarray([v for v in values if np.isfinite(v)], float)
    if not len(data):
        return {"value": float("nan"), "low": float("nan"), "high": float("nan"), "n": 0}
    rng = np.random.default_rng(seed)
    means = data[rng.integers(0, len(data), (draws, len(data)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    numbers = {"value": float(data.mean()), "low": float(low), "high": float(high)}
    return {k: round(v, 4) for k, v in numbers.items()} | {"n": len(data)}
