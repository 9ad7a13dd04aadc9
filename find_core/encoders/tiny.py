"""Random but repeatable encoders of milliseconds, for tests and dry runs: nothing to download."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from find_core.encoders.base import (
    FrozenModule,
    TextTokens,
    device_of,
)
from find_core.errors import PromptError

_STRIDES = (4, 2, 2, 2)
_WORD = re.compile(r"\w+|[^\w\s]")


class TinyConv(FrozenModule):
    """A random convolution pyramid: res2..res5 at strides 4, 8, 16, 32.

    Args:
        channels: of res2..res5.
        seed: of the weights; equal seeds give equal weights, whatever torch's global seed is.
    """

    def __init__(self, channels: Sequence[int] = (8, 12, 16, 24), seed: int = 0) -> None:
        super().__init__()
        self.channels = tuple(channels)
        generator = torch.Generator().manual_seed(seed)
        self.convs = nn.ModuleList(
            _random_conv(c_in, c_out, stride, generator)
            for c_in, c_out, stride in zip((3, *channels), channels, _STRIDES, strict=False)
        )

    @torch.no_grad()
    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> four maps (B, C, H/4, W/4) ... (B, C, H/32, W/32)."""
        x, maps = image_BCHW, []
        for conv in self.convs:
            x = F.gelu(conv(x))
            maps.append(x)
        return maps


def _random_conv(c_in: int, c_out: int, stride: int, generator: torch.Generator) -> nn.Conv2d:
    kernel = 7 if stride == 4 else 3
    # skip_init: nn.Conv2d's own initialisation would draw from the user's random stream.
    conv = nn.utils.skip_init(nn.Conv2d, c_in, c_out, kernel, stride, kernel // 2)
    std = math.sqrt(2.0 / (c_in * kernel * kernel))
    with torch.no_grad():
        conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator) * std)
        conv.bias.zero_()
    return conv


class TinyText(FrozenModule):
    """Words as random vectors: the same word has the same state everywhere, plus a little position.

    Tokens are runs of letters and digits, and single punctuation marks, read in lower case; a
    begin-of-text token stands first.

    Args:
        max_tokens: longest text, begin-of-text included.
        width: of the states.
    """

    _position: Tensor

    def __init__(self, max_tokens: int = 77, width: int = 16) -> None:
        super().__init__()
        self.max_tokens, self.width = max_tokens, width
        self.register_buffer("_position", _position_term(max_tokens, width), persistent=False)

    @property
    def fingerprint(self) -> str:
        return f"tiny_text:v1:width={self.width}"

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> list[TextTokens]:
        """(T, width) states per text; see `LanguageEncoder`."""
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> TextTokens:
        words = list(_WORD.finditer(text))
        if len(words) + 1 > self.max_tokens:
            raise PromptError(
                f"The text has {len(words) + 1} tokens, the encoder reads at most "
                f"{self.max_tokens}: shorten {text[:40]!r}..."
            )
        rows = ["<s>", *(word.group().lower() for word in words)]
        states = torch.from_numpy(np.stack([_word_vector(row, self.width) for row in rows]))
        states = states.to(device_of(self)) + self._position[: len(rows)]
        offsets = np.array([(0, 0), *(word.span() for word in words)], dtype=np.int64)
        return TextTokens(states, offsets)


@lru_cache(maxsize=4096)
def _word_vector(word: str, width: int) -> np.ndarray:
    """(width,) float32 of unit variance, from a stable hash (Python's own differs every run)."""
    digest = hashlib.shake_256(word.encode("utf-8", "surrogatepass")).digest(4 * width)
    uniform = np.frombuffer(digest, dtype="<u4").astype(np.float64) / 2**32
    return ((uniform * 2 - 1) * math.sqrt(3)).astype(np.float32)


def _position_term(length: int, width: int) -> Tensor:
    steps = torch.arange(length)[:, None] / 10.0 ** (torch.arange(width) / width)
    return 0.05 * torch.sin(steps)
