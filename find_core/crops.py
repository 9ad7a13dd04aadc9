"""Masks where they are: logits of proposals at the resized size, in a box around what is positive.

Bilinear interpolation makes a pixel positive only where one of its neighbours is. So the box of a
mask's positive cells, a little wider, has all of it at every size: what is decided about a mask is
decided in its box at the resized size, and only what is returned goes to the original size.

Letters: N proposals (Q object queries), h/w 1/4 of the padded input, y/x pixels of a crop.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from find_core.masks import box_of_mask
from find_core.model.image_state import resize
from find_core.preprocess import Geometry

CELL_PX = 4  # of the resized image, each side
BAND_PX = 2**15  # 128 KiB of float32
MARGIN = 2  # cells: the first is touched by the positive ones, the second by its neighbours
BESIDE = np.float32(-1)  # any negative number


@dataclass(frozen=True, eq=False)
class Crop:
    """One mask: its logits at the resized size in a box around it.

    Attributes:
        top, left: of the box, pixels of the resized image.
        logits_yx: float32; outside the box none is positive. Nothing (0, 0) of an empty mask.
    """

    geometry: Geometry
    top: int
    left: int
    logits_yx: np.ndarray

    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the resized image."""
        height, width = self.logits_yx.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def resized_mask(self) -> np.ndarray:
        """Bool mask at the resized size."""
        mask = np.zeros(self.geometry.resized, bool)
        mask[self.window()] = self.logits_yx > 0
        return mask

    def only(self, part: np.ndarray) -> Crop:
        """The mask without what lies outside of `part`, a bool mask at the resized size.

        A part is one or more 8-connected components of the mask. The positive ones of a pixel's four
        neighbours touch, and so belong to one component: no pixel is of two parts.
        """
        others = (self.logits_yx > 0) & ~part[self.window()]
        if not others.any():
            return self
        logits = np.where(others, BESIDE, self.logits_yx)
        return _tight(self.geometry, self.top, self.left, logits)

    def bands(self) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Rows and columns of the original image and the logits there; none elsewhere is positive.

        A few rows at a time, which stay in the processor's cache; each overwrites the last.
        """
        if self.geometry.resized == self.geometry.original:
            yield *self.window(), self.logits_yx
            return
        (height, width), (tall, wide) = self.logits_yx.shape, self.geometry.original
        rows, (low, high, share) = _between(self.geometry.resized[0], tall, self.top, height)
        cols, (left, right, part) = _between(self.geometry.resized[1], wide, self.left, width)
        along = self.logits_yx.take(left, 1) * (1 - part)
        along += self.logits_yx.take(right, 1) * part
        together = max(1, BAND_PX // max(len(part), 1))
        upper, lower = np.empty((2, together, len(part)), np.float32)
        for start in range(0, len(share), together):
            band = slice(start, start + together)
            count = len(share[band])
            a = np.take(along, low[band], 0, upper[:count], mode="clip")
            b = np.take(along, high[band], 0, lower[:count], mode="clip")
            a *= 1 - share[band, None]
            b *= share[band, None]
            a += b
            yield slice(rows.start + start, rows.start + start + count), cols, a

    def score(self) -> float:
        """Mean mask probability inside the mask at the original size, as `postprocess.mask_scores`."""
        total, area = 0.0, 0
        for _, _, logits in self.bands():
            inside = torch.from_numpy(logits[logits > 0])
            total, area = total + float(inside.sigmoid().sum()), area + len(inside)
        return total / (area + 1e-6)

    def original(self) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) bool mask of the original image, and its box: (4,) float64, pixel edges."""
        mask = np.zeros(self.geometry.original, bool)
        bands = list[tuple[int, int]]()
        for rows, cols, logits in self.bands():
            np.greater(logits, 0, out=mask[rows, cols])
            bands += [(rows.start, cols.start), (rows.stop, cols.stop)]
        if not bands:
            return mask, np.zeros(4)
        (top, left), (bottom, right) = bands[0], bands[-1]
        box = box_of_mask(mask[top:bottom, left:right])
        return mask, box + [left, top, left, top] if box.any() else box


def crops_of(logits_Nhw: np.ndarray, geometry: Geometry) -> list[Crop]:
    """Of (N, h, w) float32 mask logits at 1/4 of the padded input."""
    positive = logits_Nhw > 0
    boxes = zip(positive.any(2), positive.any(1), strict=True)
    return [
        _crop(logits, geometry, np.flatnonzero(rows), np.flatnonzero(cols))
        for logits, (rows, cols) in zip(logits_Nhw, boxes, strict=True)
    ]


