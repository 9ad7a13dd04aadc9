"""ROS image messages to numpy and back, without cv_bridge.

What the pixels mean stands in `find_core.video.sources.image_encodings`, for live messages and bags.
"""

from __future__ import annotations

import contextlib
from array import array
from typing import Any

import cv2
import numpy as np

from find_core.errors import ImageError
from find_core.support.image_header import read_header
from find_core.video.sources.image_encodings import (
    decode_compressed,
    decode_depth_m,
    decode_rgb,
)
from find_ros.messages.errors import MessageError


def image_to_rgb(msg: Any) -> np.ndarray:
    """sensor_msgs/Image -> (H, W, 3) uint8 RGB, contiguous; a view of the message where it can be.

    Raises:
        ImageMessageError: unknown encoding, zero size, wrong step, short data.
    """
    return decode_rgb(msg.encoding, msg.height, msg.width, msg.step, msg.data)


def check_size(msg: Any, max_megapixels: float) -> None:
    """Refuse a sensor_msgs/Image of more pixels than are taken, before it is decoded.

    Raises:
        MessageError: "too_large".
    """
    check_pixels(msg.height, msg.width, max_megapixels)


def check_compressed_size(msg: Any, max_megapixels: float) -> None:
    """`check_size` of a sensor_msgs/CompressedImage, by its header."""
    with contextlib.suppress(ImageError):  # `compressed_to_rgb` says what is wrong with it
        header = read_header(memoryview(msg.data), "the image")
        check_pixels(header.height, header.width, max_megapixels)


def check_pixels(height: int, width: int, max_megapixels: float) -> None:
    """Raises MessageError: "too_large"."""
    if height * width > max_megapixels * 1e6:
        raise MessageError(
            "too_large",
            f"The image is {width}x{height} pixels, more than max_megapixels "
            f"({max_megapixels:g}): scale it down or raise the parameter.",
        )


def compressed_to_rgb(msg: Any) -> np.ndarray:
    """sensor_msgs/CompressedImage (JPEG or PNG) -> (H, W, 3) uint8 RGB, as the sensor saw it.

    Raises:
        ImageMessageError: depth transport, or it cannot be decoded or is cut short.
    """
    return decode_compressed(msg.format, msg.data)


def depth_to_m(msg: Any) -> np.ndarray:
    """sensor_msgs/Image of depth -> (H, W) float32 z-depth in metres, 0 where invalid.

    Raises:
        ImageMessageError: another encoding, zero size, wrong step, short data.
    """
    return decode_depth_m(msg.encoding, msg.height, msg.width, msg.step, msg.data, msg.is_bigendian)


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
