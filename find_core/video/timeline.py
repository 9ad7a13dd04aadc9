"""When: relevance smoothed over time and divided into intervals.

Everything is in seconds, not frames, so that a stalling camera or a phone's variable frame rate
changes nothing. Streaming and offline use the same two classes: offline runs the smoother forwards
and backwards over the whole curve, then the same segmenter.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TimelineConfig:
    """How a relevance curve becomes intervals.

    Attributes:
        smooth_s: time constant of the exponential smoother, seconds; 0 switches it off.
        enter: an interval opens where the smoothed relevance reaches this.
        leave: it closes where the relevance stays below this; lower than `enter` (hysteresis).
        gap_s: dips below `leave` that are shorter than this do not close it.
        min_s: intervals shorter than this are dropped.
        break_s: a hole in time longer than this (a stalled camera) closes it and forgets.
    """

    smooth_s: float = 0.25
    enter: float = 0.5
    leave: float = 0.35
    gap_s: float = 0.5
    min_s: float = 0.3
    break_s: float = 2.0

    def claims(self, moment: Interval) -> bool:
        """Is it good enough to say that the object is there?"""
        return moment.peak >= self.enter


@dataclass(frozen=True)
class Interval:
    """A stretch of time that shows what the prompt speaks of.

    Attributes:
        start_s, end_s: seconds of the source, end exclusive; an open interval ends "so far".
        score: mean smoothed relevance inside. peak_s, peak: time and value of its best frame.
    """

    start_s: float
    end_s: float
    score: float
    peak_s: float
    peak: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    def overlap(self, other: Interval) -> float:
        """Temporal intersection over union, in [0, 1]."""
        inside = min(self.end_s, other.end_s) - max(self.start_s, other.start_s)
        union = max(self.end_s, other.end_s) - min(self.start_s, other.start_s)
        return max(inside, 0.0) / union if union > 0 else 0.0

    def to_json(self) -> dict[str, float]:
        return {key: round(value, 4) for key, value in asdict(self).items()}


class Smoother:
    """Exponential moving average in continuous time."""

    def __init__(self, smooth_s: float) -> None:
        self.smooth_s = smooth_s
        self.time_s: float | None = None
        self.value = 0.0

    def update(self, time_s: float, value: float) -> float:
        """The average after a sample `value` at `time_s` (seconds, not before the last one)."""
        if self.time_s is None or self.smooth_s <= 0:
            self.value = value
        else:
            weight = -math.expm1(-max(time_s - self.time_s, 0.0) / self.smooth_s)
            self.value += weight * (value - self.value)
        self.time_s = time_s
        return self.value

    def reset(self) -> None:
        """Forget the past; the next sample is taken as it is."""
        self.time_s = None


class IntervalSegmenter:
    """Hysteresis on a smoothed curve, one sample at a time, constant memory."""

    def __init__(self, config: TimelineConfig) -> None:
        self.config = config
        self._current: Interval | None = None
        self._samples = 0
        self._below_since_s: float | None = None

    @property
    def open(self) -> Interval | None:
        """The interval that lasts at this moment, once it is long enough to count."""
        current = self._current
        return current if current and current.duration_s >= self.config.min_s else None

    def update(self, time_s: float, value: float) -> Interval | None:
        """Take a sample; returns the interval that it closed, if it closed one worth keeping."""
        if self._current is None:
            if value >= self.config.enter:
                self._current = Interval(time_s, time_s, value, time_s, value)
                self._samples, self._below_since_s = 1, None
            return None
        if value >= self.config.leave:
            self._below_since_s = None
            self._extend(time_s, value)
            return None
        if self._below_since_s is None:
            self._below_since_s = time_s
            self._current = replace(self._current, end_s=time_s)
        if time_s - self._below_since_s >= self.config.gap_s:
            return self.finish()
        return None

    def finish(self, end_s: float | None = None) -> Interval | None:
        """Close what is open, at `end_s` where it still was relevant; None if nothing counts."""
        closed = self._current
        if closed and end_s is not None and self._below_since_s is None:
            closed = replace(closed, end_s=max(end_s, closed.end_s))
        self._current, self._below_since_s = None, None
        return closed if closed and closed.duration_s >= self.config.min_s else None

    def _extend(self, time_s: float, value: float) -> None:
        now = self._current
        assert now is not None
        self._samples += 1
        now = replace(now, end_s=time_s, score=now.score + (value - now.score) / self._samples)
        self._current = replace(now, peak_s=time_s, peak=value) if value > now.peak else now

    def state(self) -> dict[str, Any]:
        current = None if self._current is None else asdict(self._current)
        return {"current": current, "samples": self._samples, "below": self._below_since_s}

    def restore(self, state: dict[str, Any]) -> None:
        self._current = None if state["current"] is None else Interval(**state["current"])
        self._samples, self._below_since_s = state["samples"], state["below"]


def smooth_both_ways(
    times_s: Sequence[float] | np.ndarray,
    values: Sequence[float] | np.ndarray,
    smooth_s: float,
    breaks: Sequence[int] = (),
) -> np.ndarray:
    """Mean of the forward and the backward moving average: no lag.

    Args:
        times_s: (N,) seconds, ascending. values: (N,).
        breaks: indices where a new shot begins; nothing is smoothed across them.

    Returns:
        (N,) float64.
    """
    values = np.asarray(values, np.float64)
    times = np.asarray(times_s, np.float64)
    out = np.empty_like(values)
    edges = [0, *sorted({int(b) for b in breaks if 0 < b < len(values)}), len(values)]
    for start, stop in itertools.pairwise(edges):
        forward, backward = Smoother(smooth_s), Smoother(smooth_s)
        ahead = [forward.update(times[i], values[i]) for i in range(start, stop)]
        behind = [backward.update(-times[i], values[i]) for i in reversed(range(start, stop))]
        out[start:stop] = 0.5 * (np.array(ahead) + np.array(behind[::-1]))
    return out


def segment_intervals(
    times_s: Sequence[float] | np.ndarray,
    smoothed: Sequence[float] | np.ndarray,
    config: TimelineConfig,
    end_s: float | None = None,
) -> list[Interval]:
    """Intervals of a whole smoothed curve, in time order.

    Args:
        end_s: where the last frame ends; default one frame period after it begins.
    """
    times = np.asarray(times_s, np.float64)
    segmenter, out = IntervalSegmenter(config), []
    for n, (time_s, value) in enumerate(zip(times, np.asarray(smoothed, np.float64), strict=True)):
        if n and time_s - times[n - 1] > config.break_s:
            out.append(segmenter.finish(float(times[n - 1])))
        out.append(segmenter.update(float(time_s), float(value)))
    if len(times) and end_s is None:
        end_s = float(times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 0.0))
    out.append(segmenter.finish(end_s))
    return [interval for interval in out if interval is not None]


def best_moments(
    times_s: Sequence[float] | np.ndarray,
    smoothed: Sequence[float] | np.ndarray,
    config: TimelineConfig,
    count: int,
    end_s: float | None = None,
) -> list[Interval]:
    """The `count` stretches that fit best, best first; the earlier one where scores tie.

    An interval is a claim, so its threshold is absolute. A moment answers "which part fits best?",
    and something always does: `enter` and `leave` sink with the curve, to half of its peak and
    in proportion. Moments that reach `config.enter` are claims; where there are some, no others
    are given.

    Args:
        times_s, smoothed, end_s: as for `segment_intervals`.
    """
    times, values = np.asarray(times_s, np.float64), np.asarray(smoothed, np.float64)
    if not len(values):
        return []
    best = int(values.argmax())
    peak = float(values[best])
    share = min(1.0, 0.5 * peak / config.enter) if config.enter else 1.0
    lower = replace(config, enter=share * config.enter, leave=share * config.leave)
    found = segment_intervals(times, values, lower, end_s) if peak > 0 else []
    found = [moment for moment in found if config.claims(moment)] or found
    if not found:  # shorter than `min_s` everywhere: its best frame
        at_s = float(times[best])
        step_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        found = [Interval(at_s, at_s + step_s, peak, at_s, peak)]
    return top_intervals(found, count)


def top_intervals(intervals: Sequence[Interval], count: int) -> list[Interval]:
    """The best `count` by score, best first; the earlier one where scores tie."""
    return sorted(intervals, key=lambda i: (-i.score, i.start_s))[:count]


IntervalCutter, cut_intervals = IntervalSegmenter, segment_intervals  # until version 0.1
