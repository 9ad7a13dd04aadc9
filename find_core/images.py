"""Checks and codecs for the images users hand in."""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.errors import ImageError

MAX_SIDE_PX = 16384


def check_image(image: Any, what: str = "Image") -> np.ndarray:
    """Return `image` as a contiguous (H, W, 3) uint8 RGB array.

    Raises:
        ImageError: wrong type, dtype, shape or size; the sentence says how to convert it.
    """
    if not isinstance(image, np.ndarray):
        image = np.asarray(image)  # PIL images and nested lists
    if image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(
            f"{what} has shape {image.shape}: give (H, W, 3) RGB, "
            "e.g. cv2.cvtColor(img, cv2.COLOR_GRAY2RGB) or np.asarray(pil.convert('RGB'))."
        )
    if image.dtype != np.uint8:
        raise ImageError(
            f"{what} has dtype {image.dtype}: give uint8 in 0..255, "
            "e.g. (255 * img).round().astype(np.uint8)."
        )
    height, width = image.shape[:2]
    if not (0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX):
        raise ImageError(
            f"{what} is {width}x{height} pixels: each side must be 1 to {MAX_SIDE_PX}."
        )
    return np.ascontiguousarray(image)


def read_image(path: str | Path) -> np.ndarray:
    """Read a picture file as (H, W, 3) uint8 RGB, EXIF rotation applied."""
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"No image file at {path}: check the path.")
    return _decode(np.fromfile(path, np.uint8), str(path))


def from_png_base64(text: str) -> np.ndarray:
    """Decode an inline picture (base64 of PNG or JPEG bytes) to (H, W, 3) uint8 RGB."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise ImageError("Inline image is not base64: encode the PNG file's bytes.") from None
    return _decode(np.frombuffer(raw, np.uint8), "the inline image")


def to_png_base64(image: np.ndarray) -> str:
    """Encode (H, W, 3) uint8 RGB or (H, W) uint8 as base64 PNG."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode("ascii")


def _decode(raw: np.ndarray, what: str) -> np.ndarray:
    try:
        bgr = cv2.imdecode(raw, cv2.IMREAD_COLOR) if raw.size else None
    except cv2.error:  # more pixels than OpenCV agrees to decode
        bgr = None
    if bgr is None:
        raise ImageError(f"Cannot decode {what}: give a whole PNG or JPEG picture.")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def image_key(image: np.ndarray) -> str:
    """Content hash of an array with its shape: 32 hexadecimal digits."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()[:32]
