"""Metrics with intervals. Every score is kept with the unit it is bootstrapped by (scene or kind).

AUC (the Mann-Whitney statistic) and the bootstrap are SciPy's; mask IoU is `find_core.masks.mask_iou`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import bootstrap, mannwhitneyu

from find_core.masks import mask_iou

THRESHOLDS = np.round(np.arange(0.05, 1.0, 0.05), 2)
CONFIDENCE = 0.95


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Chance that a positive scores above a negative, ties half; NaN when a side is empty.

    Args:
        positive, negative: (P,) and (N,) scores.
    """
    if not len(positive) or not len(negative):
        return float("nan")
    above = mannwhitneyu(positive, negative, method="asymptotic").statistic
    return float(above / (len(positive) * len(negative)))


@dataclass
class ScoreSeries:
    """Values of single answers and the bootstrap unit that each belongs to."""

    values: list[float] = field(default_factory=list)
    units: list[str] = field(default_factory=list)

    def add(self, value: float, unit: str) -> None:
        self.values.append(float(value))
        self.units.append(unit)

    def summary(self, statistic: Callable[[np.ndarray], float] = np.mean, seed: int = 0) -> dict:
        """{"value", "low", "high", "n", "groups"}: 95 % interval, whole units resampled."""
        values = np.array(self.values)
        if not len(values):
            return {"value": None, "n": 0}
        low, high = bootstrap_interval([self], statistic, seed)
        return {"value": rounded(statistic(values)), "low": rounded(low), "high": rounded(high),
                "n": len(values), "groups": len(set(self.units))}  # fmt: skip

    def share_above(self, threshold: float) -> float | None:
        """Share of the values at or above a threshold; None where there are none."""
        return float(np.mean(np.array(self.values) >= threshold)) if self.values else None

    def by_unit(self) -> list[np.ndarray]:
        """The values of each unit."""
        values, units = np.array(self.values), np.array(self.units)
        return [values[units == unit] for unit in np.unique(units)]


def bootstrap_interval(
    series: Sequence[ScoreSeries], statistic: Callable[..., float], seed: int = 0,
    resamples: int = 1000,
) -> tuple[float, float]:  # fmt: skip
    """95 % percentile interval of a statistic while whole units of every series are resampled.

    Args:
        statistic: takes one array of values a series. A single unit gives no interval, only its
            own value.
    """
    groups = [s.by_unit() for s in series]

    def of_units(*picks: np.ndarray) -> float:
        drawn = zip(groups, picks, strict=True)
        return statistic(*(np.concatenate([units[p] for p in pick]) for units, pick in drawn))

    everything = tuple(np.arange(len(units)) for units in groups)
    if min(map(len, groups)) < 2:  # nothing to resample on one side: SciPy wants two observations
        everything = tuple(np.resize(index, max(2, len(index))) for index in everything)
    result = bootstrap(
        everything, of_units, n_resamples=resamples, vectorized=False, paired=False,
        confidence_level=CONFIDENCE, method="percentile", random_state=np.random.default_rng(seed),
    )  # fmt: skip
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


@dataclass
class IoUMeter:
    """IoUs of one kind of question: mean, P@0.5, and the oracle beside them.

    Attributes:
        chosen: IoU of the answer. oracle: best IoU among all object proposals.
        intersection, union: pixels, for the cumulative IoU.
    """

    chosen: ScoreSeries = field(default_factory=ScoreSeries)
    oracle: ScoreSeries = field(default_factory=ScoreSeries)
    intersection: int = 0
    union: int = 0

    def add(self, mask: np.ndarray, truth: np.ndarray, oracle: float, unit: str) -> None:
        """One answer: (H, W) bool masks, and the IoU of the best proposal."""
        self.chosen.add(mask_iou(mask, truth), unit)
        self.oracle.add(max(oracle, 0.0), unit)
        self.intersection += int(np.count_nonzero(mask & truth))
        self.union += int(np.count_nonzero(mask | truth))

    def metrics(self) -> dict:
        return {
            "miou": self.chosen.summary(),
            "p50": self.chosen.summary(share_over_half),
            "ciou": rounded(self.intersection / self.union) if self.union else None,
            "oracle_miou": self.oracle.summary(),
            "oracle_p50": self.oracle.summary(share_over_half),
        }


def share_over_half(values: np.ndarray) -> float:
    """Precision at IoU 0.5."""
    return float((values > 0.5).mean())


@dataclass
class DetectionAuc:
    """Scores of objects that are there and of objects that are not."""

    present: ScoreSeries = field(default_factory=ScoreSeries)
    absent: ScoreSeries = field(default_factory=ScoreSeries)

    def metrics(self, seed: int = 0, resamples: int = 400) -> dict:
        """AUC with its interval (units of both sides resampled), and rates at 0.5."""
        value = auc(np.array(self.present.values), np.array(self.absent.values))
        low = high = 0.0
        if np.isfinite(value):
            low, high = bootstrap_interval([self.present, self.absent], auc, seed, resamples)
        return {
            "auc": {"value": rounded(value), "low": rounded(low), "high": rounded(high),
                    "present": len(self.present.values), "absent": len(self.absent.values)},
            "found_at_0.5": rounded(self.present.share_above(0.5)),
            "false_alarms_at_0.5": rounded(self.absent.share_above(0.5)),
        }  # fmt: skip

    def by_threshold(self) -> dict[str, list[float]]:
        """Shares of present and of absent objects whose score reaches each of nineteen thresholds."""
        present, absent = np.array(self.present.values), np.array(self.absent.values)
        if not len(present) or not len(absent):
            return {}
        return {
            "threshold": THRESHOLDS.tolist(),
            "found": [round(float((present >= t).mean()), 4) for t in THRESHOLDS],
            "false_alarms": [round(float((absent >= t).mean()), 4) for t in THRESHOLDS],
        }


def rounded(value: float | None) -> float | None:
    """Four decimals; None for what is not finite."""
    return None if value is None or not np.isfinite(value) else round(float(value), 4)
