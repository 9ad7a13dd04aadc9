"""Token states of texts, computed once per text and process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch

from find_core.encoders.base import LanguageEncoder, TextTokens

GROUP = 16
"""Texts of like length are encoded together: nearly none of the work goes into padding."""


class TextCache:
    """A `LanguageEncoder` that remembers; the least recently used texts are forgotten first.

    Args:
        bf16: encode under bf16 autocast (CPUs with AMX: three times faster).
    """

    def __init__(
        self, encoder: LanguageEncoder, capacity: int = 60_000, bf16: bool = False
    ) -> None:
        self.encoder, self.capacity, self.bf16 = encoder, capacity, bf16
        self.width = encoder.width
        self._known: OrderedDict[str, TextTokens] = OrderedDict()

    def encode(self, texts: Sequence[str]) -> list[TextTokens]:
        """One `TextTokens` per text."""
        missing = sorted({t for t in texts if t not in self._known}, key=lambda t: (len(t), t))
        for start in range(0, len(missing), GROUP):
            group = missing[start : start + GROUP]
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                found = self.encoder.encode(group)
            for text, tokens in zip(group, found, strict=True):
                self._known[text] = TextTokens(tokens.states.half(), tokens.offsets)
        out = []
        for text in texts:
            self._known.move_to_end(text)
            tokens = self._known[text]
            out.append(TextTokens(tokens.states.float(), tokens.offsets))
        while len(self._known) > self.capacity:
            self._known.popitem(last=False)
        return out
