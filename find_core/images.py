"""The one place that decodes images: files, inline images, topics, bags, references, depth.

What a file claims is measured before memory is taken: the file's bytes, the lengths inside it, and its
pixels against a limit. Decoding takes at most four times the decoded image.

EXIF orientation is applied or not by name. `upright=True` turns the image as people see it: photos,
references, albums, videos. `upright=False` keeps the rows as the sensor stored them: wherever
intrinsics, depth or annotations in stored pixels belong to the image.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import os
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.errors import ImageError
from find_core.support.files import replace_file
from find_core.support.image_header import FORMATS, ImageHeader, read_header
from find_core.support.printable import shown

MAX_SIDE_PX = 16384
MAX_MEGAPIXELS = 100.0
"""Images of more are refused before they are decoded; 100 take 300 MB of memory."""
MAX_FILE_BYTES = 256 * 2**20
PATH_LIMIT = 200  # characters of a path in a sentence
# numpy reads the header of a .npy file with Python's own parser, and lets its errors pass.
_NPY_PROBLEMS = (
    OSError, ValueError, SyntaxError, TypeError, KeyError, RecursionError, tokenize.TokenError,
)  # fmt: skip


def check_image(image: Any, what: str = "Image") -> np.ndarray:
    """Return `image` as a contiguous (H, W, 3) uint8 RGB array.

    Raises:
        ImageError: wrong type, dtype, shape or size; the sentence says how to convert it.
    """
    if not isinstance(image, np.ndarray):
        try:
            image = np.asarray(image)  # PIL images and nested lists
        except (ValueError, TypeError, OverflowError, RuntimeError):  # of tensors with a gradient
            raise ImageError(f"{what} is no array of numbers: give (H, W, 3) uint8 RGB.") from None
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


def read_image(
    path: str | Path, *, upright: bool = True, max_megapixels: float = MAX_MEGAPIXELS
) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 RGB.

    Args:
        upright: apply the EXIF rotation; see the module.

    Raises:
        ImageError: missing, cut short, of another format, of floats, or too large.
    """
    what = shown(path, PATH_LIMIT)
    return decode_image(read_bytes(path), what, upright=upright, max_megapixels=max_megapixels)


def decode_image(
    data: bytes | memoryview | np.ndarray,
    what: str = "the image",
    *,
    upright: bool = True,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> np.ndarray:
    """Decode the bytes of a PNG, JPEG, WebP, BMP or TIFF to (H, W, 3) uint8 RGB.

    Args:
        what: names the image in errors. upright: apply the EXIF rotation; see the module.

    Raises:
        ImageError: cut short, of another format, of floats, or too large.
    """
    header = measure_image(data, what, max_megapixels=max_megapixels)
    if header.is_float or header.bits > 16:
        raise ImageError(
            f"{what} holds {header.bits}-bit samples whose range is unknown: convert it to 8 bits."
        )
    if not upright:
        _check_as_stored(header, what)
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.cvtColor(_decode(data, flags, what), cv2.COLOR_BGR2RGB)
    if upright and header.format == "webp":  # which OpenCV leaves as it is stored
        image = np.ascontiguousarray(_TURNS[header.orientation](image))
    return image


_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda i: i, 2: lambda i: i[:, ::-1], 3: lambda i: i[::-1, ::-1], 4: lambda i: i[::-1],
    5: lambda i: i.swapaxes(0, 1), 6: lambda i: np.rot90(i, -1), 7: lambda i: i[::-1, ::-1].swapaxes(0, 1),
    8: lambda i: np.rot90(i),
}  # fmt: skip
"""From stored to upright, by EXIF's orientation."""


def _check_as_stored(header: ImageHeader, what: str) -> None:
    """OpenCV turns TIFF files, asked to or not."""
    if header.format == "tiff" and header.orientation != 1:
        raise ImageError(
            f"{what} is a TIFF file to be shown turned (orientation {header.orientation}), whose stored "
            "pixels are not read: save it as PNG."
        )


