"""Layers that FocalNet and DaViT share.

Dimension letters: B batch, C channels, H/W map size.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Mlp(nn.Module):
    """Linear, exact (erf) GELU, linear; four times as wide inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


def depthwise(dim: int, kernel: int, bias: bool = True) -> nn.Conv2d:
    """A convolution of each channel by itself that keeps the map's size."""
    return nn.Conv2d(dim, dim, kernel, padding=kernel // 2, groups=dim, bias=bias)


def add_depthwise(x_BHWC: Tensor, conv: nn.Conv2d | None) -> Tensor:
    """x + conv(x) of a channels-last map; x itself without a convolution."""
    if conv is None:
        return x_BHWC
    return x_BHWC + conv(x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
