"""The measures against hand-computed cases and brute force."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from find_core.video.timeline import Interval
from training.evaluation.video.metrics import (
    TrackingMeter,
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
    """Six frames of two objects; tracks swap after the third frame."""
    meter = TrackingMeter()
    for _ in range(3):
        meter.add(masks(i1=0, i2=4), masks(i7=0, i8=4))
    for _ in range(3):
        meter.add(masks(i1=0, i2=4), masks(i8=0, i7=4))
    metrics = meter.metrics()
    assert metrics["id_switches"] == 2
    assert metrics["idf1"] == pytest.approx(2 * 6 / (12 + 12)), "half the frames fit either pairing"


def test_identities_missing_and_false():
    meter = TrackingMeter()
    for n in range(10):
        meter.add(masks(i1=0), masks(i5=0) if n < 6 else {})
    metrics = meter.metrics()
    assert metrics["idf1"] == pytest.approx(2 * 6 / (10 + 6)) and metrics["id_switches"] == 0
    false = TrackingMeter()
    false.add({}, masks(i1=3))
    assert false.metrics()["idf1"] == 0.0


def test_nothing_there_and_nothing_claimed():
    assert TrackingMeter().metrics() == {"idf1": 1.0, "id_switches": 0}
    empty = TrackingMeter()
    empty.add({}, {})
    assert empty.metrics()["idf1"] == 1.0


def test_a_new_id_after_a_gap_is_a_switch():
    meter = TrackingMeter()
    meter.add(masks(i1=0), masks(i5=0))
    meter.add(masks(i1=0), {})
    meter.add(masks(i1=0), masks(i6=0))
    assert meter.metrics()["id_switches"] == 1


def test_masks_that_overlap_too_little_are_no_match():
    wide, half = np.zeros((1, 10), bool), np.zeros((1, 10), bool)
    wide[:, :10], half[:, :4] = True, True
    meter = TrackingMeter()
    meter.add({1: wide}, {5: half})
    assert meter.metrics()["idf1"] == 0.0


@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_feature_idf1_matches_brute_force(frames):
    """Three still objects; each frame gives each one a track id (0: none; doubled ids dropped)."""
    meter, together, claimed = TrackingMeter(), Counter(), 0
    for frame in frames:
        tracks = {}
        for place, track in enumerate(frame):
            if track and track not in tracks:
                tracks[track] = np.arange(8)[None] == place
                together[place, track] += 1
        claimed += len(tracks)
        meter.add(masks(i1=0, i2=1, i3=2), tracks)
    best = max(
        sum(together[place, track] for place, track in enumerate(order))
        for order in itertools.permutations((1, 2, 3))
    )
    assert meter.metrics()["idf1"] == pytest.approx(2 * best / (3 * len(frames) + claimed))


def test_mean_interval():
    out = mean_interval([1.0, 0.0, 1.0, 1.0, float("nan")])
    assert out["value"] == 0.75 and out["n"] == 4 and 0 <= out["low"] < 0.75 < out["high"] <= 1
    assert mean_interval([])["n"] == 0
