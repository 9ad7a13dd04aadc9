"""Pixels of ROS image messages, live or from a bag, as numpy arrays: one table of encodings.

    rgb = decode_rgb(m.encoding, m.height, m.width, m.step, m.data)
    depth_m = decode_depth_m(m.encoding, m.height, m.width, m.step, m.data, m.is_bigendian)
    rgb = decode_compressed(m.format, m.data)

Plain functions of a message's fields, without ROS. What a message claims is checked against the
bytes that it carries before any memory is taken.

Letters: H rows, W columns, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import cv2
import numpy as np

from find_core.errors import ImageError
from find_core.images import MAX_MEGAPIXELS, MAX_SIDE_PX, decode_image, measure_image
from find_core.support.printable import shown

if TYPE_CHECKING:
    from array import array

Cause = Literal["malformed", "unsupported"]
Bytes: TypeAlias = "bytes | bytearray | memoryview | array[int] | np.ndarray"


class ImageMessageError(ImageError):
    """The pixels of an image message cannot be used.

    Attributes:
        cause: "malformed" (its parts contradict each other) or "unsupported" (an encoding that is
            not read); the name under which it is counted.
    """

    def __init__(self, cause: Cause, sentence: str) -> None:
        super().__init__(sentence)
        self.cause = cause


# Encoding -> (bytes a pixel, OpenCV conversion to RGB or None when it is RGB already). ROS names
# Bayer patterns by the first two rows from the top left, as OpenCV's four-letter names do.
_TO_RGB: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "8UC3": (3, cv2.COLOR_BGR2RGB),  # OpenCV's own order, which is what drivers mean by it
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": (1, cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGRBG2RGB),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUYV),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUYV),
}
RGB_ENCODINGS = tuple(_TO_RGB)
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")
MM_PER_M = 1000.0


def decode_rgb(encoding: str, height: int, width: int, step: int, data: Bytes) -> np.ndarray:
    """Fields of a sensor_msgs/Image -> (H, W, 3) uint8 RGB, contiguous.

    Args:
        encoding: one of `RGB_ENCODINGS`. height, width: pixels. step: bytes from row to row.
        data: the rows' bytes; the last row may come without its padding.

    Returns:
        A view of `data` where that is RGB without padding, a copy otherwise.

    Raises:
        ImageMessageError: unknown encoding, zero size, wrong step, short data.
    """
    if encoding not in _TO_RGB:
        raise ImageMessageError(
            "unsupported",
            f"Encoding {shown(encoding)!r} is not supported: publish one of "
            f"{', '.join(RGB_ENCODINGS)} (an image_proc node converts others).",
        )
    channels, conversion = _TO_RGB[encoding]
    pixels_HWC = _rows(encoding, height, width, step, data, channels)
    pixels_HWC = pixels_HWC.reshape(height, width, channels)
    if conversion is None:
        return np.ascontiguousarray(pixels_HWC)
    if channels == 2 and width % 2:
        raise ImageMessageError("malformed", f"A {encoding} image has an even width, not {width}.")
    if "bayer" in encoding and min(height, width) < 2:
        raise ImageMessageError("malformed", "A Bayer image needs at least 2x2 pixels.")
    return cv2.cvtColor(np.ascontiguousarray(pixels_HWC), conversion)


def decode_depth_m(
    encoding: str, height: int, width: int, step: int, data: Bytes, is_bigendian: bool | int = 0
) -> np.ndarray:
    """Fields of a sensor_msgs/Image of depth -> (H, W) float32 z-depth in metres, 0 where invalid.

    Reads 16UC1 and mono16 (millimetres, 0 invalid) and 32FC1 (metres; NaN, infinity, 0 and below
    invalid).

    Raises:
        ImageMessageError: another encoding, zero size, wrong step, short data.
    """
    if encoding not in DEPTH_ENCODINGS:
        raise ImageMessageError(
            "unsupported",
            f"Depth encoding {shown(encoding)!r} is not supported: publish 16UC1 (mm) or 32FC1 (m).",
        )
    kind = "f4" if encoding == "32FC1" else "u2"
    dtype = np.dtype((">" if is_bigendian else "<") + kind)
    rows = _rows(encoding, height, width, step, data, dtype.itemsize)
    depth_HW = np.ascontiguousarray(rows).view(dtype).reshape(height, width).astype(np.float32)
    if kind == "u2":
        return depth_HW / np.float32(MM_PER_M)
    return np.where(np.isfinite(depth_HW) & (depth_HW > 0), depth_HW, np.float32(0))


def decode_compressed(format_name: str, data: Bytes) -> np.ndarray:
    """Fields of a sensor_msgs/CompressedImage (JPEG or PNG) -> (H, W, 3) uint8 RGB.

    The image is taken as the sensor saw it: an EXIF rotation would contradict camera_info.

    Raises:
        ImageMessageError: depth, or the image cannot be decoded, is cut short or too large.
    """
    if "compressedDepth" in format_name or format_name.startswith(("16UC1", "32FC1")):
        raise ImageMessageError(
            "unsupported",
            f"This topic carries depth (format {shown(format_name)}): give the colour image's topic.",
        )
    what = f"a compressed image of format {shown(format_name)!r}"
    try:
        # A mono16 image and depth differ in nothing but what the format calls them.
        if measure_image(raw := np.frombuffer(data, np.uint8), what).may_be_depth and not (
            format_name.startswith("mono16")
        ):
            raise ImageMessageError(
                "unsupported", f"{what} has one channel of 16 bits, which is depth: give colour."
            )
        return decode_image(raw, what, upright=False)
    except ImageMessageError:
        raise
    except ImageError as error:
        raise ImageMessageError("malformed", str(error)) from None


def _rows(
    encoding: str, height: int, width: int, step: int, data: Bytes, bytes_a_pixel: int
) -> np.ndarray:
    """(H, W * bytes_a_pixel) uint8 view of the pixels, padding at the rows' ends left out."""
    row = width * bytes_a_pixel
    if not (0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX):
        raise ImageMessageError("malformed", f"The image is {width}x{height} pixels.")
    if height * width > MAX_MEGAPIXELS * 1e6:
        raise ImageMessageError(
            "malformed", f"The image is {width}x{height}, more than {MAX_MEGAPIXELS:g} megapixels."
        )
    if step < row:
        raise ImageMessageError(
            "malformed",
            f"Step {step} is too small: {width} pixels of {encoding} need {row} bytes.",
        )
    raw = np.frombuffer(data, np.uint8)
    if len(raw) < step * (height - 1) + row:
        raise ImageMessageError(
            "malformed",
            f"The image has {len(raw)} bytes, but {height} rows of {step} bytes were announced.",
        )
    # A view, whatever step claims: no memory is taken for padding that is not there.
    view: np.ndarray = np.ndarray((height, row), np.uint8, raw, strides=(step, 1))
    return view
