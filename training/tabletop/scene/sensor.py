"""What a real camera does to a clean image: exposure, white balance, blur, noise, JPEG."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np


def degrade(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A seeded camera's version of a clean (H, W, 3) uint8 image; same shape and type.

    About one image in six is only metered. The JPEG of the stored file comes on top.
    """
    image = _metered(rgb.astype(np.float32) / 255, rng)
    if rng.random() < 0.16:
        return np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    image = _tone(image, rng)
    if rng.random() < 0.4:
        image = _blur(image, rng)
    if rng.random() < 0.75:
        image = _noise(image, rng)
    out = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.45:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 92))]
        _, packed = cv2.imencode(".jpg", out[..., ::-1], quality)
        return np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1])
    return np.ascontiguousarray(out)


def steady_camera(
    rng: np.random.Generator,
) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """A camera for sequences: one exposure and tone for all frames, fresh noise in each."""
    tone_seed = int(rng.integers(2**31))
    gains: list[float] = []

    def shoot(rgb: np.ndarray, frame_rng: np.random.Generator) -> np.ndarray:
        image = rgb.astype(np.float32) / 255
        if not gains:  # metered once, on the first frame
            gains.append(float(np.clip(0.47 / max(float(image.mean()), 1e-3), 0.7, 2.6)))
        image = _tone(np.clip(image * np.float32(gains[0]), 0, 1), np.random.default_rng(tone_seed))
        return np.clip(_noise(image, frame_rng) * 255 + 0.5, 0, 255).astype(np.uint8)

    return shoot


def _metered(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Automatic exposure: brings the mean towards middle gray, within what a camera could."""
    wanted = rng.uniform(0.34, 0.56)
    gain = np.float32(np.clip(wanted / max(float(image.mean()), 1e-3), 0.7, 2.6))
    return np.clip(image * gain, 0, 1)


def _tone(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, white balance, contrast, gamma and a little vignetting."""
    gains = rng.uniform(0.85, 1.15) * rng.uniform(0.92, 1.08, 3)
    image = np.clip(image * gains.astype(np.float32), 0, 1) ** np.float32(rng.uniform(0.8, 1.2))
    image = (image - 0.5) * np.float32(rng.uniform(0.85, 1.1)) + 0.5
    if rng.random() < 0.3:
        height, width = image.shape[:2]
        yy, xx = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        image = image * (1 - np.float32(rng.uniform(0.05, 0.25)) * (xx**2 + yy**2) / 2)[..., None]
    return np.clip(image, 0, 1)


def _blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Defocus or motion."""
    if rng.random() < 0.6:
        return cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.3)))
    length = int(rng.integers(3, 8))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D(((length - 1) / 2,) * 2, float(rng.uniform(0, 180)), 1)
    turned = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(image, -1, turned / max(float(turned.sum()), 1e-6))


def _noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shot and read noise; half of it shared by the channels, as after demosaicing."""
    read, shot = rng.uniform(0.002, 0.015), rng.uniform(0.0, 0.02)
    sigma = np.sqrt(read**2 + shot**2 * image).astype(np.float32)
    own = rng.standard_normal(image.shape, dtype=np.float32)
    shared = rng.standard_normal((*image.shape[:2], 1), dtype=np.float32)
    return image + sigma * (0.7 * own + 0.7 * shared)
