"""An image in the orientation that its labels were drawn in.

Cameras store a rotation beside the pixels (EXIF). Some label tools show the image upright, some as
it is stored; where the sizes differ, the labels' own size tells which.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from find_core.errors import ImageError
from find_core.images import read_image


def read_as_labelled(path: str | Path, height: int, width: int) -> np.ndarray:
    """The (height, width, 3) uint8 RGB image, upright or as stored: whichever has the labels' size.

    Half turns and mirrored images keep their size; they are taken upright, as most tools show them.

    Raises:
        ImageError: no such image, or neither orientation has that size.
    """
    upright = read_image(path)
    if upright.shape[:2] == (height, width):
        return upright
    if upright.shape[1::-1] == (height, width):  # perhaps a quarter turn
        stored = read_image(path, upright=False)
        if stored.shape[:2] == (height, width):
            return stored
    here = Path(path)
    raise ImageError(
        f"{here.parent.name}/{here.name} is {upright.shape[1]}x{upright.shape[0]}, its annotations "
        f"are {width}x{height}: label the image at its own size."
    )