def measure_image(
    data: bytes | memoryview | np.ndarray,
    what: str = "the image",
    *,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> ImageHeader:
    """The header of an encoded image that is small enough to decode.

    Raises:
        ImageError: cut short, of another format, or too large.
    """
    view = memoryview(data)  # type: ignore[arg-type]
    if view.nbytes > MAX_FILE_BYTES:
        raise ImageError(f"{what} has {view.nbytes} bytes, more than {MAX_FILE_BYTES}.")
    header = read_header(view, what)
    width, height = header.width, header.height
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise ImageError(
            f"{what} is {width}x{height} pixels: each side must be 1 to {MAX_SIDE_PX}."
        )
    if width * height > max_megapixels * 1e6:
        raise ImageError(
            f"{what} is {width}x{height} pixels, more than {max_megapixels:g} megapixels: scale it "
            "down."
        )
    return header


def read_depth_image(path: str | Path, *, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """The (H, W) samples of a depth file, as stored: uint16 or float of a PNG, TIFF or .npy.

    Raises:
        ImageError: missing, cut short, too large, 8 bits (those hold no distances), not one channel.
    """
    what = shown(path, PATH_LIMIT)
    if Path(path).suffix.lower() == ".npy":
        return _read_npy(Path(path), what, max_megapixels)
    data = read_bytes(path)
    header = measure_image(data, what, max_megapixels=max_megapixels)
    if not header.may_be_depth:
        raise ImageError(
            f"{what} is no depth image: it has {header.channels} channels of {header.bits} bits. Give "
            "one channel of 16 bits, PNG."
        )
    _check_as_stored(header, what)
    depth = _decode(data, cv2.IMREAD_UNCHANGED, what)
    if depth.ndim != 2:
        raise ImageError(f"{what} is no depth image: give one channel of 16 bits, PNG.")
    return depth


def read_labels(path: str | Path, *, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """The samples of an image of labels, as stored: (H, W) or (H, W, C) uint8 or uint16, BGR order.

    Raises:
        ImageError: missing, cut short, of floats, or too large.
    """
    what, data = shown(path, PATH_LIMIT), read_bytes(path)
    header = measure_image(data, what, max_megapixels=max_megapixels)
    if header.is_float:
        raise ImageError(f"{what} holds floats: give labels as whole numbers, PNG.")
    _check_as_stored(header, what)
    return _decode(data, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION, what)


def read_bytes(path: str | Path, max_bytes: int = MAX_FILE_BYTES) -> np.ndarray:
    """The bytes of a file, (N,) uint8, measured before they are read.

    Raises:
        ImageError: not a file, not readable, empty or too large.
    """
    what = shown(path, PATH_LIMIT)
    try:
        regular, size = Path(path).is_file(), 0  # a pipe would be waited for
        if regular:
            with Path(path).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                data = np.fromfile(file, np.uint8, count=min(size, max_bytes + 1))
    except (OSError, ValueError) as problem:
        raise ImageError(f"{what} cannot be read ({shown(problem)}): check the path.") from None
    if not regular:
        raise ImageError(f"No image file at {what}: check the path.")
    if data.size > max_bytes:
        raise ImageError(f"{what} has {size} bytes, more than {max_bytes}: it is no image.")
    if not data.size:
        raise ImageError(f"Cannot decode {what}: it is empty.")
    return data


def from_png_base64(text: str, *, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """Decode an inline image (base64 of PNG or JPEG bytes) to (H, W, 3) uint8 RGB, upright.

    Raises:
        ImageError: not base64, cut short, of another format, or too large.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise ImageError("Inline image is not base64: encode the PNG file's bytes.") from None
    return decode_image(raw, "the inline image", max_megapixels=max_megapixels)


def to_png_base64(image: np.ndarray) -> str:
    """Encode (H, W, 3) uint8 RGB or (H, W) uint8 as base64 PNG."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode("ascii")


def _decode(data: bytes | memoryview | np.ndarray, flags: int, what: str) -> np.ndarray:
    """What OpenCV makes of measured bytes."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ImageError(f"Cannot decode {what}: give a whole {FORMATS} image.")
    return pixels


def _read_npy(path: Path, what: str, max_megapixels: float) -> np.ndarray:
    """A (H, W) array of numbers; its header is compared with the file's size first."""
    try:
        with path.open("rb") as file:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError("of an unusual version")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            here = os.fstat(file.fileno()).st_size - file.tell()
            if len(shape) != 2 or dtype.kind not in "fiu" or not all(shape):
                raise ValueError(f"{dtype} of shape {shape}, not numbers of shape (H, W)")
            if math.prod(shape) > max_megapixels * 1e6:
                raise ValueError(f"more than {max_megapixels:g} megapixels")
            if math.prod(shape) * dtype.itemsize != here:
                raise ValueError(f"{here} bytes for an array of shape {shape}: cut short")
            flat = np.fromfile(file, dtype)
    except FileNotFoundError:
        raise ImageError(f"No depth file at {what}: check the path.") from None
    except _NPY_PROBLEMS as problem:
        raise ImageError(f"{what} is no depth array ({shown(problem, 120)}).") from None
    if dtype.itemsize == 1:
        raise ImageError(f"{what} has 8 bits a pixel, which hold no distances: save 16 or floats.")
    native = flat.astype(dtype.newbyteorder("="), copy=False)
    return native.reshape(shape, order="F" if fortran else "C")


def image_key(image: np.ndarray) -> str:
    """Content hash of an array with its shape: 32 hexadecimal digits."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()[:32]


def write_image(path: str | Path, image: np.ndarray) -> Path:
    """Write (H, W, 3) uint8 RGB as PNG or JPEG by the suffix, atomically."""
    path = Path(path)
    good, data = cv2.imencode(path.suffix or ".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not good:
        raise ImageError(f"Cannot write {path.name}: give a name that ends in .png or .jpg.")
    replace_file(path, lambda file: file.write_bytes(data.tobytes()), ImageError)
    return path
