"""One seeded view of a labelled image: crop, mirror, light, noise, blur.

Views have one fixed size, so that their frozen features fit one table.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class ViewConfig:
    """How images become views; sizes in pixels."""

    height: int = 288
    width: int = 384
    min_crop: float = 0.6
    """Smallest side of a random crop, as a share of the largest that fits."""
    mirror: float = 0.5
    photometric: float = 0.9


@dataclass(frozen=True)
class View:
    """(H, W, 3) uint8 RGB, (H, W) uint8 instance numbers, and whether it is mirrored or cropped."""

    image: np.ndarray
    numbers: np.ndarray
    mirrored: bool = False
    cropped: bool = False


def make_view(
    image: np.ndarray, numbers: np.ndarray, config: ViewConfig, rng: np.random.Generator | None
) -> View:
    """A random view, or without `rng` the plain one: the largest centred crop of the view's shape."""
    x, y, width, height = _window(image.shape[0], image.shape[1], config, rng)
    crop = slice(y, y + height), slice(x, x + width)
    size = (config.width, config.height)
    shrink = cv2.INTER_AREA if width >= config.width else cv2.INTER_LINEAR
    resized = cv2.resize(image[crop], size, interpolation=shrink)
    labels = cv2.resize(numbers[crop], size, interpolation=cv2.INTER_NEAREST_EXACT)
    mirrored = rng is not None and rng.random() < config.mirror
    if mirrored:
        resized, labels = resized[:, ::-1], labels[:, ::-1]
    if rng is not None and rng.random() < config.photometric:
        resized = photometric(resized, rng)
    cropped = height < 0.97 * image.shape[0] or width < 0.97 * image.shape[1]
    return View(np.ascontiguousarray(resized), np.ascontiguousarray(labels), mirrored, cropped)


def photometric(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random light, colour cast, blur, sensor noise and JPEG artefacts; (H, W, 3) uint8 RGB."""
    x = image.astype(np.float32) / 255.0
    x = x ** rng.uniform(0.7, 1.4)
    gray = x.mean(axis=2, keepdims=True)
    x = gray + (x - gray) * rng.uniform(0.6, 1.4)
    x = (x - x.mean()) * rng.uniform(0.7, 1.3) + x.mean() + rng.uniform(-0.12, 0.12)
    x = x * rng.uniform(0.9, 1.1, size=3).astype(np.float32)
    if rng.random() < 0.4:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.3, 1.5))
    if rng.random() < 0.5:
        sigma = np.float32(rng.uniform(0.005, 0.05))
        x = x + sigma * rng.standard_normal(x.shape, dtype=np.float32)
    out = (np.clip(x, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))]
        out = cv2.imdecode(cv2.imencode(".jpg", out, quality)[1], cv2.IMREAD_COLOR)
    return out


def _window(
    height: int, width: int, config: ViewConfig, rng: np.random.Generator | None
) -> tuple[int, int, int, int]:
    """(x, y, w, h) of the crop, in the view's aspect ratio."""
    scale = min(width / config.width, height / config.height)
    if rng is not None:
        scale *= rng.uniform(config.min_crop, 1.0)
    w, h = min(width, round(config.width * scale)), min(height, round(config.height * scale))
    if rng is None:
        return (width - w) // 2, (height - h) // 2, w, h
    return int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1)), w, h
