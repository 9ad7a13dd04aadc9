"""Coarse to fine: the right moments, with few frames looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from find_core.video.search import candidate_runs, find_moments
from find_core.video.sources.base import SourceFrame
from tests.find_core.video.fakes import ColorFind, paint

VISITS = [(30.3, 34.1, 18), (100.0, 160.0, 14), (200.5, 202.9, 20)]  # start, stop, size


class LongSource:
    """Five minutes at 20 frames a second; red comes three times."""

    name = identity = "long"
    is_live, frame_count, duration_s = False, 6000, 300.0

    def __init__(self, visits=VISITS):
        self.visits = visits

    def frames(self, start_s=0.0, stop_s=float("inf"), first_index=0):
        for n in range(int(np.ceil(start_s * 20 - 1e-6)), 6000):
            if n / 20 >= stop_s:
                return
            yield self.frame(n)

    def sample(self, period_s):
        for n in range(0, 6000, round(period_s * 20)):
            yield self.frame(n)

    def frame(self, n):
        sizes = [size for start, stop, size in self.visits if start <= n / 20 < stop]
        boxes = [("red", 10, 10, size, size) for size in sizes]
        return SourceFrame(n, n / 20, n * 50_000_000, paint(boxes, 40, 48))


def test_finds_all_visits_where_they_are():
    find = ColorFind(full_area=400)
    report = find_moments(LongSource(), find, ["the <red>"], count=3, period_s=1.0)
    got = [(m.interval.start_s, m.interval.end_s, m.found) for m in report.moments[0]]
    expected = [VISITS[2], VISITS[0]]  # the third scores 196 / 400 and stays below the threshold
    assert len(got) == 2 and all(found for *_, found in got)
    for (start, end, _), (a, b, _) in zip(got, expected, strict=True):
        assert abs(start - a) <= 0.45 and abs(end - b) <= 0.45
    best = report.moments[0][0]
    assert best.frame.time_s == pytest.approx(best.interval.peak_s, abs=0.01)
    assert best.localization.entities[0].found
    assert find.encoded == report.encoded < 6000 * 0.08


def test_long_stretch_costs_little_and_has_exact_edges():
    find = ColorFind(full_area=150)
    report = find_moments(LongSource([(100.0, 160.0, 14)]), find, ["<red>"], count=1)
    (moment,) = report.moments[0]
    assert abs(moment.interval.start_s - 100) <= 0.3 and abs(moment.interval.end_s - 160) <= 0.3
    assert report.encoded < 300 + 80


def test_nothing_to_find_gives_the_best_there_is_marked_as_not_found():
    report = find_moments(LongSource([(50.0, 55.0, 5)]), ColorFind(), ["<red>"], count=3)
    (first, *_) = report.moments[0]
    assert not first.found and 48 <= first.interval.peak_s <= 57


def test_several_prompts_share_the_coarse_pass():
    find = ColorFind(full_area=400)
    report = find_moments(LongSource(), find, ["<red>", "<blue>"], count=1)
    assert report.moments[0][0].found and not report.moments[1][0].found
    assert report.coarse.shape == (2, 300)


def test_candidate_runs_small_case():
    values = np.array([0, 0, 0.9, 0.8, 0, 0, 0.5, 0, 0, 0.0])
    assert candidate_runs(np.arange(10.0), values, 2) == [(2.0, 3.0), (6.0, 6.0)]
    assert candidate_runs(np.zeros(0), np.zeros(0), 3) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_feature_candidate_runs_are_disjoint_and_hold_the_best(values, count):
    times = np.arange(len(values), dtype=float)
    runs = candidate_runs(times, np.array(values), count)
    assert 1 <= len(runs) <= count
    assert runs[0][0] <= int(np.argmax(values)) <= runs[0][1]
    for a, b in zip(sorted(runs), sorted(runs)[1:], strict=False):
        assert a[1] < b[0]
