"""Lines of text on images, set with Pillow: labels in other alphabets stay readable."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from find_core.drawing.palette import DARK, LIGHT


@lru_cache(maxsize=8)
def _font(size_px: int) -> Any:
    """DejaVu Sans where matplotlib brings it (many alphabets), else Pillow's own font."""
    from PIL import ImageFont

    try:
        import matplotlib

        path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
        return ImageFont.truetype(str(path), size_px)
    except (ImportError, OSError):
        return ImageFont.load_default(size_px)


@lru_cache(maxsize=256)
def text_coverage(text: str, size_px: int) -> np.ndarray:
    """(h, w) uint8 coverage of a line of text, with its padding."""
    from PIL import Image, ImageDraw

    font, pad = _font(size_px), max(2, size_px // 5)
    text = "".join(c if c.isprintable() else " " for c in text)  # line breaks, control characters
    left, _, right, _ = font.getbbox(text)
    ascent, descent = font.getmetrics()
    size = (int(right - left) + 2 * pad, ascent + descent + pad)
    picture = Image.new("L", size, 0)
    ImageDraw.Draw(picture).text((pad - left, pad // 2), text, fill=255, font=font)
    return np.asarray(picture)


def text_size_px(canvas: np.ndarray) -> int:
    return int(np.clip(min(canvas.shape[:2]) / 26, 11, 36))


def draw_label(
    canvas: np.ndarray, text: str, xy: tuple[int, int], color: Sequence[int]
) -> tuple[int, int, int, int]:
    """Write `text` on a filled rectangle, in place, moved to lie inside the canvas.

    Returns:
        (x1, y1, x2, y2), the pixels it covers.
    """
    coverage = text_coverage(text, text_size_px(canvas))[: canvas.shape[0], : canvas.shape[1]]
    h, w = coverage.shape
    x = int(np.clip(xy[0], 0, canvas.shape[1] - w))
    y = int(np.clip(xy[1], 0, canvas.shape[0] - h))
    ink = DARK if np.dot(color, (0.299, 0.587, 0.114)) > 110 else LIGHT
    weight = coverage[..., None].astype(np.float32) / 255
    plate = np.asarray(color, np.float32) * (1 - weight) + np.asarray(ink, np.float32) * weight
    canvas[y : y + h, x : x + w] = plate.astype(np.uint8)
    return x, y, x + w, y + h