def _crop(logits_hw: np.ndarray, geometry: Geometry, rows: np.ndarray, cols: np.ndarray) -> Crop:
    if not len(rows):
        return Crop(geometry, 0, 0, np.zeros((0, 0), np.float32))
    cells = [
        slice(max(int(kept[0]) - MARGIN, 0), int(kept[-1]) + 1 + MARGIN) for kept in (rows, cols)
    ]
    (top, left), pixels = _enlarged(logits_hw[None, cells[0], cells[1]], cells, geometry)
    return _tight(geometry, top, left, pixels[0])


def _tight(geometry: Geometry, top: int, left: int, logits_yx: np.ndarray) -> Crop:
    """The crop without the edges that no pixel of the mask, at any size, lies between."""
    x1, y1, x2, y2 = box_of_mask(logits_yx > 0).astype(int)
    if x2 == 0:
        return Crop(geometry, 0, 0, np.zeros((0, 0), np.float32))
    y1, x1 = max(y1 - 1, 0), max(x1 - 1, 0)
    return Crop(geometry, top + y1, left + x1, logits_yx[y1 : y2 + 1, x1 : x2 + 1])


def _enlarged(
    cells_Nhw: np.ndarray, window: Sequence[slice], geometry: Geometry
) -> tuple[tuple[int, int], np.ndarray]:
    """Cells of a window at 1/4 at the resized size without padding: (top, left), (N, y, x) pixels.

    As in the whole map but for the outer half of the window's outer cells, where its edge is not the
    map's.
    """
    step = CELL_PX
    height, width = cells_Nhw.shape[1:]
    grown = resize(torch.from_numpy(cells_Nhw)[None], (height * step, width * step))[0].numpy()
    top, left = window[0].start * step, window[1].start * step
    # A mask may lie in the padding alone: then nothing is left.
    rows, cols = max(geometry.resized[0] - top, 0), max(geometry.resized[1] - left, 0)
    return (top, left), grown[:, :rows, :cols]


class ObjectCrops:
    """The masks of an image's object proposals, each cropped when it is first asked for.

    Args:
        logits_Qhw: gives float32 logits at 1/4 of the padded input; called at most once.
    """

    def __init__(self, logits_Qhw: Callable[[], np.ndarray], geometry: Geometry) -> None:
        self._read, self._geometry = logits_Qhw, geometry
        self._crops: dict[int, Crop] = {}

    @functools.cached_property
    def _logits(self) -> np.ndarray:
        return self._read()

    def crops(self, numbers: Sequence[int]) -> list[Crop]:
        """Of the proposals with these numbers."""
        missing = [n for n in numbers if n not in self._crops]
        if missing:
            self._crops |= zip(
                missing, crops_of(self._logits[missing], self._geometry), strict=True
            )
        return [self._crops[n] for n in numbers]

    def covered(self, top: int, left: int, part: np.ndarray) -> np.ndarray:
        """See `find_core.masks.Objects`; pixels are those of the resized image."""
        starts = top, left
        cells = [
            slice(max(start // CELL_PX - 1, 0), (start + size) // CELL_PX + 2)
            for start, size in zip(starts, part.shape, strict=True)
        ]
        near = self._logits[:, cells[0], cells[1]]
        counts = np.zeros(len(near), np.int64)
        asked = np.flatnonzero((near > 0).any((1, 2)))
        if not len(asked):
            return counts
        (y, x), pixels = _enlarged(near[asked], cells, self._geometry)
        rows, cols = (
            slice(start - first, start - first + size)
            for start, first, size in zip(starts, (y, x), part.shape, strict=True)
        )
        counts[asked] = np.count_nonzero(pixels[:, rows, cols][:, part] > 0, axis=1)
        return counts

    def area(self, number: int) -> int:
        """Pixels of the resized image that the mask of this proposal has."""
        return int(np.count_nonzero(self.crops([number])[0].logits_yx > 0))


def _between(
    size: int, wanted: int, start: int, count: int
) -> tuple[slice, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Those of `wanted` samples of an axis of `size` pixels that lie in `count` pixels from `start`.

    Returns:
        which of the wanted ones, and of each its two neighbours, counted from `start`, and the
        second one's share (half-pixel centres, as `image_state.resize`).
    """
    low, high, share = _axis(size, wanted)
    first = int(np.searchsorted(low, start))
    last = int(np.searchsorted(high, start + count))
    part = slice(first, max(first, last))
    return part, (low[part] - start, high[part] - start, share[part])


@functools.lru_cache(maxsize=16)
def _axis(size: int, wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scale = np.float32(size) / np.float32(wanted)
    centres = (np.arange(wanted, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    centres = np.maximum(centres, 0)
    low = np.minimum(centres.astype(np.int64), size - 1)
    return low, np.minimum(low + 1, size - 1), centres - low.astype(np.float32)
