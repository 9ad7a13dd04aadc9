"""DaViT-d3 and -d5, dual attention: over windows of pixels, then over groups of channels.

Weights come from a checkpoint (docs/spec.md 2.2).

Dimension letters: B batch, C channels, H/W map size, N tokens, G heads or channel groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from find_core.encoders.base import FrozenModule
from find_core.encoders.vision.layers import Mlp, add_depthwise, depthwise

WINDOW_PX = 7
HEAD_DIM = 32


class DaViT(FrozenModule):
    """res2..res5 at strides 4, 8, 16, 32, returned without a norm.

    Args:
        embed_dim: channels of res2, doubled at each stage.
        depths: pairs of a spatial and a channel block in each stage.
        down_kernel: of the stride-2 convolutions between stages, 2 (d3) or 3 (d5).
    """

    def __init__(self, embed_dim: int, depths: Sequence[int], down_kernel: int) -> None:
        super().__init__()
        dims = [embed_dim * 2**i for i in range(4)]
        self.channels = tuple(dims)
        self.convs = nn.ModuleList(
            _ConvEmbed(c_in, c_out, kernel)
            for c_in, c_out, kernel in zip(
                (3, *dims[:3]), dims, (7, *3 * [down_kernel]), strict=True
            )
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*(_pair(dim) for _ in range(depth)))
            for dim, depth in zip(dims, depths, strict=True)
        )

    @torch.no_grad()
    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """(B, 3, H, W), H and W divisible by 32 -> [res2, res3, res4, res5], each (B, C, h, w)."""
        x_BHWC, maps = image_BCHW.permute(0, 2, 3, 1), []
        for embed, blocks in zip(self.convs, self.blocks, strict=True):
            x_BHWC = blocks(embed(x_BHWC))
            maps.append(x_BHWC.permute(0, 3, 1, 2))
        return maps


class _ConvEmbed(nn.Module):
    """Strided convolution; LayerNorm after it in the stem (stride 4), before it elsewhere."""

    def __init__(self, c_in: int, c_out: int, kernel: int) -> None:
        super().__init__()
        self.is_stem = c_in == 3
        self.proj = nn.Conv2d(c_in, c_out, kernel, 4 if self.is_stem else 2, (kernel - 1) // 2)
        self.norm = nn.LayerNorm(c_out if self.is_stem else c_in)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        x = x_BHWC if self.is_stem else self.norm(x_BHWC)
        x = self.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.norm(x) if self.is_stem else x


class _Block(nn.Module):
    """Residual depthwise 3x3, attention, depthwise 3x3, MLP; attention and MLP with pre-norm."""

    def __init__(self, dim: int, attention: nn.Module) -> None:
        super().__init__()
        self.conv1 = depthwise(dim, 3)
        self.norm1, self.attention = nn.LayerNorm(dim), attention
        self.conv2 = depthwise(dim, 3)
        self.norm2, self.mlp = nn.LayerNorm(dim), Mlp(dim)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        x = add_depthwise(x_BHWC, self.conv1)
        x = x + self.attention(self.norm1(x))
        x = add_depthwise(x, self.conv2)
        return x + self.mlp(self.norm2(x))


class _Attention(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.num_heads = dim // HEAD_DIM
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def _split(self, x_BNC: Tensor) -> Tensor:
        """Queries, keys and values as (3, B, G, N, C/G)."""
        batch, tokens, _ = x_BNC.shape
        return self.qkv(x_BNC).view(batch, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)


class WindowAttention(_Attention):
    """Attention among the pixels of each 7x7 window; maps are zero-padded to whole windows.

    The padding takes part as keys (its keys and values are the biases), as in the reference.
    """

    def forward(self, x_BHWC: Tensor) -> Tensor:
        batch, height, width, dim = x_BHWC.shape
        w = WINDOW_PX
        x = F.pad(x_BHWC, (0, 0, 0, -width % w, 0, -height % w))
        rows, cols = x.shape[1] // w, x.shape[2] // w
        windows = x.view(batch, rows, w, cols, w, dim).transpose(2, 3).reshape(-1, w * w, dim)
        attended = F.scaled_dot_product_attention(*self._split(windows))
        out = self.proj(attended.transpose(1, 2).flatten(2))
        out = out.view(batch, rows, cols, w, w, dim).transpose(2, 3)
        return out.reshape(batch, rows * w, cols * w, dim)[:, :height, :width]


class ChannelAttention(_Attention):
    """Attention among the 32 channels of each group, every channel seen over the whole map."""

    def forward(self, x_BHWC: Tensor) -> Tensor:
        batch, height, width, dim = x_BHWC.shape
        q, k, v = self._split(x_BHWC.reshape(batch, height * width, dim)).transpose(-1, -2)
        # Multiplied here: as an argument, an exported graph would hold the scale of one size.
        q = q * (height * width) ** -0.5
        attended = F.scaled_dot_product_attention(q, k, v, scale=1.0)
        return self.proj(attended.permute(0, 3, 1, 2).reshape(batch, height, width, dim))


def _pair(dim: int) -> nn.Sequential:
    return nn.Sequential(_Block(dim, WindowAttention(dim)), _Block(dim, ChannelAttention(dim)))


def davit_d3(embed_dim: int = 128, depths: Sequence[int] = (1, 1, 9, 1)) -> DaViT:
    """DaViT-d3 (86.9 M parameters)."""
    return DaViT(embed_dim, depths, down_kernel=2)


def davit_d5(embed_dim: int = 256, depths: Sequence[int] = (1, 1, 9, 1)) -> DaViT:
    """DaViT-d5 (360.6 M parameters)."""
    return DaViT(embed_dim, depths, down_kernel=3)
