"""The last minutes: relevance over time, its intervals, and a still every half second."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from find_core.images import decode_image
from find_core.page.source import Moment
from find_core.page.stills import Still, drawn, jpeg
from find_core.video.timeline import Interval, TimelineConfig, segment_intervals

SPAN_S = 180.0
STILL_EVERY_S = 0.5
MAX_STILL_BYTES = 96 * 2**20


@dataclass(frozen=True, eq=False)
class _Kept:
    time_s: float
    plain_jpeg: bytes
    shown_jpeg: bytes

    @property
    def size(self) -> int:
        return len(self.plain_jpeg) + len(self.shown_jpeg)


@dataclass(frozen=True, eq=False)
class Curve:
    """Relevance of the last minutes.

    Attributes:
        times_s: (N,) seconds of the source's clock, ascending. values: (N,) smoothed, in [0, 1].
        intervals: where it is relevant, in the same seconds.
    """

    times_s: np.ndarray
    values: np.ndarray
    intervals: tuple[Interval, ...] = ()


class History:
    """Takes moments, forgets what is older than `SPAN_S`; may be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: deque[tuple[float, float]] = deque()
        self._stills: deque[_Kept] = deque()
        self._bytes = 0

    def take(self, moment: Moment) -> None:
        """A moment in which something was looked for."""
        time_s = moment.stamp_ns * 1e-9
        with self._lock:
            last_s = self._samples[-1][0] if self._samples else -np.inf
            due = not self._stills or time_s - self._stills[-1].time_s >= STILL_EVERY_S
            back = time_s < last_s
        if back:  # another recording, or a clock that was set
            self.forget()
        kept = None
        if back or due:
            kept = _Kept(time_s, jpeg(moment.image_rgb), drawn(moment))
        with self._lock:
            self._samples.append((time_s, moment.relevance))
            if kept is not None:
                self._stills.append(kept)
                self._bytes += kept.size
            self._drop_old(time_s - SPAN_S)

    def forget(self) -> None:
        """Begin anew: what was seen answers another prompt."""
        with self._lock:
            self._samples.clear()
            self._stills.clear()
            self._bytes = 0

    def curve(self, threshold: float) -> Curve:
        """What is known now.

        Args:
            threshold: at which intervals open, in [0, 1]; they close at 0.7 of it.
        """
        with self._lock:
            samples = np.array(self._samples, np.float64).reshape(-1, 2)
        times_s, values = samples[:, 0], samples[:, 1]
        config = TimelineConfig(enter=threshold, leave=0.7 * threshold)
        return Curve(times_s, values, tuple(segment_intervals(times_s, values, config)))

    def still_near(self, time_s: float) -> Still | None:
        """The still nearest to a time of the source's clock; None when there is none."""
        with self._lock:
            kept = min(self._stills, key=lambda s: abs(s.time_s - time_s), default=None)
        return _still(kept)

    def still_beside(self, time_s: float, step: int) -> Still | None:
        """The first still before (step -1) or after (+1) a time; None at the end."""
        with self._lock:
            if step < 0:
                kept = next((s for s in reversed(self._stills) if s.time_s < time_s - 1e-6), None)
            else:
                kept = next((s for s in self._stills if s.time_s > time_s + 1e-6), None)
        return _still(kept)

    def _drop_old(self, before_s: float) -> None:
        while self._samples and self._samples[0][0] < before_s:
            self._samples.popleft()
        while self._stills and (self._stills[0].time_s < before_s or self._bytes > MAX_STILL_BYTES):
            self._bytes -= self._stills.popleft().size


def _still(kept: _Kept | None) -> Still | None:
    if kept is None:
        return None
    return Still(decode_image(kept.plain_jpeg), kept.shown_jpeg, kept.time_s)
