"""A pack's frozen vision encoder: batches of pixels become batches of features where they are trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from find_core.encoders import VisionConfig
from training.data.sample import Batch
from training.pack.rows import pixels_to_float


class Encoder:
    """The pack's frozen vision encoder on a device: batches of pixels become batches of features."""

    def __init__(self, path: Path, vision: VisionConfig, device: torch.device) -> None:
        self.device, self.mean, self.std = device, vision.mean, vision.std
        self.network = torch.jit.load(str(path), map_location=device).float().eval()

    @torch.no_grad()
    def features(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Four (N, C, h, w) float32 maps of (N, 3, H, W) pixels."""
        pixels = [m.to(self.device, non_blocking=True) for m in maps]
        return [f.float() for f in self.network(pixels_to_float(pixels, self.mean, self.std))]

    def batch(self, batch: Batch, photo_dropout: float = 0.0, seed: int = 0) -> Batch:
        """The same batch with features in place of pixels."""
        features = self.features(batch.features)
        if photo_dropout:
            generator = torch.Generator().manual_seed(seed)
            shares = torch.rand(len(batch), generator=generator) * photo_dropout
            shares *= torch.tensor([i.record.is_photograph for i in batch.images])
            features = [blanked(f, shares, generator) for f in features]
        shown = self.features(batch.reference_features) if batch.reference_features else []
        return dataclasses.replace(batch, features=features, reference_features=shown)


def blanked(maps_BCHW: Tensor, share_B: Tensor, generator: torch.Generator) -> Tensor:
    """Some channels at zero, the others scaled to make up for it."""
    drawn = torch.rand(maps_BCHW.shape[:2], generator=generator)
    kept = (drawn >= share_B[:, None]) / (1.0 - share_B[:, None])
    return maps_BCHW * kept.to(maps_BCHW.device)[..., None, None]
