"""ROS image messages to numpy and back, without cv_bridge.

Letters: H rows, W columns, C channels. Every decoder checks what the message claims against what
it carries, and raises `MessageError` with the cause under which the frame is counted.
"""

from __future__ import annotations

from array import array
from typing import Any

import cv2
import numpy as np

from find_core.errors import ImageError
from find_core.images import MAX_SIDE_PX


class MessageError(ImageError):
    """A message cannot be used.

    Attributes:
        cause: "malformed" (its parts contradict each other) or "unsupported" (an encoding we do
            not read); the name under which it is counted.
    """

    def __init__(self, cause: str, sentence: str) -> None:
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
IMAGE_ENCODINGS = tuple(_TO_RGB)
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")
MM_PER_M = 1000.0


def image_to_rgb(msg: Any) -> np.ndarray:
    """sensor_msgs/Image -> (H, W, 3) uint8 RGB, contiguous; a view of the message where it can be.

    Raises:
        MessageError: unknown encoding, zero size, wrong step, short data.
    """
    if msg.encoding not in _TO_RGB:
        raise MessageError(
            "unsupported",
            f"Encoding {msg.encoding!r} is not supported: publish one of "
            f"{', '.join(IMAGE_ENCODINGS)} (an image_proc node converts others).",
        )
    channels, conversion = _TO_RGB[msg.encoding]
    pixels_HWC = _rows(msg, channels).reshape(msg.height, msg.width, channels)
    if conversion is None:
        return np.ascontiguousarray(pixels_HWC)
    if channels == 2 and msg.width % 2:
        raise MessageError(
            "malformed", f"A {msg.encoding} image has an even width, not {msg.width}."
        )
    if "bayer" in msg.encoding and min(msg.height, msg.width) < 2:
        raise MessageError("malformed", "A Bayer image needs at least 2x2 pixels.")
    return cv2.cvtColor(np.ascontiguousarray(pixels_HWC), conversion)


def compressed_to_rgb(msg: Any) -> np.ndarray:
    """sensor_msgs/CompressedImage (JPEG or PNG) -> (H, W, 3) uint8 RGB.

    The picture is taken as the sensor saw it: an EXIF rotation would contradict camera_info.

    Raises:
        MessageError: depth transport, or the picture cannot be decoded or is cut short.
    """
    if "compressedDepth" in msg.format:
        raise MessageError(
            "unsupported", "This topic carries compressedDepth: give the colour image's topic."
        )
    raw = np.frombuffer(msg.data, np.uint8)
    if (
        len(raw) > 2
        and raw[0] == 0xFF
        and raw[1] == 0xD8
        and b"\xff\xd9" not in raw[-64:].tobytes()
    ):
        raise MessageError("malformed", "The JPEG picture is cut short (no end marker).")
    try:
        bgr = (
            cv2.imdecode(raw, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
            if len(raw)
            else None
        )
    except cv2.error:
        bgr = None
    if bgr is None:
        raise MessageError(
            "malformed",
            f"A compressed image of format {msg.format!r} cannot be decoded as JPEG or PNG.",
        )
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def depth_to_m(msg: Any) -> np.ndarray:
    """sensor_msgs/Image of depth -> (H, W) float32 z-depth in metres, 0 where invalid.

    Reads 16UC1/mono16 (millimetres, 0 invalid) and 32FC1 (metres; NaN, infinity, 0 and below
    invalid).

    Raises:
        MessageError: another encoding, zero size, wrong step, short data.
    """
    if msg.encoding not in DEPTH_ENCODINGS:
        raise MessageError(
            "unsupported",
            f"Depth encoding {msg.encoding!r} is not supported: publish 16UC1 (mm) or 32FC1 (m).",
        )
    kind = "f4" if msg.encoding == "32FC1" else "u2"
    dtype = np.dtype((">" if msg.is_bigendian else "<") + kind)
    values_HW = np.ascontiguousarray(_rows(msg, dtype.itemsize)).view(dtype)
    depth_HW = values_HW.reshape(msg.height, msg.width).astype(np.float32)
    if kind == "u2":
        return depth_HW / np.float32(MM_PER_M)
    return np.where(np.isfinite(depth_HW) & (depth_HW > 0), depth_HW, np.float32(0))


def _rows(msg: Any, bytes_a_pixel: int) -> np.ndarray:
    """(H, W * bytes_a_pixel) uint8 view of the pixels, padding at the rows' ends cut off."""
    height, width, step = msg.height, msg.width, msg.step
    row = width * bytes_a_pixel
    if not (0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX):
        raise MessageError("malformed", f"The image is {width}x{height} pixels.")
    if step < row:
        raise MessageError(
            "malformed",
            f"Step {step} is too small: {width} pixels of {msg.encoding} need {row} bytes.",
        )
    data = np.frombuffer(msg.data, np.uint8)
    if len(data) < step * (height - 1) + row:
        raise MessageError(
            "malformed",
            f"The image has {len(data)} bytes, but {height} rows of {step} bytes were announced.",
        )
    if len(data) < step * height:  # the last row may come without its padding
        data = np.concatenate([data, np.zeros(step * height - len(data), np.uint8)])
    return data[: step * height].reshape(height, step)[:, :row]


def array_to_image(pixels: np.ndarray, encoding: str, header: Any) -> Any:
    """A (H, W) or (H, W, C) array -> sensor_msgs/Image whose rows have no padding.

    Args:
        pixels: uint8 (rgb8, bgr8, mono8, ...), uint16 (16UC1) or float32 (32FC1); taken as is.
        encoding: what the message shall claim.
        header: std_msgs/Header, shared, not copied.
    """
    from sensor_msgs.msg import Image

    msg = Image(header=header, encoding=encoding)
    msg.height, msg.width = pixels.shape[:2]
    msg.step = pixels.dtype.itemsize * int(np.prod(pixels.shape[1:]))
    msg.is_bigendian = 0
    # An array.array passes rclpy's type check in one step; bytes would be checked one by one.
    data = array("B")
    data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))
    msg.data = data
    return msg


def rgb_to_compressed(image_rgb: np.ndarray, header: Any, jpeg_quality: int = 80) -> Any:
    """(H, W, 3) uint8 RGB -> sensor_msgs/CompressedImage (JPEG)."""
    from sensor_msgs.msg import CompressedImage

    bgr = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
    jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])[1]
    msg = CompressedImage(header=header, format="rgb8; jpeg compressed bgr8")
    msg.data = array("B", jpeg.tobytes())
    return msg


def stamp_to_ns(stamp: Any) -> int:
    """builtin_interfaces/Time -> nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def ns_to_stamp(stamp_ns: int) -> Any:
    """Nanoseconds -> builtin_interfaces/Time."""
    from builtin_interfaces.msg import Time

    return Time(sec=int(stamp_ns // 1_000_000_000), nanosec=int(stamp_ns % 1_000_000_000))
