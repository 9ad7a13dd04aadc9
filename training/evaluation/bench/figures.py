"""Figures with intervals: sums are kept by image, and whole images are resampled.

Every figure is a function of per-image sums, so that a resample is a sum of rows. The bootstrap is
SciPy's (95 %, percentiles), as in `training.evaluation.metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import bootstrap

from find_core.masks import mask_iou
from training.evaluation.metrics import CONFIDENCE

RESAMPLES = 1000
PRECISIONS = (0.5, 0.6, 0.7, 0.8, 0.9)
DIGITS = 6


def figure(
    images: int, statistic: Callable[[np.ndarray], float], resamples: int = RESAMPLES,
    seed: int = 0, **counts: int,
) -> dict[str, Any]:  # fmt: skip
    """{"value", "low", "high", "images", ...}: a statistic and its 95 % interval.

    Args:
        statistic: takes the indices of the images that count, some of them several times. NaN means
            that nothing is asked. counts: further numbers to say beside it.
    """
    everything = np.arange(images)
    value = statistic(everything) if images else float("nan")
    if not np.isfinite(value):
        return {"value": None, "images": images, **counts}
    low, high = value, value
    if images > 1:
        drawn = bootstrap(
            (everything,), statistic, n_resamples=resamples, vectorized=False,
            confidence_level=CONFIDENCE, method="percentile", rng=np.random.default_rng(seed),
        ).bootstrap_distribution  # fmt: skip
        tail = 50 * (1 - CONFIDENCE)
        low, high = np.nanpercentile(drawn, [tail, 100 - tail])  # a resample may ask nothing
    return {"value": round(float(value), DIGITS), "low": round(float(low), DIGITS),
            "high": round(float(high), DIGITS), "images": images, **counts}  # fmt: skip


@dataclass
class Sums:
    """Named sums by image; each figure is a ratio of two of them."""

    names: tuple[str, ...]
    rows: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, image: str, **values: float) -> None:
        row = self.rows.setdefault(image, np.zeros(len(self.names)))
        for name, value in values.items():
            row[self.names.index(name)] += value

    def ratio(self, part: str, whole: str, **counts: int) -> dict[str, Any]:
        """sum(part) / sum(whole) over images."""
        table = np.array(list(self.rows.values())).reshape(-1, len(self.names))
        a, b = table[:, self.names.index(part)], table[:, self.names.index(whole)]

        def statistic(index: np.ndarray) -> float:
            total = b[index].sum()
            return float(a[index].sum() / total) if total else float("nan")

        return figure(len(table), statistic, **counts)


class MaskSums:
    """cIoU = sum of intersections / sum of unions, mIoU = mean IoU, precision at IoU thresholds.

    An answer counts as right at a threshold that its IoU reaches (docs/spec.md 3.5).
    """

    def __init__(self) -> None:
        self._sums = Sums(("answers", "iou", "both", "either", *map(str, PRECISIONS)))
        self.answers = 0

    def add(self, image: str, found: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> float:  # fmt: skip
        """One answer; the IoU is returned.

        Args:
            found, truth, void: (H, W) bool; pixels of `void` count for nothing.
        """
        if void is not None:
            found, truth = found & ~void, truth & ~void
        iou = mask_iou(found, truth)
        self.answers += 1
        self._sums.add(
            image, answers=1, iou=iou, both=int(np.count_nonzero(found & truth)),
            either=int(np.count_nonzero(found | truth)),
            **{str(t): float(iou >= t) for t in PRECISIONS},
        )  # fmt: skip
        return iou

    def metrics(self) -> dict[str, Any]:
        """{"ciou", "miou", "p50" ... "p90"}, each with its interval."""
        out = {"ciou": self._sums.ratio("both", "either", n=self.answers),
               "miou": self._sums.ratio("iou", "answers", n=self.answers)}  # fmt: skip
        for threshold in PRECISIONS:
            name = f"p{round(100 * threshold)}"
            out[name] = self._sums.ratio(str(threshold), "answers", n=self.answers)
        return out


def hit_probability(greater: int, wrong: int, right: int, k: int) -> float:
    """Chance that a right item is among the first k, equal scores in random order.

    A model that gives everything one score so gets chance, not perfection.

    Args:
        greater: wrong items above the best right one. wrong, right: items of that same score.
    """
    places = k - greater
    if places <= 0:
        return 0.0
    none = 1.0
    for j in range(min(places, wrong + right)):
        none *= max(0, wrong - j) / (wrong + right - j)
    return 1.0 - none


def hits(scores: np.ndarray, right: Sequence[int], left_out: Sequence[int], ks: Sequence[int]) -> list[float]:  # fmt: skip
    """`hit_probability` at each k of one query.

    Args:
        scores: (N,) of all candidates. right: indices of the right ones.
        left_out: candidates that do not take part; a right one among them stays.
    """
    mine = np.zeros(len(scores), bool)
    mine[list(right)] = True
    there = np.ones(len(scores), bool)
    there[list(left_out)] = False
    there |= mine
    best = scores[mine].max()
    others = scores[there & ~mine]
    greater, equal = int((others > best).sum()), int((others == best).sum())
    tied = int((scores[mine] == best).sum())
    return [hit_probability(greater, equal, tied, k) for k in ks]
