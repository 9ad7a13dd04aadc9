"""From a user's image to the network's input, and back from its masks to the user's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from find_core.encoders.base import VisionConfig
from find_core.model.image_state import resize

UPSAMPLED_PX = 2**26  # pixels of all masks that are at full size at a time: 256 MiB of float32


@dataclass(frozen=True)
class Geometry:
    """Sizes (height, width) in pixels of an image on its way through the network.

    Attributes:
        original: as handed in.
        resized: after scaling.
        padded: of the network input.
    """

    original: tuple[int, int]
    resized: tuple[int, int]
    padded: tuple[int, int]

    @property
    def cropped_quarter(self) -> tuple[int, int]:
        """Size of the 1/4-scale maps without the padding."""
        return -(-self.resized[0] // 4), -(-self.resized[1] // 4)


def plan(height: int, width: int, config: VisionConfig) -> Geometry:
    """Scale to the config's short side (bounded by its long side), pad to its divisibility."""
    scale = config.short_side_px / min(height, width)
    scale = min(scale, config.max_side_px / max(height, width))
    resized = max(round(height * scale), 1), max(round(width * scale), 1)
    d = config.size_divisibility
    padded = -(-resized[0] // d) * d, -(-resized[1] // d) * d
    return Geometry((height, width), resized, padded)


def prepare(image: np.ndarray, geometry: Geometry, config: VisionConfig) -> Tensor:
    """(H, W, 3) uint8 RGB -> (3, H', W') float32, normalised, then zero-padded bottom and right."""
    height, width = geometry.resized
    if image.shape[:2] != (height, width):
        smaller = height < image.shape[0]
        mode = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        image = cv2.resize(image, (width, height), interpolation=mode)
    padded = np.zeros((3, *geometry.padded), np.float32)
    padded[:, :height, :width] = _looked_up(image, config).transpose(2, 0, 1)
    return torch.from_numpy(padded)


def normalise(images: Sequence[np.ndarray], config: VisionConfig) -> Tensor:
    """(H, W, 3) uint8 RGB images of one size -> (B, 3, H, W) float32 as the encoder wants them."""
    return torch.from_numpy(np.stack([_looked_up(i, config).transpose(2, 0, 1) for i in images]))


def _looked_up(image: np.ndarray, config: VisionConfig) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W, 3) float32: a pixel has 256 values, so the arithmetic is a table."""
    values = np.arange(256, dtype=np.float32)[:, None]
    table = (values - np.array(config.mean, np.float32)) / np.array(config.std, np.float32)
    return cv2.LUT(np.ascontiguousarray(image), table.reshape(1, 256, 3))


def mask_to_input(mask: np.ndarray, geometry: Geometry) -> Tensor:
    """(H, W) bool of the original image -> (H', W') bool of the network input; never empty."""
    height, width = geometry.resized
    small = mask
    if mask.shape != (height, width):
        small = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        if not small.any():  # a small mask fell between the samples: keep its middle pixel
            rows, cols = np.nonzero(mask)
            middle = len(rows) // 2
            small[rows[middle] * height // len(mask), cols[middle] * width // mask.shape[1]] = 1
    padded = torch.zeros(geometry.padded, dtype=torch.bool)
    padded[:height, :width] = torch.from_numpy(small.astype(bool))
    return padded


def logits_to_original(logits_Nhw: Tensor, geometry: Geometry) -> Tensor:
    """(N, h, w) mask logits at 1/4 of the padded input -> (N, H, W) of the original image.

    Bilinear to the padded size, cropped, bilinear to the original size (docs/spec.md 2.9).
    """
    if not len(logits_Nhw):
        return logits_Nhw.new_zeros(0, *geometry.original)
    full = resize(logits_Nhw.unsqueeze(0).float(), geometry.padded)
    cropped = full[..., : geometry.resized[0], : geometry.resized[1]]
    if geometry.resized == geometry.original:
        return cropped[0]
    return resize(cropped, geometry.original)[0]


def masks_at_original(logits_Nhw: Tensor, geometry: Geometry) -> np.ndarray:
    """(N, h, w) mask logits at 1/4 of the padded input -> (N, H, W) bool of the original image.

    Some at a time: the logits of all of them at full size are gigabytes for a 4K image.
    """
    height, width = geometry.original
    masks = np.empty((len(logits_Nhw), height, width), bool)
    together = max(1, UPSAMPLED_PX // (height * width))
    for start in range(0, len(masks), together):
        part = slice(start, start + together)
        masks[part] = (logits_to_original(logits_Nhw[part], geometry) > 0).cpu().numpy()
    return masks
