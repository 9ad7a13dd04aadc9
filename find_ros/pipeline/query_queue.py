"""Queries that wait for the field's thread: bounded in number and in bytes."""

from __future__ import annotations

import threading
from collections import deque


class QueryQueue:
    """First in, first out; may be used from several threads.

    Args:
        max_waiting: queries. max_chars: of all of them together.
    """

    def __init__(self, max_waiting: int, max_chars: int) -> None:
        self._max_waiting, self._max_chars = max_waiting, max_chars
        self._texts: deque[str] = deque()
        self._chars = 0
        self._changed = threading.Condition()

    def put(self, text: str) -> bool:
        """False when there is no room for it."""
        with self._changed:
            full = len(self._texts) >= self._max_waiting
            if full or (self._texts and self._chars + len(text) > self._max_chars):
                return False
            self._texts.append(text)
            self._chars += len(text)
            self._changed.notify()
            return True

    def get(self, timeout_s: float) -> str | None:
        """The query that came first; None when there is none after `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._texts, timeout_s)
            if not self._texts:
                return None
            text = self._texts.popleft()
            self._chars -= len(text)
            return text
