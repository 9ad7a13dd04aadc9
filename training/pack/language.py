"""MiniLM's text encoder with the part of its vocabulary that a pack's texts need.

The same states as `find_core.encoders.language.minilm` (a test compares them), without `tokenizers`:
WordPiece tokens of lower-cased text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from find_core.encoders.language.bert import Bert
from find_core.encoders.language.minilm import HEADS
from find_core.encoders.language.text_model import TransformersText

_WORD = re.compile(r"[^\W_]+|[^\w\s]|_", re.UNICODE)
UNKNOWN, FIRST, LAST = "[UNK]", "[CLS]", "[SEP]"


class WordPiece:
    """Tokens of a text with their characters' places, called as a fast `transformers` tokenizer is."""

    def __init__(self, words: Sequence[str]) -> None:
        self.number = {word: n for n, word in enumerate(words)}

    def __call__(self, text: str, **_: Any) -> dict[str, list[Any]]:
        """Ids, character offsets and which tokens are special ones."""
        pieces = [(FIRST, 0, 0), *self.pieces(text), (LAST, 0, 0)]
        return {
            "input_ids": [self.number[word] for word, _, _ in pieces],
            "offset_mapping": [(start, end) for _, start, end in pieces],
            "special_tokens_mask": [int(word in (FIRST, LAST)) for word, _, _ in pieces],
        }

    def pieces(self, text: str) -> list[tuple[str, int, int]]:
        """(piece, start, end), longest known piece first."""
        out: list[tuple[str, int, int]] = []
        for found in _WORD.finditer(text):
            word = _plain(found.group())
            own, at = [], 0
            while at < len(word):
                for end in range(len(word), at, -1):
                    piece = ("##" if at else "") + word[at:end]
                    if piece in self.number:
                        own.append((piece, found.start() + at, found.start() + end))
                        at = end
                        break
                else:
                    own = [(UNKNOWN, found.start(), found.end())]
                    break
            out += own
        return out


def _plain(word: str) -> str:
    """Lower case, accents off."""
    apart = unicodedata.normalize("NFD", word.lower())
    return "".join(c for c in apart if unicodedata.category(c) != "Mn")


class PackedMiniLM(TransformersText):
    """384-d token states of a file that `write_language` wrote."""

    def __init__(self, path: str | Path, max_tokens: int = 77) -> None:
        tensors = load_file(str(path))
        words = bytes(tensors.pop("words").tolist()).decode().split("\n")
        model = Bert({name: value.float() for name, value in tensors.items()}, HEADS)
        super().__init__(lambda: WordPiece(words), max_tokens, model.width)
        self.model = model.requires_grad_(False)

    @property
    def fingerprint(self) -> str:
        return "minilm:packed"

    def token_states(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T) ids and mask -> (B, T, W)."""
        return self.model(ids_BT, mask_BT)


def write_language(path: Path, encoder: TransformersText, texts: Iterable[str]) -> int:
    """Write the weights (float16) and the vocabulary that the texts need; returns its size.

    All single characters and short pieces stay, so that no text of the same language is unknown.
    """
    tokenizer = encoder.tokenizer
    every: dict[str, int] = tokenizer.get_vocab()
    used = {n for text in texts for n in tokenizer(text, verbose=False)["input_ids"]}
    kept = sorted(
        n for word, n in every.items()
        if n in used or word in (UNKNOWN, FIRST, LAST) or len(word.removeprefix("##")) <= 2
    )  # fmt: skip
    name_of = {n: word for word, n in every.items()}
    state = {n.removeprefix("model."): v for n, v in encoder.state_dict().items()}
    table = "embeddings.word_embeddings.weight"
    state[table] = state[table][torch.tensor(kept)]
    positions = "embeddings.position_embeddings.weight"
    state[positions] = state[positions][: encoder.max_tokens]
    tensors = {n: v.half().contiguous() for n, v in state.items() if v.is_floating_point()}
    words = "\n".join(name_of[n] for n in kept).encode()
    save_file({**tensors, "words": torch.tensor(list(words), dtype=torch.uint8)}, str(path))
    return len(kept)
