"""Views of records by number, and as the frozen encoder wants them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch

from find_core.encoders.base import VisionConfig
from training.data.augment import View, ViewConfig, make_view
from training.data.formats.records import Record

PLAIN = 0
"""Variant 0 is the plain view; higher numbers are random ones."""


def view_of(record: Record, variant: int, config: ViewConfig) -> View:
    """The variant's view; its randomness depends on the record and the variant alone."""
    image, numbers = record.read()
    seed = (zlib.crc32(record.key.encode()), variant)
    rng = None if variant == PLAIN else np.random.default_rng(seed)
    return make_view(image, numbers, config, rng)


def normalise(images: Sequence[np.ndarray], vision: VisionConfig) -> torch.Tensor:
    """(H, W, 3) uint8 images of one size -> (B, 3, H, W) float32 as the encoder wants them."""
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (vision.mean, vision.std))
    return (x - mean) / std
