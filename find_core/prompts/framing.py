"""A picture of the thing alone, placed as things lie in scenes.

A product photo or a tight crop fills the image. Its features then are those of a close-up, which
differ from the same thing's in a scene: the encoder is frozen, and knows things at scene scale.
"""

from __future__ import annotations

import cv2
import numpy as np

WHOLE = 0.95
"""Share of the image that a region covers at least to be "the whole image"."""
SIDE = 0.35
"""Of the canvas that a whole image is given, in each direction at most. Of .15, .25, .35, .5 and .7
it scored best: tight crops, cut-outs on white and product photos of 12 rendered things, in frames
with and without them."""


def shows_whole_image(mask: np.ndarray) -> bool:
    """Does a (H, W) bool region say "all of it" rather than "this part of it"?"""
    return bool(mask.mean() >= WHOLE)


def framed(
    image: np.ndarray, mask: np.ndarray, short_side_px: int, long_side_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """An image whose region is all of it, small in the middle of a plain canvas; others as they are.

    The canvas has the median colour of the image's border.

    Args:
        image: (H, W, 3) uint8 RGB. mask: (H, W) bool.
        short_side_px, long_side_px: of the canvas, a landscape like most camera frames.

    Returns:
        (h, w, 3) uint8 and (h, w) bool: the very arguments for a region that is a part.
    """
    if not shows_whole_image(mask):
        return image, mask
    height, width = image.shape[:2]
    scale = SIDE * min(short_side_px / height, long_side_px / width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    canvas = np.empty((short_side_px, long_side_px, 3), np.uint8)
    canvas[:] = np.median(border, axis=0)
    shown = np.zeros((short_side_px, long_side_px), bool)
    top, left = (short_side_px - rows) // 2, (long_side_px - columns) // 2
    place = slice(top, top + rows), slice(left, left + columns)
    canvas[place] = cv2.resize(image, (columns, rows), interpolation=shrink)
    shown[place] = True
    return canvas, shown
