"""Masks: boxes, run lengths, overlaps, and the connected parts of one mask.

Networks let look-alikes share a mask. To follow objects, or to reach for one, they must be apart: one
mask that covers two separate objects is two instances.

Letters: H rows, W columns of an image, Q object proposals.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

import cv2
import numpy as np

from find_core.errors import FindError
from find_core.images import MAX_MEGAPIXELS, MAX_SIDE_PX
from find_core.support.printable import quoted

MIN_SHARE = 0.25  # of the largest part: smaller ones are fragments, and dropped
MIN_GAP = 0.35  # of the larger part: nearer ones may be one object behind a pole, or its lid
OWN_SHARE, OTHER_SHARE = 0.6, 0.2  # of two parts: what a proposal of the one covers of each
DUPLICATE_SHARE = 0.6  # of the smaller of two masks: covered so far, both are the same object


class Objects(Protocol):
    """The masks of an image's Q object proposals; only asked where parts lie near."""

    def covered(self, top: int, left: int, part: np.ndarray) -> np.ndarray:
        """(Q,) how many pixels each has of `part`, a bool array whose first pixel is (top, left)."""

    def area(self, number: int) -> int:
        """Pixels of one of them."""


class MaskedInstance(Protocol):
    """A dataclass with a score, a (H, W) bool mask and its box; `find_core.results.Instance`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def score(self) -> float: ...
    @property
    def mask(self) -> np.ndarray: ...
    @property
    def box_xyxy(self) -> np.ndarray: ...


AnyInstance = TypeVar("AnyInstance", bound=MaskedInstance)


def box_of_mask(mask: np.ndarray) -> np.ndarray:
    """Tight box (x1, y1, x2, y2) of a (H, W) bool mask, pixel edges, float64; zeros when empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return np.zeros(4)
    top, bottom = rows[0], rows[-1] + 1
    cols = np.flatnonzero(mask[top:bottom].any(axis=0))
    return np.array([cols[0], top, cols[-1] + 1, bottom], np.float64)


