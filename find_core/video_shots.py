"""Shot changes: two frames whose thumbnails have little in common."""

from __future__ import annotations

import cv2
import numpy as np


def thumbnail(image_rgb: np.ndarray) -> np.ndarray:
    """(18, 32, 3) float32 in [0, 1], contrast kept: enough to notice a new shot."""
    # Every few pixels first: averaging a whole 4K frame would cost more than all the tracking.
    step = max(1, min(image_rgb.shape[0] // 72, image_rgb.shape[1] // 128))
    small = cv2.resize(image_rgb[::step, ::step], (32, 18), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """How unlike two thumbnails are, 0 to 1, blind to brightness: 1 minus their correlation, halved
    where they are opposite; two flat frames differ by their colour alone."""
    a_c, b_c = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a_c**2).sum() * (b_c**2).sum()))
    if scale < 1e-3:
        return float(abs(a.mean() - b.mean()))
    return float(np.clip(1 - (a_c * b_c).sum() / scale, 0, 1))
