"""Reference images that came over a topic, by name."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from find_ros.messages.errors import MessageError
from find_ros.messages.images import check_size, image_to_rgb
from find_ros.support.text import TEXT_LIMIT, printable

MAX_REFERENCES = 32
# 32 images of 1920x1080 are 66 megapixels, 200 MB.
MAX_TOTAL_MEGAPIXELS = 128.0


class ReferenceStore:
    """Images (H, W, 3) uint8 RGB by name; may be used from several threads.

    Args:
        limit: images kept; the one not renewed for longest goes first.
        limit_megapixels: of all of them together.
    """

    def __init__(
        self, limit: int = MAX_REFERENCES, limit_megapixels: float = MAX_TOTAL_MEGAPIXELS
    ) -> None:
        self._limit, self._limit_px = limit, limit_megapixels * 1e6
        self._lock = threading.Lock()
        self._images: OrderedDict[str, np.ndarray] = OrderedDict()

    def put(self, name: str, image_rgb: np.ndarray) -> bool:
        """False when the very same image is there already: latched topics repeat themselves."""
        with self._lock:
            known = self._images.get(name)
            if known is not None and np.array_equal(known, image_rgb):
                return False
            self._images[name] = image_rgb
            self._images.move_to_end(name)
            while len(self._images) > self._limit or (
                len(self._images) > 1 and self._pixels() > self._limit_px
            ):
                self._images.popitem(last=False)
            return True

    def _pixels(self) -> int:
        return sum(image.shape[0] * image.shape[1] for image in self._images.values())

    def all(self) -> dict[str, np.ndarray]:
        with self._lock:
            return dict(self._images)


def reference_of(msg: Any, max_megapixels: float) -> tuple[str, np.ndarray]:
    """sensor_msgs/Image -> (name, (H, W, 3) uint8 RGB of its own memory).

    Raises:
        MessageError, ImageMessageError: it has no name that could stand in a prompt, or no pixels.
    """
    name = msg.header.frame_id
    if not name:
        raise MessageError("malformed", "its header.frame_id, the name in prompts, is empty.")
    if len(name) > TEXT_LIMIT or not name.isprintable():
        raise MessageError("malformed", f"its name {printable(name, 60)!r} is none for a prompt.")
    check_size(msg, max_megapixels)
    return name, image_to_rgb(msg).copy()
