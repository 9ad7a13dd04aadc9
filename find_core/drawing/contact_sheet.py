"""Several images on one sheet, each with its caption."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from find_core.drawing.text import text_coverage
from find_core.errors import ImageError


def contact_sheet(
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    *,
    columns: int | None = None,
    cell_width_px: int = 320,
) -> np.ndarray:
    """Images in rows with a caption under each, (H, W, 3) uint8 RGB.

    Args:
        images: each (h, w, 3) uint8 RGB, of any size.
        captions: one per image.
        columns: images in a row; None chooses at most five.
    """
    if not len(images) or len(images) != len(captions):
        raise ImageError(
            f"A contact sheet needs images and one caption each, got {len(images)} and "
            f"{len(captions)}."
        )
    columns = columns or min(5, len(images))
    aspect = max(im.shape[0] / im.shape[1] for im in images)
    cell_h, text_px = max(1, round(cell_width_px * aspect)), 14
    caption_h = text_coverage("Ag", text_px).shape[0] + 4
    rows = -(-len(images) // columns)
    gap = 6
    sheet = np.full(
        (rows * (cell_h + caption_h + gap) + gap, columns * (cell_width_px + gap) + gap, 3),
        255,
        np.uint8,
    )
    for n, (image, caption) in enumerate(zip(images, captions, strict=True)):
        top = gap + (n // columns) * (cell_h + caption_h + gap)
        left = gap + (n % columns) * (cell_width_px + gap)
        small = resize_to_width(image, cell_width_px)
        sheet[top : top + small.shape[0], left : left + cell_width_px] = small
        ink = 255 - text_coverage(caption, text_px)[:caption_h, :cell_width_px]
        spot = sheet[top + cell_h + 2 :, left:][: ink.shape[0], : ink.shape[1]]
        spot[:] = np.minimum(spot, ink[..., None])
    return sheet


def resize_to_width(image: np.ndarray, width_px: int) -> np.ndarray:
    """(h, w, 3) uint8 scaled to `width_px` pixels wide, aspect kept."""
    height_px = max(1, round(image.shape[0] * width_px / image.shape[1]))
    return cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA)
