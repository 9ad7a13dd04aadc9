"""One camera's subscriptions: colour, depth, calibration."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from find_ros.messages.images import (
    check_compressed_size,
    check_size,
    compressed_to_rgb,
    image_to_rgb,
    stamp_to_ns,
)
from find_ros.pipeline.frame_buffer import FrameStore
from find_ros.support import qos


@dataclass(frozen=True)
class CameraConfig:
    """Attributes: compressed: subscribe to image/compressed instead of image. depth: subscribe to
    depth and camera_info too. reliability: "best_effort" | "reliable"."""

    compressed: bool = False
    depth: bool = False
    reliability: str = "best_effort"


class CameraInput:
    """Feeds a `FrameStore` from one camera's topics, relative to the node's namespace.

    Args:
        name: the camera's namespace, "" when there is only one: topics are `image` and so on, or
            `front/image` for a camera called front.

    Attributes: info: the newest CameraInfo or None. images, depths: messages that came in.
    topic, type_name: absolute name and type of the image topic. last_size: (H, W) of the last image
    that was decoded, or None.
    """

    def __init__(self, node: Node, name: str, config: CameraConfig, store: FrameStore) -> None:
        self.name, self.config, self._node, self._store = name, config, node, store
        self.info: Any = None
        self.last_size: tuple[int, int] | None = None
        self.images = self.depths = 0
        self._arrivals_s: deque[float] = deque(maxlen=60)
        prefix = f"{name}/" if name else ""
        image_qos = qos.image_input(config.reliability)
        kind, topic = (
            (CompressedImage, "image/compressed") if config.compressed else (Image, "image")
        )
        self._subscriptions = [
            node.create_subscription(kind, prefix + topic, self._on_image, image_qos)
        ]
        if config.depth:
            self._subscriptions += [
                node.create_subscription(Image, prefix + "depth", self._on_depth, image_qos),
                node.create_subscription(
                    CameraInfo, prefix + "camera_info", self._on_info, qos.INFO_INPUT
                ),
            ]
        self.type_name = f"sensor_msgs/msg/{kind.__name__}"

    def rate_hz(self) -> float:
        """Images a second over the last ones; falls to 0 when the camera is silent."""
        times = list(self._arrivals_s)
        if len(times) < 2 or time.monotonic() - times[-1] > 5.0:
            return 0.0
        # The time since the last image counts, so that a slowing camera shows at once.
        span_s = max(times[-1] - times[0], 1e-6)
        return (len(times) - 1) / max(span_s, (time.monotonic() - times[0]) * (1 - 1 / len(times)))

    def silent_s(self) -> float:
        """Seconds since the last image, infinite when there was none."""
        return time.monotonic() - self._arrivals_s[-1] if self._arrivals_s else float("inf")

    def decode(self, msg: Any, max_megapixels: float) -> np.ndarray:
        """The (H, W, 3) uint8 RGB image of one of this camera's messages.

        Raises:
            MessageError, ImageMessageError: too large, or not to be read.
        """
        if self.config.compressed:
            check_compressed_size(msg, max_megapixels)
            image_rgb = compressed_to_rgb(msg)
        else:
            check_size(msg, max_megapixels)
            image_rgb = image_to_rgb(msg)
        self.last_size = image_rgb.shape[0], image_rgb.shape[1]
        return image_rgb

    def waits_for(self) -> list[str]:
        """Sentences about this camera's silent topics."""
        image, *others = self._subscriptions
        reliable = self.config.reliability == "reliable"
        out = []
        if self.images and self.silent_s() > 2.0:
            out.append(f"images have stopped coming on {image.topic_name}")
        elif not self.images:
            out.append(qos.explain_silence(self._node, image.topic_name, self.type_name, reliable))
        if others and not self.depths:
            kind = "sensor_msgs/msg/Image"
            out.append(qos.explain_silence(self._node, others[0].topic_name, kind, reliable))
        if others and self.info is None:
            kind = "sensor_msgs/msg/CameraInfo"
            out.append(qos.explain_silence(self._node, others[1].topic_name, kind, False))
        return out

    def destroy(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def _on_image(self, msg: Any) -> None:
        self.images += 1
        self._arrivals_s.append(time.monotonic())
        self._store.put_image(self.name, stamp_to_ns(msg.header.stamp), msg)

    def _on_depth(self, msg: Any) -> None:
        self.depths += 1
        self._store.put_depth(self.name, stamp_to_ns(msg.header.stamp), msg)

    def _on_info(self, msg: Any) -> None:
        self.info = msg
