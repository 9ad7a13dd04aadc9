"""FocalNet-T and FocalNet-L as X-Decoder built them, the backbones of the released checkpoints.

The two variants load each other's shared weights without a complaint and then compute something
else; what differs between them stands in `Variant` (docs/spec.md 2.2). Weights come from a checkpoint.

Dimension letters: B batch, C channels, H/W map size, F focal levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from find_core.encoders.base import FrozenModule
from find_core.encoders.vision.layers import Mlp, add_depthwise, depthwise


@dataclass(frozen=True)
class Variant:
    """What tells the two published FocalNets apart, besides their sizes."""

    stem_padding: int
    depthwise: bool
    """Residual 3x3 depthwise convolutions before the modulation and before the MLP."""
    norm_after_sum: bool
    """x = LN(x + branch) if True, x = x + LN(branch) if False (LayerScale within the branch)."""


FOCAL_DW = Variant(stem_padding=3, depthwise=True, norm_after_sum=True)
FOCAL = Variant(stem_padding=2, depthwise=False, norm_after_sum=False)


class FocalNet(FrozenModule):
    """Focal modulation network: res2..res5 at strides 4, 8, 16, 32, each with its own LayerNorm.

    Args:
        variant: `FOCAL_DW` or `FOCAL`.
        embed_dim: channels of res2, doubled at each stage.
        depths: blocks of each stage.
        focal_levels: F, of every stage.
    """

    def __init__(
        self, variant: Variant, embed_dim: int, depths: Sequence[int], focal_levels: int
    ) -> None:
        super().__init__()
        dims = [embed_dim * 2**i for i in range(4)]
        self.channels = tuple(dims)
        self.patch_embed = _Embed(3, dims[0], kernel=7, stride=4, padding=variant.stem_padding)
        self.layers = nn.ModuleList(
            _Stage(variant, dim, depth, focal_levels, is_last=dim == dims[-1])
            for dim, depth in zip(dims, depths, strict=True)
        )
        for i, dim in enumerate(dims):
            self.add_module(f"norm{i}", nn.LayerNorm(dim))

    @torch.no_grad()
    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """(B, 3, H, W), H and W divisible by 32 -> [res2, res3, res4, res5], each (B, C, h, w)."""
        next_BHWC, maps = self.patch_embed(image_BCHW), []
        for i, stage in enumerate(self.layers):
            x_BHWC, next_BHWC = stage(next_BHWC)
            # Only the returned map is normed; the next stage reads the raw one.
            maps.append(getattr(self, f"norm{i}")(x_BHWC).permute(0, 3, 1, 2))
        return maps


class _Embed(nn.Module):
    """Strided convolution and LayerNorm: (B, C, H, W) -> (B, h, w, C')."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(c_in, c_out, kernel, stride, padding)
        self.norm = nn.LayerNorm(c_out)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.norm(self.proj(x_BCHW).permute(0, 2, 3, 1))


class _Stage(nn.Module):
    def __init__(
        self, variant: Variant, dim: int, depth: int, focal_levels: int, is_last: bool
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(_Block(variant, dim, focal_levels) for _ in range(depth)))
        self.downsample = None if is_last else _Embed(dim, 2 * dim, kernel=3, stride=2, padding=1)

    def forward(self, x_BHWC: Tensor) -> tuple[Tensor, Tensor]:
        """The stage's map, and what the next stage reads (of half the size)."""
        x = self.blocks(x_BHWC)
        return x, x if self.downsample is None else self.downsample(x.permute(0, 3, 1, 2))


class _Block(nn.Module):
    """Focal modulation and MLP, both residual, with LayerScale and post-norm."""

    def __init__(self, variant: Variant, dim: int, focal_levels: int) -> None:
        super().__init__()
        self.norm_after_sum = variant.norm_after_sum
        self.dw1 = depthwise(dim, 3) if variant.depthwise else None
        self.dw2 = depthwise(dim, 3) if variant.depthwise else None
        self.modulation = FocalModulation(dim, focal_levels)
        self.mlp = Mlp(dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.gamma_1 = nn.Parameter(torch.full((dim,), 1e-4))
        self.gamma_2 = nn.Parameter(torch.full((dim,), 1e-4))

    def forward(self, x_BHWC: Tensor) -> Tensor:
        x = add_depthwise(x_BHWC, self.dw1)
        x = self._add(x, self.modulation(x), self.gamma_1, self.norm1)
        x = add_depthwise(x, self.dw2)
        return self._add(x, self.mlp(x), self.gamma_2, self.norm2)

    def _add(self, x: Tensor, branch: Tensor, gamma: Tensor, norm: nn.LayerNorm) -> Tensor:
        if self.norm_after_sum:
            return norm(x + gamma * branch)
        return x + gamma * norm(branch)


class FocalModulation(nn.Module):
    """proj(q * h(context)): the context is a gated sum over ever wider neighbourhoods.

    One linear map gives the query, the first context and F + 1 gates. Level k widens the context
    by a depthwise convolution of 3 + 2k pixels; the last gate takes the mean of the whole map.
    """

    def __init__(self, dim: int, focal_levels: int) -> None:
        super().__init__()
        self.split = (dim, dim, focal_levels + 1)
        self.f = nn.Linear(dim, sum(self.split))
        self.focal_layers = nn.ModuleList(
            nn.Sequential(depthwise(dim, 3 + 2 * k, bias=False), nn.GELU())
            for k in range(focal_levels)
        )
        self.h = nn.Conv2d(dim, dim, kernel_size=1)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        query, context, gates = self.f(x_BHWC).permute(0, 3, 1, 2).split(self.split, dim=1)
        total = torch.zeros_like(context)
        for k, layer in enumerate(self.focal_layers):
            context = layer(context)
            total = total + context * gates[:, k : k + 1]
        whole = F.gelu(context.mean(dim=(2, 3), keepdim=True))
        total = (total + whole * gates[:, -1:]) / self.split[2]
        return self.proj((query * self.h(total)).permute(0, 2, 3, 1))


def focal_dw(
    embed_dim: int = 96, depths: Sequence[int] = (2, 2, 6, 2), focal_levels: int = 3
) -> FocalNet:
    """FocalNet-T of the released Focal-T checkpoint (29.9 M parameters)."""
    return FocalNet(FOCAL_DW, embed_dim, depths, focal_levels)


def focal(
    embed_dim: int = 192, depths: Sequence[int] = (2, 2, 18, 2), focal_levels: int = 4
) -> FocalNet:
    """FocalNet-L of the released Focal-L checkpoint (205.7 M parameters)."""
    return FocalNet(FOCAL, embed_dim, depths, focal_levels)
