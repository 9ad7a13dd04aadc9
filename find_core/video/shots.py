"""Between two frames: how did the whole image shift, or is this a new shot altogether?

Seen on thumbnails by phase correlation: a panning camera shifts everything, so tracks shift along;
where neither the old place nor the shifted one looks like the last frame, a new shot begins.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

THUMBNAIL_WIDTH_PX = 96
CHANGED = 0.08  # of full brightness: more than noise and compression


@dataclass(frozen=True)
class Motion:
    """From one frame to the next.

    Attributes:
        shift_px: (dx, dy), how far the image moved, in pixels of the thumbnail.
        similarity: of the two where they overlap after the shift, -1 to 1.
    """

    shift_px: tuple[float, float]
    similarity: float


def thumbnail(image_rgb: np.ndarray) -> np.ndarray:
    """(h, 96) float32 brightness in [0, 1] of a (H, W, 3) uint8 image, aspect kept."""
    # Every few pixels first: averaging a whole 4K frame would cost more than all the tracking.
    step = max(1, image_rgb.shape[1] // (2 * THUMBNAIL_WIDTH_PX))
    coarse = np.ascontiguousarray(image_rgb[::step, ::step])
    height_px = max(2, round(THUMBNAIL_WIDTH_PX * image_rgb.shape[0] / image_rgb.shape[1]))
    gray = cv2.cvtColor(coarse, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (THUMBNAIL_WIDTH_PX, height_px), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def motion_between(before: np.ndarray, after: np.ndarray) -> Motion:
    """How `after` came from `before`, two thumbnails; another size is another shot."""
    if before.shape != after.shape:
        return Motion((0.0, 0.0), -1.0)
    still = similarity(before, after)
    if still > 0.98:
        return Motion((0.0, 0.0), still)
    window = _hanning(before.shape)
    # Not as phaseCorrelate(..., window): that writes the windowed images over its arguments.
    (dx, dy), _ = cv2.phaseCorrelate(before * window, after * window)
    shifted = similarity(*_overlap(before, after, round(dx), round(dy)))
    # A shift has to explain the image clearly better than standing still does.
    if shifted > still + 0.25 * (1 - still):
        return Motion((dx, dy), shifted)
    return Motion((0.0, 0.0), still)


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """How alike two images of one size are, -1 to 1.

    Their correlation (a dimmed light changes nothing), or by how few pixels changed (an object that
    moves before a plain wall changes the correlation, but is no new shot): the better of the two.
    """
    unchanged = 1 - 2 * float(np.mean(np.abs(a - b) > CHANGED))
    a_c, b_c = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a_c**2).sum() * (b_c**2).sum()))
    return max(unchanged, float((a_c * b_c).sum() / scale)) if scale > 1e-6 else unchanged


_WINDOWS: dict[tuple[int, ...], np.ndarray] = {}


def _hanning(shape: tuple[int, ...]) -> np.ndarray:
    if shape not in _WINDOWS:
        _WINDOWS[shape] = cv2.createHanningWindow((shape[1], shape[0]), cv2.CV_32F)
    return _WINDOWS[shape]


def _overlap(a: np.ndarray, b: np.ndarray, dx: int, dy: int) -> tuple[np.ndarray, np.ndarray]:
    """The parts of both that show the same where `b` is `a` moved by (dx, dy)."""
    h, w = a.shape
    dx, dy = int(np.clip(dx, 1 - w, w - 1)), int(np.clip(dy, 1 - h, h - 1))
    in_a = a[max(-dy, 0) : h - max(dy, 0), max(-dx, 0) : w - max(dx, 0)]
    in_b = b[max(dy, 0) : h - max(-dy, 0), max(dx, 0) : w - max(-dx, 0)]
    return in_a, in_b
