"""Token states of texts, computed once per text and process."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from find_core.encoders.base import LanguageEncoder, TextTokens
from find_core.support.lru import Lru

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
        self.encoder, self.bf16 = encoder, bf16
        self.width = encoder.width
        self._known: Lru[str, TextTokens] = Lru(capacity)

    def encode(self, texts: Sequence[str]) -> list[TextTokens]:
        """One `TextTokens` per text."""
        found = {t: known for t in texts if (known := self._known.get(t)) is not None}
        missing = sorted(set(texts) - set(found), key=lambda t: (len(t), t))
        for start in range(0, len(missing), GROUP):
            group = missing[start : start + GROUP]
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                encoded = self.encoder.encode(group)
            for text, tokens in zip(group, encoded, strict=True):
                found[text] = TextTokens(tokens.states.half(), tokens.offsets)
                self._known.put(text, found[text])
        return [TextTokens(found[t].states.float(), found[t].offsets) for t in texts]
