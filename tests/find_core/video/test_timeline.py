"""Smoothing and intervals: exact small cases, a slow twin, and properties."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from find_core.video.timeline import (
    Interval,
    IntervalSegmenter,
    Smoother,
    TimelineConfig,
    best_moments,
    segment_intervals,
    smooth_both_ways,
)

CONFIG = TimelineConfig(smooth_s=0.0, enter=0.5, leave=0.35, gap_s=0.3, min_s=0.2)


def test_smoother_does_not_depend_on_the_frame_rate():
    ends = []
    for fps in (5, 50):
        smoother = Smoother(0.4)
        smoother.update(0.0, 0.0)
        for n in range(1, fps + 1):
            value = smoother.update(n / fps, 1.0)
        ends.append(value)
    np.testing.assert_allclose(ends, 1 - np.exp(-1 / 0.4))


def test_smoothing_both_ways_has_no_lag():
    times = np.arange(0, 10, 0.1)
    step = ((times >= 3) & (times < 7)).astype(float)
    smooth = smooth_both_ways(times, step, 0.3)
    inside = times[smooth >= 0.5]
    assert abs(inside[0] - 3) < 0.11 and abs(inside[-1] - 6.9) < 0.11
    np.testing.assert_allclose(smooth, smooth_both_ways(-times[::-1], step[::-1], 0.3)[::-1])


def test_smoothing_stops_at_a_cut():
    times, values = np.arange(6.0), np.array([0, 0, 0, 1, 1, 1.0])
    np.testing.assert_array_equal(smooth_both_ways(times, values, 5.0, breaks=[3]), values)


def test_hysteresis_gap_and_minimum():
    def cut(values):
        found = segment_intervals(np.arange(len(values)) / 10, values, CONFIG)
        return [(round(i.start_s, 3), round(i.end_s, 3)) for i in found]

    assert cut([0, 0.6, 0.4, 0.4, 0.6, 0, 0, 0, 0, 0]) == [(0.1, 0.5)], "0.4 holds it open"
    assert cut([0, 0.4, 0.4, 0.4, 0]) == [], "0.4 does not open it"
    assert cut([0.6, 0.6, 0.6, 0, 0, 0.6, 0.6]) == [(0.0, 0.7)], "a short dip is bridged"
    assert cut([0.6] * 3 + [0] * 4 + [0.6] * 3) == [(0.0, 0.3), (0.7, 1.0)], "a long one is not"
    assert cut([0, 0.9, 0, 0, 0, 0, 0]) == [], "one frame is too short"


def test_a_hole_in_time_closes_the_interval():
    times = [0.0, 0.1, 0.2, 0.3, 60.0, 60.1, 60.2, 60.3]
    found = segment_intervals(times, [0.9] * 8, CONFIG)
    assert [round(i.duration_s, 1) for i in found] == [0.3, 0.4]


def test_open_interval_is_reported_once_long_enough():
    cutter = IntervalSegmenter(CONFIG)
    opened = []
    for n in range(5):
        cutter.update(n / 10, 0.8)
        opened.append(cutter.open)
    assert opened[1] is None and opened[2].end_s == 0.2 and opened[4].end_s == 0.4


def moments(values, count=5):
    found = best_moments(np.arange(len(values)) / 10, values, CONFIG, count)
    return [(round(i.start_s, 3), round(i.end_s, 3)) for i in found]


def test_best_moments_by_score_then_time():
    far = [0.0] * 5
    values = [*far, 0.6, 0.6, 0.6, *far, 0.9, 0.9, 0.9, *far, 0.9, 0.9, 0.9, *far]
    assert moments(values) == [(1.3, 1.6), (2.1, 2.4), (0.5, 0.8)]
    assert moments(values, 1) == [(1.3, 1.6)] and moments(values, 0) == []


def test_a_weak_curve_has_a_best_moment_but_no_interval():
    far = [0.01] * 5
    weak = [*far, 0.15, 0.2, 0.18, *far]
    assert segment_intervals(np.arange(len(weak)) / 10, weak, CONFIG) == []
    assert moments(weak) == [(0.5, 0.8)]
    assert moments([0.01, 0.2, *far]) == [(0.1, 0.2)], "shorter than an interval may be"
    assert moments([0.0] * 9) == [(0.0, 0.1)] and moments([]) == []


def test_no_weak_moments_beside_claimed_ones():
    far = [0.0] * 5
    assert moments([*far, 0.45, 0.45, 0.45, *far, 0.8, 0.8, 0.8, *far]) == [(1.3, 1.6)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=60), st.floats(0.05, 0.45))
def test_the_best_moment_of_a_weak_curve_does_not_depend_on_its_scale(values, peak):
    weak = np.array(values) * peak / max(values)
    assert moments(weak) == moments(weak * 0.5) and moments(weak)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60))
def test_claimed_moments_are_the_intervals_of_a_strong_curve(values):
    values = [*values, 1.0, 1.0, 1.0]  # its peak keeps the thresholds where they are
    times = np.arange(len(values)) / 10
    claimed = segment_intervals(times, values, CONFIG)
    assert sorted(best_moments(times, values, CONFIG, 99), key=lambda i: i.start_s) == claimed


def test_overlap():
    a, b = Interval(0, 4, 1, 0, 1), Interval(2, 6, 1, 0, 1)
    assert a.overlap(b) == b.overlap(a) == 2 / 6
    assert a.overlap(Interval(5, 6, 1, 5, 1)) == 0 and a.overlap(a) == 1


curves = st.lists(st.floats(0, 1), min_size=1, max_size=60)


@given(curves, st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_feature_intervals_are_ordered_disjoint_and_start_above_enter(values, seed):
    gaps = np.random.default_rng(seed).uniform(0.01, 0.4, len(values))
    times = np.cumsum(gaps)
    found = segment_intervals(times, values, CONFIG)
    for interval in found:
        assert interval.duration_s >= CONFIG.min_s
        assert values[int(np.argmin(np.abs(times - interval.start_s)))] >= CONFIG.enter
        assert CONFIG.leave <= interval.score <= interval.peak <= 1
    for before, after in pairwise(found):
        assert before.end_s <= after.start_s


@given(curves, st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_feature_state_round_trip(values, cut_at):
    """Stopping and restoring anywhere gives what an uninterrupted run gives."""
    whole, first, second = (IntervalSegmenter(CONFIG) for _ in range(3))
    expected, got = [], []
    for n, value in enumerate(values):
        expected.append(whole.update(n / 10, value))
        if n == cut_at:
            second.restore(first.state())
        got.append((first if n < cut_at else second).update(n / 10, value))
    assert got == expected


@given(curves)
@settings(max_examples=40, deadline=None)
def test_feature_smoothing_stays_within_the_values(values):
    smooth = smooth_both_ways(np.arange(len(values)) / 7, values, 0.3)
    assert smooth.min() >= min(values) - 1e-12 and smooth.max() <= max(values) + 1e-12
