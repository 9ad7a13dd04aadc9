"""What every source of frames can do, and what comes out of it.

Times are the recording's own (presentation stamps, header stamps), so that a variable frame rate
is seen as it was filmed; images stand upright (rotation metadata applied).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from find_core.errors import FindError

log = logging.getLogger("find_core")
STALL_S = 5.0


class SourceError(FindError, RuntimeError):
    """A video, camera or bag cannot be opened or read."""


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """Attributes:
    index: number of the frame in its source, from 0.
    time_s: seconds since the source's first frame. stamp_ns: the recording's own clock.
    image: (H, W, 3) uint8 RGB, upright.
    """

    index: int
    time_s: float
    stamp_ns: int
    image: np.ndarray


class Source(Protocol):
    """What every source can do.

    Attributes:
        name: for titles. is_live: frames come once, in real time.
        frame_count, duration_s: as far as known; None for live ones.
        identity: changes when the content does (resuming checks it).
    """

    @property
    def name(self) -> str: ...
    @property
    def is_live(self) -> bool: ...
    @property
    def frame_count(self) -> int | None: ...
    @property
    def duration_s(self) -> float | None: ...
    @property
    def identity(self) -> str: ...

    def frames(
        self, start_s: float = 0.0, stop_s: float = float("inf"), first_index: int = 0
    ) -> Iterator[SourceFrame]:
        """Frames with start_s <= time_s < stop_s, numbered from `first_index`."""
        ...

    def sample(self, period_s: float) -> Iterator[SourceFrame]:
        """About one frame every `period_s` seconds, as cheaply as the format allows.

        Their `index` counts what was decoded, which may be the key frames alone.
        """
        ...


MAX_GAP_S = 86_400.0
"""A stamp so much after the one before is a clock that was set, not a pause."""


class Clock:
    """One rule of time for every recording: seconds that never fall.

    No stamp is not stamp 0: such a frame comes one period after the one before. A stamp that goes
    back begins anew, and so does one that is more than `MAX_GAP_S` ahead: what follows goes on one
    period after what was.

    Args:
        period_s: between frames, where stamps do not tell.
    """

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self.unstamped = self.breaks = 0
        self._last_s: float | None = None
        self._offset_s = 0.0

    def __call__(self, time_s: float | None) -> float:
        """Seconds of the recording's next frame, given its own (None or NaN: it has none)."""
        last_s = self._last_s
        if time_s is None or not math.isfinite(time_s):
            self.unstamped += 1
            now_s = 0.0 if last_s is None else last_s + self.period_s
        else:
            now_s = time_s + self._offset_s
            if last_s is not None and last_s - 1.5 * self.period_s <= now_s < last_s:
                now_s = last_s  # two frames in the wrong order are no new beginning
            elif last_s is not None and not last_s <= now_s <= last_s + MAX_GAP_S:
                self.breaks += 1
                self._offset_s += last_s + self.period_s - now_s
                now_s = last_s + self.period_s
        self._last_s = now_s
        return now_s

    def report(self, name: str, told: set[str]) -> None:
        """Say in the log what was put right; `told` remembers, so that it is said once."""
        rate = 1 / self.period_s
        sentences = {
            "stamps": f"{self.unstamped} frames have no time stamps; taken as {rate:g} a second."
            if self.unstamped
            else "",
            "clock": f"its clock jumps {self.breaks} times; going on each time."
            if self.breaks
            else "",
        }
        for kind, sentence in sentences.items():
            if sentence and kind not in told:
                told.add(kind)
                log.warning("%s: %s", name, sentence)


def next_due_s(time_s: float, period_s: float) -> float:
    """When the next frame is wanted: on a fixed grid, so that 30 a second thin to 20, not to 15."""
    return (np.floor(time_s / period_s + 1e-6) + 1) * period_s if period_s > 0 else time_s


def thin(
    frames: Iterator[SourceFrame], period_s: float, due_s: float = -float("inf")
) -> Iterator[SourceFrame]:
    """At most one frame every `period_s` seconds, none before `due_s`; 0 keeps all.

    A time that goes back begins anew.
    """
    last_s = -float("inf")
    for frame in frames:
        if frame.time_s < last_s:
            due_s = frame.time_s
        last_s = frame.time_s
        if frame.time_s >= due_s - 1e-6:
            yield frame
            due_s = next_due_s(frame.time_s, period_s)


def file_identity(path: Path) -> str:
    """Changes when the file does: name, size and time of writing."""
    stat = path.stat()
    return f"{path.name}:{stat.st_size}:{stat.st_mtime_ns}"
