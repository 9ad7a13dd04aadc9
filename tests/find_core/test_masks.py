"""Masks taken apart, and put together again only where that is right."""

from __future__ import annotations

import contextlib
import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from find_core import masks
from find_core.errors import FindError
from find_core.masks import (
    box_of_mask,
    mask_iou,
    mask_to_rle,
    rle_to_mask,
    split_disconnected,
    split_instance,
)
from find_core.results import Instance
from tests.find_core.tasks.full_size import ArrayObjects


def rectangles_instance(*boxes, score=0.9, size=(80, 120)):
    """An instance whose mask is the union of rectangles (x, y, w, h)."""
    mask = np.zeros(size, bool)
    for x, y, w, h in boxes:
        mask[y : y + h, x : x + w] = True
    return Instance(score, mask, box_of_mask(mask), np.eye(4)[0])


def boxes(instances):
    return sorted(tuple(int(v) for v in i.box_xyxy) for i in instances)


def test_smoke_two_look_alikes_in_one_mask():
    both = rectangles_instance((10, 10, 20, 20), (60, 30, 20, 24))
    parts = split_instance(both)
    assert boxes(parts) == [(10, 10, 30, 30), (60, 30, 80, 54)]
    assert [p.mask.sum() for p in parts] == [480, 400], "largest first"
    assert all(p.score == both.score for p in parts)


@pytest.mark.parametrize(
    "parts",
    [
        [(10, 10, 20, 20)],
        [(10, 10, 20, 20), (34, 10, 20, 20)],  # one thing behind a narrow pole
        [(10, 24, 24, 40), (12, 4, 20, 16)],  # a bottle and its cap
    ],
)
def test_what_stays_whole(parts):
    whole = rectangles_instance(*parts)
    assert split_instance(whole) == [whole]


@pytest.mark.parametrize(
    "proposals, expected",
    [
        ([[(10, 10, 20, 20)], [(34, 10, 20, 20)]], 2),  # look-alikes side by side
        ([[(10, 10, 44, 20)]], 1),  # one proposal has both
        ([[(10, 10, 20, 20)]], 1),  # only one part has its own
        ([[(10, 10, 20, 20)], [(0, 10, 120, 20)]], 1),  # the other one's is mostly something else
        ([], 1),
    ],
)
def test_near_parts_are_two_where_each_has_a_proposal_of_its_own(proposals, expected):
    whole = rectangles_instance((10, 10, 20, 20), (34, 10, 20, 20))
    objects = np.zeros((len(proposals), *whole.mask.shape), bool)
    for mask, rows in zip(objects, proposals):
        mask |= rectangles_instance(*rows).mask
    assert len(split_instance(whole, ArrayObjects(lambda: objects))) == expected
    assert len(split_disconnected([whole], ArrayObjects(lambda: objects))) == expected


def test_proposals_are_only_asked_for_where_parts_lie_near():
    def never():
        raise AssertionError("asked")

    asked = ArrayObjects(never)

    assert len(split_instance(rectangles_instance((10, 10, 20, 20)), asked)) == 1
    assert len(split_instance(rectangles_instance((10, 10, 20, 20), (90, 10, 20, 20)), asked)) == 2


def test_fragments_are_dropped():
    parts = split_instance(rectangles_instance((10, 10, 20, 20), (60, 30, 5, 5)))
    assert boxes(parts) == [(10, 10, 30, 30)]


def test_three_in_a_row_two_of_them_near():
    parts = split_instance(rectangles_instance((0, 0, 20, 20), (23, 0, 20, 20), (80, 0, 20, 20)))
    assert boxes(parts) == [(0, 0, 43, 20), (80, 0, 100, 20)]


def test_what_two_masks_share_stands_once():
    both, one = (
        rectangles_instance((10, 10, 20, 20), (60, 30, 20, 20)),
        rectangles_instance((60, 30, 20, 19), score=0.95),
    )
    kept = split_disconnected([both, one])
    assert boxes(kept) == [(10, 10, 30, 30), (60, 30, 80, 49)] and kept[0].score == 0.95


def test_neighbours_that_overlap_a_little_are_both_kept():
    assert (
        len(
            split_disconnected(
                [rectangles_instance((10, 10, 30, 20)), rectangles_instance((35, 10, 30, 20))]
            )
        )
        == 2
    )


def test_empty():
    assert split_disconnected([]) == [] and len(split_instance(rectangles_instance())) == 1


