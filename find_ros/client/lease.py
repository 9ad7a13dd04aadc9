"""A prompt of ours in the localizer: asked for, renewed, and asked for again after a restart."""

from __future__ import annotations

import itertools
import os

TTL_S = 10.0
"""The localizer forgets a prompt whose asker has been gone for so long."""
RETRY_S = 1.0
SILENCE_S = 2.0
"""Without an answer or a status for so long the localizer may have been restarted."""
_NUMBERS = itertools.count(1)


def new_id() -> str:
    """An id that no other question has, on this machine and on others."""
    return f"finder/{os.getpid()}-{os.urandom(4).hex()}/{next(_NUMBERS)}"


class Lease:
    """When to publish a request. All times are steady seconds.

    Attributes:
        acknowledged: the localizer has said that it took, or is about to take, the prompt.
    """

    def __init__(self) -> None:
        self.acknowledged = False
        self._sent_s = self._heard_s = float("-inf")

    def is_due(self, now_s: float) -> bool:
        quiet = now_s - self._heard_s > SILENCE_S
        return now_s - self._sent_s >= (RETRY_S if quiet else TTL_S / 3)

    @property
    def was_sent(self) -> bool:
        return self._sent_s > float("-inf")

    def sent(self, now_s: float) -> None:
        self._sent_s = now_s

    def heard(self, now_s: float) -> None:
        self.acknowledged, self._heard_s = True, now_s

    def lost(self) -> None:
        """The localizer says that the prompt is gone: ask at once."""
        self._sent_s = self._heard_s = float("-inf")
