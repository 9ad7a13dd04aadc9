"""Figures and their intervals against hand-made and simulated cases."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.metrics import DetectionAuc, IoUMeter, ScoreSeries, auc, bootstrap_interval


def test_auc_by_hand_and_empty() -> None:
    assert auc(np.array([2.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(3.5 / 4)
    assert np.isnan(auc(np.zeros(0), np.ones(2)))


def series(values: np.ndarray, units: list[str]) -> ScoreSeries:
    return ScoreSeries([float(v) for v in values], units)


def test_auc_is_the_share_of_pairs_in_order() -> None:
    """Against the definition, pair by pair, with ties."""
    rng = np.random.default_rng(3)
    positive, negative = rng.integers(0, 6, 30) / 5, rng.integers(0, 6, 20) / 5
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert auc(positive, negative) == pytest.approx(np.mean(pairs))


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(60):
        drawn = series(rng.normal(0.7, 0.2, 40), [str(n) for n in range(40)])
        low, high = bootstrap_interval([drawn], np.mean, seed=trial, resamples=300)
        covered += low <= 0.7 <= high
    assert covered >= 51  # 95 % of 60 is 57


def test_few_groups_give_wider_intervals() -> None:
    """Fifty answers of two kinds are two observations, not fifty."""
    values = np.repeat([0.2, 0.8], 25)
    single = bootstrap_interval([series(values, [str(n) for n in range(50)])], np.mean)
    grouped = bootstrap_interval([series(values, ["a"] * 25 + ["b"] * 25)], np.mean)
    assert grouped[1] - grouped[0] > 3 * (single[1] - single[0])


def test_one_group_has_no_interval() -> None:
    assert bootstrap_interval([series(np.array([0.2, 0.6]), ["a", "a"])], np.mean) == (0.4, 0.4)


def test_an_interval_is_the_range_of_all_resamples_by_hand() -> None:
    """Two units of values 0 and 1: the means of resamples are 0, 1/2 and 1; both ends are met in
    1/4 of them, far more than the 2.5 % that an end leaves out."""
    assert bootstrap_interval([series(np.array([0.0, 1.0]), ["a", "b"])], np.mean) == (0.0, 1.0)


def test_overlaps_report_choice_and_oracle() -> None:
    ious = IoUMeter()
    truth = np.zeros((4, 4), bool)
    truth[:2] = True
    ious.add(truth, truth, 1.0, "a")
    ious.add(~truth, truth, 0.6, "b")
    metrics = ious.metrics()
    assert metrics["miou"]["value"] == 0.5 and metrics["p50"]["value"] == 0.5
    assert metrics["oracle_miou"]["value"] == 0.8 and metrics["ciou"] == pytest.approx(
        8 / 24, abs=1e-4
    )


def test_separation_counts_both_errors() -> None:
    detection = DetectionAuc()
    for score in (0.9, 0.4):
        detection.present.add(score, "a")
    for score in (0.1, 0.6):
        detection.absent.add(score, "b")
    metrics = detection.metrics()
    assert metrics["auc"]["value"] == 0.75
    assert metrics["found_at_0.5"] == 0.5 and metrics["false_alarms_at_0.5"] == 0.5
    curve = detection.by_threshold()
    at = curve["threshold"].index(0.5)
    assert curve["found"][at] == 0.5 and curve["false_alarms"][at] == 0.5
    assert curve["found"][0] == 1.0 and curve["found"][-1] == 0.0
    assert curve["false_alarms"][1] == 1.0 and curve["false_alarms"][2] == 0.5
    assert DetectionAuc().by_threshold() == {}


def test_no_answers_no_figure() -> None:
    assert ScoreSeries().summary() == {"value": None, "n": 0}