def test_iou_by_hand():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert mask_iou(a, b) == 1.0, "two empty masks agree"
    a[:, :2] = True
    assert mask_iou(a, b) == 0.0
    b[:, 1:3] = True
    assert mask_iou(a, b) == pytest.approx(4 / 12)


rectangles = st.tuples(
    st.integers(0, 100), st.integers(0, 60), st.integers(2, 30), st.integers(2, 30)
)


@given(st.lists(rectangles, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_feature_parts_are_disjoint_and_inside(shapes):
    whole = rectangles_instance(*shapes)
    parts = split_instance(whole)
    total = np.sum([p.mask for p in parts], axis=0)
    assert total.max() == 1 and not (total.astype(bool) & ~whole.mask).any()
    assert boxes(split_disconnected(parts)) == boxes(parts)


@given(
    st.lists(rectangles, min_size=2, max_size=4),
    st.lists(rectangles, max_size=4),
    st.integers(0, 4),
)
@settings(max_examples=80, deadline=None)
def test_near_parts_by_proposals_equal_a_slow_reading(shapes, proposals, own):
    """Counts over whole masks instead of windows."""
    mask = rectangles_instance(*shapes).mask
    objects = np.array([rectangles_instance(p).mask for p in [*proposals, *shapes[:own]]])
    objects = objects.reshape(-1, *mask.shape).astype(bool)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    for a, b in itertools.permutations(range(1, count), 2):

        def owned(own, other):
            return any(
                (o & own).sum() >= 0.6 * own.sum()
                and (o & own).sum() >= 0.5 * o.sum()
                and (o & other).sum() <= 0.2 * other.sum()
                for o in objects
            )

        in_a, in_b = labels == a, labels == b
        expected = owned(in_a, in_b) and owned(in_b, in_a)
        assert (
            masks._two_objects(labels, stats, a, b, (0, 0), ArrayObjects(lambda: objects))
            == expected
        )


@given(
    height=st.integers(1, 40), width=st.integers(1, 40), share=st.floats(0, 1), seed=st.integers(0, 99)
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_rle_decodes_as_pycocotools_encodes(height, width, share, seed):
    from pycocotools import mask as coco

    mask = np.random.default_rng(seed).random((height, width)) < share
    rle = mask_to_rle(mask)
    assert np.array_equal(rle_to_mask(rle), mask)
    assert np.array_equal(rle_to_mask(rle), coco.decode(rle).astype(bool))
    plain = np.diff(np.flatnonzero(np.diff(mask.T.ravel(), prepend=not mask[0, 0], append=2)))
    runs = [0] * int(mask[0, 0]) + [int(n) for n in plain]
    assert np.array_equal(rle_to_mask({"size": [height, width], "counts": runs}), mask)


@pytest.mark.parametrize(
    "rle",
    [
        None, [], {}, {"size": [4, 4]}, {"counts": ""}, {"size": [4, 4], "counts": ""},
        {"size": [65536, 65536], "counts": "P"}, {"size": [24, 32, 1], "counts": "0"},
        {"size": [16384, 16384], "counts": "P"}, {"size": [4, 4], "counts": "0"},
        {"size": [4, 4], "counts": "Zo" * 40}, {"size": [4, 4], "counts": "ä1"},
        {"size": [4, 4], "counts": "P"}, {"size": ["4", 4], "counts": "`0"},
        {"size": [4.0, 4], "counts": "`0"}, {"size": [True, 4], "counts": "40"},
        {"size": [-4, -4], "counts": "`0"}, {"size": [10**400, 4], "counts": "`0"},
        {"size": [4, 4], "counts": [8, 9]}, {"size": [4, 4], "counts": [-1, 17]},
        {"size": [4, 4], "counts": [10**30]}, {"size": [4, 4], "counts": ["16"]},
        {"size": [4, 4], "counts": {"16": 0}}, {"size": [4, 4], "counts": 16},
    ],
)  # fmt: skip
def test_exception_of_foreign_rle(rle):
    with pytest.raises(FindError, match=r"RLE"):
        rle_to_mask(rle)


@given(st.binary(max_size=30), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=300, deadline=None)
def test_any_counts_give_a_mask_or_an_error(counts, height, width):
    with contextlib.suppress(FindError):
        mask = rle_to_mask({"size": [height, width], "counts": counts})
        assert mask.shape == (height, width) and mask.dtype == np.bool_


def test_exception_of_a_mask_of_another_size():
    with pytest.raises(FindError, match="4x5, its image 5x4"):
        rle_to_mask(mask_to_rle(np.zeros((4, 5), bool)), (5, 4))
