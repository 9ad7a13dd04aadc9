"""The feature head: coefficients of the embeddings at points in space.

Dimension letters: N points, C channels of a plane, r side of a plane, k coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

# Which two of x, y, z each plane spans.
_PLANES = ((0, 1), (0, 2), (1, 2))


class FeatureHead(nn.Module):
    """Tri-planes at several resolutions, multiplied over planes, read by a small network.

    `grid_sample` on dense planes is a few times quicker than a hash grid in plain torch, and runs
    the same on CPUs and GPUs.

    Args:
        resolutions: sides r of the planes. channels: C of each. hidden: width of the network.
        out_dim: k.
    """

    def __init__(self, resolutions: Sequence[int] = (64, 256), channels: int = 16,
                 hidden: int = 64, out_dim: int = 48) -> None:  # fmt: skip
        super().__init__()
        self.planes = nn.ParameterList(
            # A product of planes starts near a constant: each plane is noise around one.
            nn.Parameter(1 + 0.3 * torch.randn(len(_PLANES), channels, side, side))
            for side in resolutions
        )
        self.network = nn.Sequential(
            nn.Linear(channels * len(resolutions), hidden), nn.ReLU(),
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, out_dim),
        )  # fmt: skip

    def forward(self, positions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch k"]:  # noqa: F722
        """Coefficients at positions in [-1, 1]^3."""
        flat = positions.reshape(-1, 3)
        pairs = torch.stack([flat[:, axes] for axes in _PLANES])  # (3, N, 2)
        features = []
        for planes in self.planes:
            read = F.grid_sample(planes, pairs[:, :, None], mode="bilinear",
                                 padding_mode="border", align_corners=True)  # fmt: skip
            features.append(read[..., 0].prod(dim=0).T)  # (N, C)
        return self.network(torch.cat(features, dim=1)).reshape(*positions.shape[:-1], -1)
