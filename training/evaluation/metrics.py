"""Figures with intervals. Every single answer is kept with the group it is bootstrapped by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

THRESHOLDS = np.round(np.arange(0.05, 1.0, 0.05), 2)


def mask_iou(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two (H, W) bool masks; 1 for two empty ones."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Chance that a positive scores above a negative, ties half; NaN when a side is empty."""
    if not len(positive) or not len(negative):
        return float("nan")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    ties = np.searchsorted(ordered, positive, "right") - below
    return float((below + 0.5 * ties).sum() / (len(positive) * len(negative)))


@dataclass
class Answers:
    """Values of single answers and the group (scene or kind) each belongs to."""

    values: list[float] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)

    def add(self, value: float, group: str) -> None:
        self.values.append(float(value))
        self.groups.append(group)

    def figure(self, statistic: Callable[[np.ndarray], float] = np.mean, seed: int = 0) -> dict:
        """{"value", "low", "high", "n", "groups"}: 95 % interval, whole groups resampled."""
        values = np.array(self.values)
        if not len(values):
            return {"value": None, "n": 0}
        low, high = bootstrap(values, self.groups, statistic, seed)
        return {"value": _round(statistic(values)), "low": _round(low), "high": _round(high),
                "n": len(values), "groups": len(set(self.groups))}  # fmt: skip


def bootstrap(
    values: np.ndarray, groups: Sequence[str], statistic: Callable[[np.ndarray], float],
    seed: int = 0, rounds: int = 1000,
) -> tuple[float, float]:  # fmt: skip
    """95 % percentile interval of a statistic under resampling of whole groups."""
    rng = np.random.default_rng(seed)
    names, index = np.unique(np.array(groups), return_inverse=True)
    members = [np.flatnonzero(index == g) for g in range(len(names))]
    draws = []
    for _ in range(rounds):
        picks = rng.integers(len(names), size=len(names))
        draws.append(statistic(values[np.concatenate([members[p] for p in picks])]))
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return float(low), float(high)


@dataclass
class Overlaps:
    """IoUs of one kind of question: mean, P@0.5, and the oracle beside them.

    Attributes:
        chosen: IoU of the answer. oracle: best IoU among all object proposals.
        intersection, union: pixels, for the cumulative IoU.
    """

    chosen: Answers = field(default_factory=Answers)
    oracle: Answers = field(default_factory=Answers)
    intersection: int = 0
    union: int = 0

    def add(self, mask: np.ndarray, truth: np.ndarray, oracle: float, group: str) -> None:
        self.chosen.add(mask_iou(mask, truth), group)
        self.oracle.add(max(oracle, 0.0), group)
        self.intersection += int(np.count_nonzero(mask & truth))
        self.union += int(np.count_nonzero(mask | truth))

    def figures(self) -> dict:
        return {
            "miou": self.chosen.figure(),
            "p50": self.chosen.figure(lambda v: float((v > 0.5).mean())),
            "ciou": _round(self.intersection / self.union) if self.union else None,
            "oracle_miou": self.oracle.figure(),
            "oracle_p50": self.oracle.figure(lambda v: float((v > 0.5).mean())),
        }


@dataclass
class Separation:
    """Scores of things that are there and of things that are not."""

    present: Answers = field(default_factory=Answers)
    absent: Answers = field(default_factory=Answers)

    def figures(self, seed: int = 0, rounds: int = 400) -> dict:
        """AUC with its interval (groups of both sides resampled), and rates at 0.5."""
        value = auc(np.array(self.present.values), np.array(self.absent.values))
        rng = np.random.default_rng(seed)
        draws = [auc(_redraw(self.present, rng), _redraw(self.absent, rng)) for _ in range(rounds)]
        low, high = np.nanpercentile(draws, [2.5, 97.5]) if draws and np.isfinite(value) else (0, 0)
        found = (
            float(np.mean(np.array(self.present.values) >= 0.5)) if self.present.values else None
        )
        wrong = float(np.mean(np.array(self.absent.values) >= 0.5)) if self.absent.values else None
        return {
            "auc": {"value": _round(value), "low": _round(low), "high": _round(high),
                    "present": len(self.present.values), "absent": len(self.absent.values)},
            "found_at_0.5": _round(found), "false_alarms_at_0.5": _round(wrong),
        }  # fmt: skip

    def by_threshold(self) -> dict[str, list[float]]:
        """Shares of present and of absent things whose score reaches each of nineteen thresholds."""
        present, absent = np.array(self.present.values), np.array(self.absent.values)
        if not len(present) or not len(absent):
            return {}
        return {
            "threshold": THRESHOLDS.tolist(),
            "found": [round(float((present >= t).mean()), 4) for t in THRESHOLDS],
            "false_alarms": [round(float((absent >= t).mean()), 4) for t in THRESHOLDS],
        }


def _redraw(answers: Answers, rng: np.random.Generator) -> np.ndarray:
    names, index = np.unique(np.array(answers.groups), return_inverse=True)
    if not len(names):
        return np.zeros(0)
    picks = rng.integers(len(names), size=len(names))
    values = np.array(answers.values)
    return np.concatenate([values[index == p] for p in picks])


def _round(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 4)
