"""Figures and their intervals against hand-made and simulated cases."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.metrics import Answers, Overlaps, Separation, auc, bootstrap, mask_iou


def test_iou_by_hand() -> None:
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert mask_iou(a, b) == 1.0
    a[:, :2], b[:, 1:3] = True, True
    assert mask_iou(a, b) == pytest.approx(4 / 12)


def test_auc_by_hand_and_empty() -> None:
    assert auc(np.array([2.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(3.5 / 4)
    assert np.isnan(auc(np.zeros(0), np.ones(2)))


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(60):
        values = rng.normal(0.7, 0.2, 40)
        low, high = bootstrap(values, [str(n) for n in range(40)], np.mean, seed=trial, rounds=300)
        covered += low <= 0.7 <= high
    assert covered >= 51  # 95 % of 60 is 57


def test_few_groups_give_wider_intervals() -> None:
    """Fifty answers of two kinds are two observations, not fifty."""
    values = np.repeat([0.2, 0.8], 25)
    single = bootstrap(values, [str(n) for n in range(50)], np.mean)
    grouped = bootstrap(values, ["a"] * 25 + ["b"] * 25, np.mean)
    assert grouped[1] - grouped[0] > 3 * (single[1] - single[0])


def test_overlaps_report_choice_and_oracle() -> None:
    overlaps = Overlaps()
    truth = np.zeros((4, 4), bool)
    truth[:2] = True
    overlaps.add(truth, truth, 1.0, "a")
    overlaps.add(~truth, truth, 0.6, "b")
    figures = overlaps.figures()
    assert figures["miou"]["value"] == 0.5 and figures["p50"]["value"] == 0.5
    assert figures["oracle_miou"]["value"] == 0.8 and figures["ciou"] == pytest.approx(
        8 / 24, abs=1e-4
    )


def test_separation_counts_both_errors() -> None:
    separation = Separation()
    for score in (0.9, 0.4):
        separation.present.add(score, "a")
    for score in (0.1, 0.6):
        separation.absent.add(score, "b")
    figures = separation.figures()
    assert figures["auc"]["value"] == 0.75
    assert figures["found_at_0.5"] == 0.5 and figures["false_alarms_at_0.5"] == 0.5
    curve = separation.by_threshold()
    at = curve["threshold"].index(0.5)
    assert curve["found"][at] == 0.5 and curve["false_alarms"][at] == 0.5
    assert curve["found"][0] == 1.0 and curve["found"][-1] == 0.0
    assert curve["false_alarms"][1] == 1.0 and curve["false_alarms"][2] == 0.5
    assert Separation().by_threshold() == {}


def test_no_answers_no_figure() -> None:
    assert Answers().figure() == {"value": None, "n": 0}
