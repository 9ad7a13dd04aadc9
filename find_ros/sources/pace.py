"""When the next frame of a recording is due."""

from __future__ import annotations

import time
from collections.abc import Callable

# A recording that is silent for longer has had its clock set, or is two recordings.
MAX_GAP_S = 60.0
# After a pause go on from now rather than hurry to catch up on more than this.
MAX_LATE_S = 1.0


class Pace:
    """Plays frames as far apart as they were recorded, or at a rate.

    Args:
        tell: takes a sentence when the recording's clock jumps.
        clock: steady seconds.
    """

    def __init__(
        self, tell: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell, self._clock = tell, clock
        self._last_s: float | None = None  # time of the last frame in the recording
        self._due_s = clock()

    def wait_s(self, time_s: float, rate_hz: float) -> float:
        """Seconds to wait before the frame recorded at `time_s` is shown; `rate_hz` 0: as recorded."""
        gap_s = 0.0 if self._last_s is None else time_s - self._last_s
        first, self._last_s = self._last_s is None, time_s
        if rate_hz:
            gap_s = 0.0 if first else 1 / rate_hz
        elif not 0.0 <= gap_s <= MAX_GAP_S:
            self._tell(f"The recording's clock jumps by {gap_s:.0f} s: going on at once.")
            gap_s = 0.0
        now_s = self._clock()
        self._due_s = max(self._due_s + gap_s, now_s - MAX_LATE_S)
        return max(0.0, self._due_s - now_s)
