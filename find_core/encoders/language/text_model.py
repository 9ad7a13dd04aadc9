"""What the text encoders read through `transformers` share: tokens, batches, offsets."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from find_core.encoders.base import FrozenModule, TextTokens, device_of
from find_core.errors import PromptError

# Texts are encoded in batches of at most this many, of similar length, to bound memory.
_BATCH = 64


class TransformersText(FrozenModule):
    """A fast tokenizer and a text model, read as padded batches.

    Args:
        load_tokenizer: gives a fast `transformers` tokenizer (one that knows characters' offsets);
            called on first use.
        max_tokens: longest text, special tokens included.
        width: of the states.
    """

    def __init__(self, load_tokenizer: Callable[[], Any], max_tokens: int, width: int) -> None:
        super().__init__()
        self._load_tokenizer, self.max_tokens, self.width = load_tokenizer, max_tokens, width

    @cached_property
    def tokenizer(self) -> Any:
        return self._load_tokenizer()

    @abstractmethod
    def token_states(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T) int64 ids and mask (1 = token, padding on the right) -> (B, T, W) states."""

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> list[TextTokens]:
        """(T, W) float32 states per text, in the order given; see `LanguageEncoder`."""
        rows = [self._tokenize(text) for text in texts]
        by_length = sorted(range(len(rows)), key=lambda i: len(rows[i][0]))
        out: list[TextTokens | None] = [None] * len(rows)
        for start in range(0, len(rows), _BATCH):
            batch = by_length[start : start + _BATCH]
            states = self._states([rows[i][0] for i in batch])
            for i, state in zip(batch, states, strict=True):
                out[i] = TextTokens(state, rows[i][1])
        return out  # type: ignore[return-value]

    def _tokenize(self, text: str) -> tuple[list[int], np.ndarray]:
        """Ids and (T, 2) character offsets of a text, special tokens at (0, 0)."""
        # verbose=False: our own error replaces the tokenizer's warning about long texts.
        encoding = self.tokenizer(
            text, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False
        )
        ids = encoding["input_ids"]
        if not 0 < len(ids) <= self.max_tokens:
            raise PromptError(
                f"The text has {len(ids)} tokens, the language encoder reads 1 to "
                f"{self.max_tokens}: change {text[:40]!r}."
            )
        offsets = np.asarray(encoding["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        offsets[np.asarray(encoding["special_tokens_mask"], dtype=bool)] = 0
        return ids, np.array([_trim(text, *span) for span in offsets.tolist()], dtype=np.int64)

    def _states(self, rows: list[list[int]]) -> list[Tensor]:
        length = max(map(len, rows))
        ids_BT = torch.zeros(len(rows), length, dtype=torch.long)
        mask_BT = torch.zeros_like(ids_BT)
        for b, row in enumerate(rows):
            ids_BT[b, : len(row)] = torch.tensor(row)
            mask_BT[b, : len(row)] = 1
        device = device_of(self)
        states_BTW = self.token_states(ids_BT.to(device), mask_BT.to(device)).float()
        return [state[: len(row)].clone() for state, row in zip(states_BTW, rows, strict=True)]


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Without the spaces that some tokenizers count to the word after them."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def weights_hash(*tensors: Tensor) -> str:
    """Eight hex digits that tell one set of weights from another (a sample of each tensor)."""
    digest = hashlib.sha256()
    for tensor in tensors:
        sample = tensor.detach().flatten()[:4096].float().cpu().to(torch.float16)
        digest.update(str(tuple(tensor.shape)).encode() + sample.numpy().tobytes())
    return digest.hexdigest()[:8]
