"""Say each trouble once, then at a sane rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from find_ros.support.text import SENTENCE_LIMIT, printable

REPEAT_S = 30.0


class ThrottledLogger:
    """Logs the first of a kind at once, then at most one each `REPEAT_S` with the count.

    Args:
        log: takes the sentence. clock: steady seconds.
    """

    def __init__(
        self, log: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._clock = log, clock
        self._seen: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def warn(self, kind: str, sentence: str) -> None:
        with self._lock:
            now_s = self._clock()
            said_s, silent = self._seen.get(kind, (float("-inf"), 0))
            if now_s - said_s < REPEAT_S:
                self._seen[kind] = (said_s, silent + 1)
                return
            self._seen[kind] = (now_s, 0)
        more = f" ({silent} more like this in the last {now_s - said_s:.0f} s)" if silent else ""
        self._log(f"{printable(sentence, SENTENCE_LIMIT)}{more}")
