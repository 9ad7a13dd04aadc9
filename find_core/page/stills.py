"""Pictures as the browser gets them, and as references are cut from them."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass

import cv2
import numpy as np

from find_core.drawing import draw_localization
from find_core.images import decode_image
from find_core.page.source import Moment
from find_core.prompts.reference import Reference
from find_core.results import Localization
from find_core.support.lru import Lru

MAX_SIDE_PX = 1280
"""Pictures that are sent, and that references come from, are scaled down to this longer side."""
MAX_UPLOAD_BYTES = 16 * 2**20
MAX_UPLOAD_MEGAPIXELS = 30.0
JPEG_QUALITY = 85
KEPT_PICTURES = 64


@dataclass(frozen=True, eq=False)
class Still:
    """A picture that stands.

    Attributes:
        image_rgb: (h, w, 3) uint8 without drawings, at most `MAX_SIDE_PX` a side.
        shown_jpeg: the same with drawings. time_s: its moment; None for photographs.
        localization: of `image_rgb`, where that has the size of the frame.
    """

    image_rgb: np.ndarray
    shown_jpeg: bytes
    time_s: float | None = None
    localization: Localization | None = None


def fitted(image: np.ndarray, max_side_px: int = MAX_SIDE_PX) -> np.ndarray:
    """(h, w, 3) uint8 with no side longer than `max_side_px`."""
    height, width = image.shape[:2]
    scale = max_side_px / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def cut_out(reference: Reference) -> np.ndarray:
    """The reference's region with some of its surroundings, (h, w, 3) uint8 RGB."""
    ys, xs = np.nonzero(reference.mask)
    pad = max(8, int(0.15 * max(np.ptp(ys), np.ptp(xs))))
    rows = slice(max(ys.min() - pad, 0), ys.max() + pad + 1)
    columns = slice(max(xs.min() - pad, 0), xs.max() + pad + 1)
    return np.ascontiguousarray(reference.image[rows, columns])


def jpeg(image: np.ndarray) -> bytes:
    """(H, W, 3) uint8 RGB as JPEG, scaled down to what is sent."""
    bgr = cv2.cvtColor(fitted(image), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])


def drawn(moment: Moment) -> bytes:
    """The moment as JPEG, with masks, boxes and ids as everywhere else."""
    if moment.localization is None:
        return jpeg(moment.image_rgb)
    return jpeg(draw_localization(moment.image_rgb, moment.localization))


def still_of(moment: Moment) -> Still:
    """The moment, to be pointed into."""
    image = fitted(moment.image_rgb)
    same = image.shape == moment.image_rgb.shape
    localization = moment.localization if same else None
    return Still(image, drawn(moment), moment.stamp_ns * 1e-9, localization)


def still_of_photo(data: bytes) -> Still:
    """An uploaded photograph.

    Raises:
        ImageError: no image, cut short, or too large.
    """
    image = decode_image(data, "the photo", max_megapixels=MAX_UPLOAD_MEGAPIXELS)
    image = fitted(image)
    return Still(image, jpeg(image))


class Pictures:
    """Pictures that browsers fetch, by names that cannot be guessed; the oldest go."""

    def __init__(self) -> None:
        self._jpegs: Lru[str, bytes] = Lru(KEPT_PICTURES)

    def put(self, data: bytes) -> str:
        name = secrets.token_urlsafe(12)
        self._jpegs.put(name, data)
        return name

    def get(self, name: str) -> bytes | None:
        return self._jpegs.get(name)


class LivePicture:
    """The newest moment as JPEG, drawn once however many look, and only when somebody does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moment: Moment | None = None
        self._data = b""

    def of(self, moment: Moment) -> bytes:
        with self._lock:
            if moment is not self._moment:
                self._moment, self._data = moment, drawn(moment)
            return self._data
