"""From masks to single things: one mask that covers two separate things is two instances.

Networks let look-alikes share a mask. To follow things, or to reach for one, they must be apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from find_core.results import Instance, box_of_mask

MIN_SHARE = 0.25  # of the largest part: smaller ones are crumbs
MIN_GAP = 0.35  # of the larger part: nearer ones may be one thing behind a pole, or its lid
OWN_SHARE, OTHER_SHARE = 0.6, 0.2  # of two parts: what a proposal of the one covers of each
SAME_SHARE = 0.6  # of the smaller of two masks: covered so far, both are the same thing


Objects = Callable[[], np.ndarray]
"""Gives (Q, H, W) bool masks of a picture's object proposals; only asked where parts lie near."""


def single_things(instances: Sequence[Instance], objects: Objects | None = None) -> list[Instance]:
    """Instances whose masks are taken apart where their parts lie apart, best first, none twice.

    Args:
        instances: with (H, W) bool masks; parts keep the score and embedding of their whole.
        objects: see `mask_parts`.
    """
    parts = [part for instance in instances for part in parts_of(instance, objects)]
    kept: list[Instance] = []
    for part in sorted(parts, key=lambda p: -p.score):
        if not any(same(part, other) for other in kept):
            kept.append(part)
    return kept


def parts_of(instance: Instance, objects: Objects | None = None) -> list[Instance]:
    """The instance itself, or one for each of its `mask_parts`, largest first."""
    masks = mask_parts(instance.mask, objects)
    if len(masks) == 1 and masks[0] is instance.mask:
        return [instance]
    return [Instance(instance.score, m, box_of_mask(m), instance.embedding) for m in masks]


def mask_parts(mask: np.ndarray, objects: Objects | None = None) -> list[np.ndarray]:
    """The (H, W) bool mask itself, or its parts that stand well apart, largest first, less crumbs.

    Args:
        objects: tells near parts apart: where each has an object proposal of its own, they are two
            look-alikes side by side rather than one thing behind a pole.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
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
                and not (objects and _two_objects(labels == label, labels == k, objects()))
                for k in g
            )
        ]
        joined = [k for g in near for k in g] + [label]
        groups = [g for g in groups if g not in near] + [joined]
    if len(groups) == 1 and len(groups[0]) == count - 1:  # whole, and no crumbs to drop
        return [mask]
    parts = sorted((np.isin(labels, group) for group in groups), key=np.count_nonzero)
    return parts[::-1]


def part_at(mask: np.ndarray, marked: np.ndarray, objects: Objects | None = None) -> np.ndarray:
    """(H, W) bool: the parts of a (H, W) bool mask that a (H, W) bool mark touches.

    The whole mask where it has one part, or where the mark lies beside it.
    """
    touched = [part for part in mask_parts(mask, objects) if (part & marked).any()]
    return np.logical_or.reduce(touched) if touched else mask


def _apart(a: np.ndarray, b: np.ndarray) -> bool:
    """Do the boxes (x, y, w, h, area) of two parts leave a gap that is wide for their size?"""
    gap_x = max(a[0], b[0]) - min(a[0] + a[2], b[0] + b[2])
    gap_y = max(a[1], b[1]) - min(a[1] + a[3], b[1] + b[3])
    gap = float(np.hypot(max(gap_x, 0), max(gap_y, 0)))
    larger = max(np.hypot(a[2], a[3]), np.hypot(b[2], b[3]))
    return bool(gap > MIN_GAP * larger)


def _two_objects(a: np.ndarray, b: np.ndarray, objects_QHW: np.ndarray) -> bool:
    """Has each of two parts an object proposal that is mostly it, and hardly the other?"""
    area_Q = np.count_nonzero(objects_QHW, axis=(1, 2))
    on_a_Q = np.count_nonzero(objects_QHW[:, a], axis=1)
    on_b_Q = np.count_nonzero(objects_QHW[:, b], axis=1)

    def owned(own_Q: np.ndarray, own: np.ndarray, other_Q: np.ndarray, other: np.ndarray) -> bool:
        much = (own_Q >= OWN_SHARE * np.count_nonzero(own)) & (own_Q >= 0.5 * area_Q)
        return bool((much & (other_Q <= OTHER_SHARE * np.count_nonzero(other))).any())

    return owned(on_a_Q, a, on_b_Q, b) and owned(on_b_Q, b, on_a_Q, a)


def same(a: Instance, b: Instance) -> bool:
    """Does either mask cover most of the other?"""
    low = np.maximum(a.box_xyxy[:2], b.box_xyxy[:2]).astype(int)
    high = np.minimum(a.box_xyxy[2:], b.box_xyxy[2:]).astype(int)
    if (high <= low).any():
        return False
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    shared = np.count_nonzero(a.mask[window] & b.mask[window])
    smaller = min(np.count_nonzero(a.mask), np.count_nonzero(b.mask))
    return shared > SAME_SHARE * smaller
