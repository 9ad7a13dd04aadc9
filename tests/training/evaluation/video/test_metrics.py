"""The measures against hand-computed cases and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from find_core.video.timeline import Interval
from training.evaluation.video.metrics import (
    Identities,
    intervals_of_presence,
    mean_interval,
    recall_at_1,
    temporal_iou,
)


def interval(start, end):
    return Interval(start, end, 1.0, start, 1.0)


def test_presence_to_intervals():
    found = intervals_of_presence([0, 1, 2, 3], [True, False, True, True], 4)
    assert [(i.start_s, i.end_s) for i in found] == [(0, 1), (2, 4)]
    assert intervals_of_presence([], [], 0) == []


def test_temporal_iou_by_hand():
    assert temporal_iou([interval(0, 4)], [interval(2, 6)]) == pytest.approx(2 / 6)
    assert temporal_iou([interval(0, 1), interval(5, 6)], [interval(0, 6)]) == pytest.approx(2 / 6)
    assert temporal_iou([], []) == 1 and temporal_iou([], [interval(0, 1)]) == 0


spans = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=4)


@given(spans, spans)
@settings(max_examples=60, deadline=None)
def test_feature_temporal_iou_matches_slow_twin(a, b):
    a, b = ([interval(s, s + d) for s, d in x] for x in (a, b))
    ticks = np.arange(0, 30, 0.5) + 0.25
    covered = [np.array([any(i.start_s <= t < i.end_s for i in x) for t in ticks]) for x in (a, b)]
    either = (covered[0] | covered[1]).sum()
    expected = (covered[0] & covered[1]).sum() / either if either else 1.0
    assert temporal_iou(a, b) == pytest.approx(expected)


def test_recall_at_1_looks_at_the_first_only():
    truth = [interval(10, 20)]
    assert recall_at_1([interval(11, 20), interval(0, 5)], truth)
    assert not recall_at_1([interval(0, 5), interval(11, 20)], truth)
    assert not recall_at_1([], truth)


def masks(**where):
    """a=3 -> instance at column 3 of a row of 8 pixels, one pixel each."""
    return {int(k[1:]): np.arange(8)[None] == v for k, v in where.items()}


def test_identities_by_hand():
    """Six frames of two things; tracks swap after the third frame."""
    ids = Identities()
    for _ in range(3):
        ids.add(masks(i1=0, i2=4), masks(i7=0, i8=4))
    for _ in range(3):
        ids.add(masks(i1=0, i2=4), masks(i8=0, i7=4))
    assert ids.switches == 2
    assert ids.idf1() == pytest.approx(2 * 6 / (12 + 12)), "half of the frames fit either pairing"


def test_identities_missing_and_false():
    ids = Identities()
    for n in range(10):
        ids.add(masks(i1=0), masks(i5=0) if n < 6 else {})
    assert ids.idf1() == pytest.approx(2 * 6 / (10 + 6)) and ids.switches == 0
    assert Identities().idf1() == 1.0
    false = Identities()
    false.add({}, masks(i1=3))
    assert false.idf1() == 0.0


def test_a_new_id_after_a_gap_is_a_switch():
    ids = Identities()
    ids.add(masks(i1=0), masks(i5=0))
    ids.add(masks(i1=0), {})
    ids.add(masks(i1=0), masks(i6=0))
    assert ids.switches == 1


@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_feature_idf1_matches_brute_force(frames):
    """Three still things; each frame gives each one a track id (0: none; doubled ids dropped)."""
    ids = Identities()
    for frame in frames:
        tracks = {}
        for place, track in enumerate(frame):
            if track and track not in tracks:
                tracks[track] = np.arange(8)[None] == place
        ids.add(masks(i1=0, i2=1, i3=2), tracks)
    best = max(
        sum(ids.together[t, k] for t, k in zip((1, 2, 3), order, strict=True))
        for order in itertools.permutations((1, 2, 3))
    )
    total = sum(ids.true_frames.values()) + sum(ids.track_frames.values())
    assert ids.idf1() == pytest.approx(2 * best / total)


def test_mean_interval():
    out = mean_interval([1.0, 0.0, 1.0, 1.0, float("nan")])
    assert out["value"] == 0.75 and out["n"] == 4 and 0 <= out["low"] < 0.75 < out["high"] <= 1
    assert mean_interval([])["n"] == 0
