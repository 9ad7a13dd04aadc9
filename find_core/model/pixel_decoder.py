"""Pixel decoder (`transformer_encoder_fpn`, docs/spec.md 2.3): backbone maps -> levels and mask features.

Letters: B batch, C channels, H hidden width, P mask width, h/w map size, N = h*w.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from find_core.model.attention import Attention

PLACE_GAIN = 4.0
"""Of the encoding in `level_coordinates`. Starting at zero, places grow with the optimiser's rate:
without the gain they were 3 % of the features after 300 steps, too little to tell places apart."""


def sine_position(height: int, width: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Sine position encoding (1, dim, height, width), y half first.

    Frequency 10000^(2*floor(i/2)/(dim/2)), positions from 1, normalised to 2*pi.
    """
    y = torch.arange(1, height + 1, device=device, dtype=torch.float32) / (height + 1e-6)
    x = torch.arange(1, width + 1, device=device, dtype=torch.float32) / (width + 1e-6)
    half = dim // 2
    exponent = 2 * torch.div(torch.arange(half, device=device), 2, rounding_mode="floor") / half
    frequency = 10000.0**exponent

    def waves(positions: Tensor) -> Tensor:
        angle = positions[:, None] * (2 * math.pi) / frequency
        return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1)

    y_emb = waves(y)[:, None].expand(height, width, half)
    x_emb = waves(x)[None].expand(height, width, half)
    return torch.cat((y_emb, x_emb), dim=2).permute(2, 0, 1)[None]


@dataclass(frozen=True, eq=False)
class Places:
    """All that the decoder says about where pixels are: a matter of sizes, not of images.

    Attributes:
        positions: sine encodings (1, H, h, w) of the 1/32, 1/16 and 1/8 maps, float32.
        mask_term: (1, stride4_dim, H/4, W/4), added before the mask features; None where the model
            has no `mask_coordinates`.
        level_terms: (1, H, h, w) each, added to the three levels; empty where the model has no
            `level_coordinates`.
    """

    positions: tuple[Tensor, Tensor, Tensor]
    mask_term: Tensor | None
    level_terms: tuple[Tensor, ...]


class EncoderLayer(nn.Module):
    """Post-norm transformer layer; the position term enters queries and keys only."""

    def __init__(self, dim: int, num_heads: int, ffn_dim: int) -> None:
        super().__init__()
        self.self_attn = Attention(dim, num_heads)
        self.linear1 = nn.Linear(dim, ffn_dim)
        self.linear2 = nn.Linear(ffn_dim, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, x_BNH: Tensor, position_BNH: Tensor) -> Tensor:
        q = x_BNH + position_BNH
        x = self.norm1(x_BNH + self.self_attn(q, self.self_attn.keys_values(q, x_BNH)))
        return self.norm2(x + self.linear2(F.relu(self.linear1(x))))


