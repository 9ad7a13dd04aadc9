"""Rays to render."""

from __future__ import annotations

import torch
from nerfstudio.cameras.rays import RayBundle


def rays(count=6):
    directions = torch.nn.functional.normalize(torch.randn(count, 3), dim=-1)
    return RayBundle(
        origins=torch.zeros(count, 3), directions=directions, pixel_area=torch.full((count, 1), 1e-4),
        camera_indices=torch.zeros(count, 1, dtype=torch.long),
        metadata={"directions_norm": torch.ones(count, 1)},
        nears=torch.full((count, 1), 0.05),
        fars=torch.full((count, 1), 10.0),
    )  # fmt: skip