def mask_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two (H, W) bool masks, in [0, 1].

    Two empty masks agree: their IoU is 1. An empty mask and one that is not have 0.
    """
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def mask_to_rle(mask: np.ndarray) -> dict[str, Any]:
    """COCO RLE {"size": [H, W], "counts": str} of a (H, W) bool mask."""
    from pycocotools import mask as coco

    rle = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(s) for s in rle["size"]], "counts": rle["counts"].decode("ascii")}


def rle_to_mask(rle: Mapping[str, Any], size: tuple[int, int] | None = None) -> np.ndarray:
    """(H, W) bool mask of a COCO RLE.

    Decoded here, not in C: pycocotools believes the size and the runs that it is given.

    Args:
        rle: {"size": [H, W], "counts": str, bytes, or a list of run lengths}.
        size: (H, W) that it must have.

    Raises:
        FindError: not of that form, another size, or runs that do not sum to H * W.
    """
    height, width = _rle_size(rle, size)
    counts = rle["counts"]
    if isinstance(counts, str):
        counts = counts.encode("utf-8", "surrogatepass")  # beyond ASCII is no digit
    runs = _compressed_runs(counts) if isinstance(counts, bytes) else _plain_runs(counts)
    if runs is None or (runs < 0).any() or int(runs.sum()) != height * width:
        raise FindError(f"A mask's RLE is damaged: its runs do not cover {height}x{width} pixels.")
    values = np.arange(len(runs)) % 2 == 1  # runs of 0 and 1 in turn, down the columns
    return np.repeat(values, runs).reshape(width, height).T


def _rle_size(rle: Any, wanted: tuple[int, int] | None) -> tuple[int, int]:
    size = rle.get("size") if isinstance(rle, Mapping) else None
    if not isinstance(size, list | tuple) or len(size) != 2 or "counts" not in rle:
        raise FindError(f'A mask\'s RLE is {{"size": [H, W], "counts": ...}}, got {quoted(rle)}.')
    if any(type(s) is not int or not 0 < s <= MAX_SIDE_PX for s in size) or (
        size[0] * size[1] > MAX_MEGAPIXELS * 1e6
    ):
        raise FindError(f"A mask's RLE claims {quoted(size)} pixels: no image has that size.")
    if wanted is not None and tuple(size) != tuple(wanted):
        raise FindError(f"A mask is {size[0]}x{size[1]}, its image {wanted[0]}x{wanted[1]}.")
    return size[0], size[1]


def _compressed_runs(counts: bytes) -> np.ndarray | None:
    """(N,) int64 run lengths of COCO's text form; None where it is none.

    Each number is little-endian base 32, character 48 + digit, 32 more where another follows, the
    last digit's 16 its sign; from the fourth on it is the difference to the last but one.
    """
    digits = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if not len(digits) or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        return None
    last = np.flatnonzero((digits & 32) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    if (last - first).max() > 6:  # 35 bits: more than any image has pixels
        return None
    shift = 5 * (np.arange(len(digits)) - np.repeat(first, last - first + 1))
    numbers = np.add.reduceat((digits & 31) << shift, first)
    numbers -= np.where(digits[last] & 16, np.int64(1) << shift[last] + 5, 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def _plain_runs(counts: Any) -> np.ndarray | None:
    if not isinstance(counts, list) or not all(type(c) is int and 0 <= c < 2**32 for c in counts):
        return None
    return np.array(counts, np.int64)


def split_disconnected(
    instances: Iterable[AnyInstance], objects: Objects | None = None
) -> list[AnyInstance]:
    """Instances whose masks are taken apart where their parts lie apart, best first, none twice.

    Args:
        instances: with (H, W) bool masks; parts keep the score and embedding of their whole.
        objects: see `connected_parts`.
    """
    return without_duplicates(
        part for instance in instances for part in split_instance(instance, objects)
    )


def split_instance(instance: AnyInstance, objects: Objects | None = None) -> list[AnyInstance]:
    """The instance itself, or one for each of its `connected_parts`, largest first."""
    masks = connected_parts(instance.mask, objects)
    if len(masks) == 1 and masks[0] is instance.mask:
        return [instance]
    return [dataclasses.replace(instance, mask=m, box_xyxy=box_of_mask(m)) for m in masks]


def without_duplicates(instances: Iterable[AnyInstance]) -> list[AnyInstance]:
    """Best first; of instances that cover the same object the best alone."""
    kept: list[AnyInstance] = []
    for instance in sorted(instances, key=lambda i: -i.score):
        if not any(is_duplicate(instance, other) for other in kept):
            kept.append(instance)
    return kept


def is_duplicate(a: MaskedInstance, b: MaskedInstance) -> bool:
    """Does either mask cover most of the other? Never true of an empty mask."""
    low = np.maximum(a.box_xyxy[:2], b.box_xyxy[:2]).astype(int)
    high = np.minimum(a.box_xyxy[2:], b.box_xyxy[2:]).astype(int)
    if (high <= low).any():
        return False
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    shared = np.count_nonzero(a.mask[window] & b.mask[window])
    smaller = min(np.count_nonzero(a.mask), np.count_nonzero(b.mask))
    return shared > DUPLICATE_SHARE * smaller


def connected_parts(mask: np.ndarray, objects: Objects | None = None) -> list[np.ndarray]:
    """The (H, W) bool mask itself, or its parts that stand well apart, largest first.

    Small fragments are dropped.

    Args:
        objects: tells near parts apart: where each has an object proposal of its own, they are two
            look-alikes side by side rather than one object behind a pole.
    """
    left, top, right, bottom = box_of_mask(mask).astype(int)
    window = np.s_[top:bottom, left:right]
    inside = np.ascontiguousarray(mask[window]).view(np.uint8)
    if not inside.size:
        return [mask]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    if count <= 2:
        return [mask]
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = [int(n) + 1 for n in np.argsort(-areas) if areas[n] >= MIN_SHARE * areas.max()]
    groups: list[list[int]] = []
    for label in large:
        near = [
            g
            for g in groups
            if any(
                not _apart(stats[label], stats[k])
                and not (objects and _two_objects(labels, stats, label, k, (top, left), objects))
                for k in g
            )
        ]
        joined = [k for g in near for k in g] + [label]
        groups = [g for g in groups if g not in near] + [joined]
    if len(groups) == 1 and len(groups[0]) == count - 1:  # whole, and no fragments to drop
        return [mask]
    groups.sort(key=lambda group: stats[group, cv2.CC_STAT_AREA].sum())
    parts = np.zeros((len(groups), *mask.shape), bool)
    for part, group in zip(parts, groups, strict=True):
        belongs = np.zeros(count, bool)
        belongs[group] = True
        part[window] = belongs[labels]
    return list(parts[::-1])


def _apart(a: np.ndarray, b: np.ndarray) -> bool:
    """Do the boxes (x, y, w, h, area) of two parts leave a gap that is wide for their size?"""
    gap_x = max(a[0], b[0]) - min(a[0] + a[2], b[0] + b[2])
    gap_y = max(a[1], b[1]) - min(a[1] + a[3], b[1] + b[3])
    gap = float(np.hypot(max(gap_x, 0), max(gap_y, 0)))
    larger = max(np.hypot(a[2], a[3]), np.hypot(b[2], b[3]))
    return bool(gap > MIN_GAP * larger)


def _two_objects(
    labels: np.ndarray, stats: np.ndarray, a: int, b: int, origin: tuple[int, int], objects: Objects
) -> bool:
    """Has each of two parts an object proposal that is mostly it, and hardly the other?

    Args:
        origin: (y, x) of the first label.
    """
    on_a_Q, on_b_Q = (_covered(labels, stats, part, origin, objects) for part in (a, b))
    area_a, area_b = stats[a, cv2.CC_STAT_AREA], stats[b, cv2.CC_STAT_AREA]

    def owned(own_Q: np.ndarray, own: int, other_Q: np.ndarray, other: int) -> bool:
        fitting = (own_Q >= OWN_SHARE * own) & (other_Q <= OTHER_SHARE * other)
        return any(own_Q[q] >= 0.5 * objects.area(int(q)) for q in np.flatnonzero(fitting))

    return owned(on_a_Q, area_a, on_b_Q, area_b) and owned(on_b_Q, area_b, on_a_Q, area_a)


def _covered(
    labels: np.ndarray, stats: np.ndarray, part: int, origin: tuple[int, int], objects: Objects
) -> np.ndarray:
    """(Q,) how many pixels of a part each object proposal covers."""
    x, y, width, height = (int(v) for v in stats[part, : cv2.CC_STAT_AREA])
    inside = labels[y : y + height, x : x + width] == part
    return objects.covered(origin[0] + y, origin[1] + x, inside)