class ConvNorm(nn.Module):
    """Convolution without bias, GroupNorm, optional ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, groups: int, relu: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(math.gcd(groups, outputs), outputs)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return F.relu(x) if self.relu else x


class PixelDecoder(nn.Module):
    """Transformer over the 1/32 map, then a top-down pyramid.

    Args:
        channels: of res2..res5. stride4_dim: width of the last (1/4) map; where it differs from
            `hidden_dim`, a 1x1 `bridge` carries the 1/8 map over. coordinates, level_coordinates:
            see `FindConfig.mask_coordinates` and `FindConfig.level_coordinates`; the latter start
            at zero, so that a model trained without them goes on as it was.
    """

    def __init__(
        self,
        channels: Sequence[int],
        hidden_dim: int,
        mask_dim: int,
        stride4_dim: int,
        num_heads: int,
        ffn_dim: int,
        num_layers: int,
        norm_groups: int = 32,
        coordinates: bool = False,
        level_coordinates: bool = False,
    ) -> None:
        super().__init__()
        self.hidden_dim = hidden_dim
        self.input_proj = nn.Conv2d(channels[3], hidden_dim, 1)
        self.encoder = nn.ModuleList(
            EncoderLayer(hidden_dim, num_heads, ffn_dim) for _ in range(num_layers)
        )
        dims = {4: hidden_dim, 3: hidden_dim, 2: hidden_dim, 1: stride4_dim}
        # Numbered as in the published files: 1 is res2 (1/4) ... 4 is res5 (1/32).
        self.adapters = nn.ModuleDict(
            {str(i): ConvNorm(channels[i - 1], dims[i], 1, norm_groups) for i in (3, 2, 1)}
        )
        self.layers = nn.ModuleDict(
            {str(i): ConvNorm(dims[i], dims[i], 3, norm_groups, relu=True) for i in (4, 3, 2, 1)}
        )
        same = stride4_dim == hidden_dim
        self.bridge = nn.Identity() if same else nn.Conv2d(hidden_dim, stride4_dim, 1, bias=False)
        self.mask_features = nn.Conv2d(stride4_dim, mask_dim, 3, padding=1)
        self.coordinates = (
            nn.Conv2d(stride4_dim, stride4_dim, 1, bias=False) if coordinates else None
        )
        self.level_coordinates = nn.ModuleList(
            nn.Conv2d(hidden_dim, hidden_dim, 1, bias=False) for _ in range(3 * level_coordinates)
        )
        for conv in self.level_coordinates:
            nn.init.zeros_(cast(nn.Conv2d, conv).weight)

    def places(self, sizes: Sequence[Sequence[int]], device: torch.device | None = None) -> Places:
        """What the decoder adds to maps of these (h, w) sizes: 1/4, 1/8, 1/16, 1/32."""
        quarter, levels = sizes[0], [sizes[3], sizes[2], sizes[1]]
        a, b, c = (sine_position(h, w, self.hidden_dim, device) for h, w in levels)
        mask_term = None
        if self.coordinates is not None:
            width = self.coordinates.in_channels
            mask_term = self.coordinates(sine_position(quarter[0], quarter[1], width, device))
        terms = (
            conv(PLACE_GAIN * position)
            for conv, position in zip(self.level_coordinates, (a, b, c), strict=False)
        )
        return Places((a, b, c), mask_term, tuple(terms))

    def encode(self, res5_BChw: Tensor, position_1Hhw: Tensor | None = None) -> Tensor:
        """The transformer over the coarsest map: (B, C, h, w) -> (B, H, h, w)."""
        x = self.input_proj(res5_BChw)
        height, width = x.shape[-2:]
        if position_1Hhw is None:
            position_1Hhw = sine_position(height, width, self.hidden_dim, x.device)
        position = position_1Hhw.to(x.dtype).flatten(2).transpose(1, 2)
        tokens = x.flatten(2).transpose(1, 2)
        for layer in self.encoder:
            tokens = layer(tokens, position)
        return tokens.transpose(1, 2).unflatten(2, (height, width))

    def forward(
        self, features: Sequence[Tensor], places: Places | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """[res2, res3, res4, res5] -> mask features (B, P, H/4, W/4), [1/32, 1/16, 1/8] (B, H, ...).

        Args:
            places: of these sizes, where they were made before (`places`).
        """
        if places is None:
            places = self.places([f.shape[-2:] for f in features], features[0].device)
        x = self.layers["4"](self.encode(features[3], places.positions[0]))
        levels = [x]
        for i in (3, 2, 1):
            lateral = self.adapters[str(i)](features[i - 1])
            top = self.bridge(x) if i == 1 else x
            x = lateral + F.interpolate(top, lateral.shape[-2:], mode="nearest")
            if i == 1 and places.mask_term is not None:
                x = x + places.mask_term
            x = self.layers[str(i)](x)
            levels.append(x)
        levels = levels[:3]
        for n, term in enumerate(places.level_terms):
            levels[n] = levels[n] + term
        return self.mask_features(x), levels
