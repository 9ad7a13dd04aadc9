"""Pascal VOC's object masks: ROOT/JPEGImages, SegmentationObject, ImageSets/Segmentation/<split>.txt.

A mask is a palette PNG: one colour an object, black background, cream (224, 224, 192) for the band
around objects that is labelled as nothing. Read as grey, as the published evaluation does, that band
is 220 (docs/spec.md 3.5).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from find_core.errors import ImageError
from find_core.images import read_image, read_labels

BAND_RGB = (224, 224, 192)


def is_voc(root: str | Path) -> bool:
    return (Path(root) / "SegmentationObject").is_dir()


def voc_names(root: str | Path, split: str = "val") -> list[str]:
    """Names of the images of a split, in the file's order.

    Raises:
        ImageError: no such split.
    """
    path = Path(root) / "ImageSets" / "Segmentation" / f"{split}.txt"
    if not path.is_file():
        raise ImageError(f"No {path}: unpack VOCdevkit/VOC2012 there, or name another split.")
    return path.read_text(encoding="utf-8").split()


def read_voc(root: str | Path, name: str) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Image (H, W, 3) uint8 RGB, its objects' (H, W) bool masks in the palette's order, void.

    Raises:
        ImageError: a file is missing, or the mask is not of the image's size.
    """
    image = read_image(Path(root) / "JPEGImages" / f"{name}.jpg")
    labels = read_labels(Path(root) / "SegmentationObject" / f"{name}.png")
    if labels.shape[:2] != image.shape[:2]:
        raise ImageError(f"The mask of {name} is not of its image's size: unpack VOC again.")
    if labels.ndim == 2:  # already one number an object, 255 the band
        band, codes = labels == 255, labels.astype(np.int64)
    else:
        rgb = labels[..., 2::-1].astype(np.int64)
        codes = (rgb << np.array([16, 8, 0])).sum(-1)
        band = (rgb == BAND_RGB).all(-1)
    kinds = [c for c in np.unique(codes[~band]).tolist() if c]
    kinds.sort(key=lambda code: _palette_place(code) if labels.ndim == 3 else code)
    return image, [(codes == code) & ~band for code in kinds], band


def _palette_place(code: int) -> int:
    """Index of a colour in VOC's palette: its bits are spread over the three channels."""
    red, green, blue = code >> 16 & 255, code >> 8 & 255, code & 255
    return sum(
        (channel >> (7 - level) & 1) << (3 * level + k)
        for level in range(8)
        for k, channel in enumerate((red, green, blue))
    )
