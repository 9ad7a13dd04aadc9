"""Where mask losses look: dense grids or PointRend's uncertain points (docs/spec.md 3.1).

Dimension letters: N masks, P points, C channels, H/W pixels. Point coordinates are (x, y) in
[0, 1] of the map's full extent (0 = left/top edge of the first pixel).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sample_points(maps_NCHW: Tensor, points_NP2: Tensor) -> Tensor:
    """Bilinear values (N, C, P) of maps at points in [0, 1]; zero outside."""
    grid = 2.0 * points_NP2[:, :, None] - 1.0
    return F.grid_sample(maps_NCHW, grid.to(maps_NCHW), align_corners=False)[..., 0]


def uncertain_points(
    logits_NHW: Tensor,
    num_points: int,
    oversample: float = 3.0,
    importance: float = 0.75,
    generator: torch.Generator | None = None,
) -> Tensor:
    """(N, num_points, 2) points: mostly where the logits are nearest to zero, the rest uniform.

    Draws `oversample * num_points` uniform points per mask, keeps the `importance` share that is
    most uncertain and fills up with fresh uniform ones. No gradient.
    """
    count, device = len(logits_NHW), logits_NHW.device
    candidates = int(num_points * oversample)
    chosen = int(num_points * importance)
    draw = torch.rand(count, candidates, 2, generator=generator).to(device)
    values = sample_points(logits_NHW.detach()[:, None], draw)[:, 0]
    top = (-values.abs()).topk(chosen, dim=1).indices
    kept = torch.gather(draw, 1, top[..., None].expand(-1, -1, 2))
    rest = torch.rand(count, num_points - chosen, 2, generator=generator).to(device)
    return torch.cat([kept, rest], dim=1)


def shared_points(
    batch: int, num_points: int, device: torch.device, generator: torch.Generator | None = None
) -> Tensor:
    """(B, num_points, 2) uniform points, one set per image, shared by all its masks."""
    return torch.rand(batch, num_points, 2, generator=generator).to(device)
