"""What every source of frames can do, and what comes out of it.

Times are the recording's own (presentation stamps, header stamps), so that a variable frame rate
is seen as it was filmed; images stand upright (rotation metadata applied).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from find_core.errors import FindError

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


def next_due_s(time_s: float, period_s: float) -> float:
    """When the next frame is wanted: on a fixed grid, so that 30 a second thin to 20, not to 15."""
    return (np.floor(time_s / period_s + 1e-6) + 1) * period_s if period_s > 0 else time_s


def thin(
    frames: Iterator[SourceFrame], period_s: float, due_s: float = -float("inf")
) -> Iterator[SourceFrame]:
    """At most one frame every `period_s` seconds, none before `due_s`; 0 keeps all."""
    for frame in frames:
        if frame.time_s >= due_s - 1e-6:
            yield frame
            due_s = next_due_s(frame.time_s, period_s)


def file_identity(path: Path) -> str:
    """Changes when the file does: name, size and time of writing."""
    stat = path.stat()
    return f"{path.name}:{stat.st_size}:{stat.st_mtime_ns}"
