"""Brings images and answers of one stamp together, whichever comes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

MAX_IMAGE_BYTES = 256 * 2**20
"""Of images that wait for an answer: those of one second of a 1080p camera at 30 Hz, raw."""
MAX_ANSWERS = 16

Pair = tuple[Any, Mapping[str, Any]]


class Pairing:
    """Images are kept as they came; those that were answered, and what is older, go."""

    def __init__(self, max_bytes: int = MAX_IMAGE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._images: OrderedDict[int, Any] = OrderedDict()
        self._answers: OrderedDict[int, Mapping[str, Any]] = OrderedDict()
        self._bytes = 0

    def put_image(self, stamp_ns: int, msg: Any) -> Pair | None:
        """An image message; the pair, where its answer is there."""
        if (answer := self._answers.pop(stamp_ns, None)) is not None:
            self._forget_until(stamp_ns)
            return msg, answer
        if stamp_ns not in self._images:
            self._images[stamp_ns] = msg
            self._bytes += len(msg.data)
        while self._bytes > self._max_bytes and len(self._images) > 1:
            self._drop(next(iter(self._images)))
        return None

    def put_answer(self, stamp_ns: int, answer: Mapping[str, Any]) -> Pair | None:
        """An answer; the pair, where its image is there."""
        if (msg := self._images.get(stamp_ns)) is not None:
            self._forget_until(stamp_ns)
            return msg, answer
        self._answers[stamp_ns] = answer
        while len(self._answers) > MAX_ANSWERS:
            self._answers.popitem(last=False)
        return None

    def _forget_until(self, stamp_ns: int) -> None:
        for stamp in [s for s in self._images if s <= stamp_ns]:
            self._drop(stamp)
        for stamp in [s for s in self._answers if s <= stamp_ns]:
            del self._answers[stamp]

    def _drop(self, stamp_ns: int) -> None:
        self._bytes -= len(self._images.pop(stamp_ns).data)
