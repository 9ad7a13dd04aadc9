"""Prediction heads (docs/spec.md 2.8): from decoder-normed tokens d to semantic and pixel embeddings."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from find_core.model.attention_table import OUTPUTS, PROPOSALS, TokenGroup

EPS = 1e-7


@dataclass(eq=False)
class Outputs:
    """One prediction (initial or after a layer).

    Attributes:
        embeddings: per output group its tokens after `decoder_norm`, (B, N, H); the image query is
            already pooled over the objects.
        pixel: per proposal group its pixel embeddings, (B, N, P).
    """

    embeddings: dict[TokenGroup, Tensor]
    pixel: dict[TokenGroup, Tensor] = field(default_factory=dict)

    def float(self) -> Outputs:
        """In float32: what leaves mixed precision is compared with what never was in it."""
        return Outputs(
            {g: x.float() for g, x in self.embeddings.items()},
            {g: x.float() for g, x in self.pixel.items()},
        )


class Heads(nn.Module):
    """Semantic projection, pixel projection, temperature."""

    def __init__(self, dim: int, mask_dim: int) -> None:
        super().__init__()
        self.decoder_norm = nn.LayerNorm(dim)
        self.class_embed = nn.Linear(dim, dim, bias=False)
        self.mask_embed = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, mask_dim)
        )
        self.logit_scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, tokens: dict[TokenGroup, Tensor]) -> Outputs:
        embeddings = {g: self.decoder_norm(x) for g, x in tokens.items() if g in OUTPUTS}
        if TokenGroup.IMAGE in embeddings and TokenGroup.OBJECT in embeddings:
            embeddings[TokenGroup.IMAGE] = pool_image(
                embeddings[TokenGroup.IMAGE], embeddings[TokenGroup.OBJECT]
            )
        pixel = {g: self.mask_embed(d) for g, d in embeddings.items() if g in PROPOSALS}
        return Outputs(embeddings, pixel)

    def semantic(self, d: Tensor) -> Tensor:
        """(..., H) -> (..., H), not normalised."""
        return self.class_embed(d)

    def pixel(self, d: Tensor) -> Tensor:
        """(..., H) -> (..., P), comparable with mask features by dot product."""
        return self.mask_embed(d)

    def class_logits(self, d: Tensor, bank_CH: Tensor) -> Tensor:
        """(B, N, H) x class bank (C, H) -> (B, N, C), by exp(logit_scale) unclamped."""
        return self.logit_scale.exp() * unit(self.semantic(d)) @ unit(bank_CH).T


def unit(x: Tensor) -> Tensor:
    """Rows divided by their length."""
    return x / (x.norm(dim=-1, keepdim=True) + EPS)


def pool_image(image_B1H: Tensor, objects_BNH: Tensor) -> Tensor:
    """The image row becomes a mean of object rows, weighted by their (detached) cosine to it."""
    with torch.no_grad():
        cosine = F.cosine_similarity(image_B1H, objects_BNH, dim=-1)
        weights = cosine.softmax(-1).unsqueeze(1)
    return weights @ objects_BNH
