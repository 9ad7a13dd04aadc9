"""Figures worked out by hand; intervals that cover what they should."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.bench.figures import MaskSums, Sums, figure, hit_probability, hits
from training.evaluation.bench.interactive import next_click
from training.evaluation.bench.model import Vectors
from training.evaluation.bench.retrieval import entry_scores, recalls


def columns(first: int, last: int) -> np.ndarray:
    mask = np.zeros((4, 10), bool)
    mask[:, first:last] = True
    return mask


def test_ciou_and_miou_by_hand() -> None:
    """IoUs 1/2 (8 of 16 pixels) and 1 (4 of 4): mIoU 3/4; cIoU (8 + 4) / (16 + 4) = 3/5."""
    sums = MaskSums()
    assert sums.add("a", columns(0, 2), columns(0, 4)) == 0.5
    assert sums.add("b", columns(5, 6), columns(5, 6)) == 1.0
    metrics = sums.metrics()
    assert metrics["ciou"]["value"] == 0.6 and metrics["miou"]["value"] == 0.75
    assert metrics["p50"]["value"] == 1.0, "an IoU of one half counts at 0.5"
    assert metrics["p60"]["value"] == 0.5 and metrics["p90"]["value"] == 0.5
    assert metrics["miou"]["images"] == 2 and metrics["miou"]["n"] == 2


def test_void_counts_for_nothing() -> None:
    sums = MaskSums()
    assert sums.add("a", columns(0, 4), columns(0, 2), void=columns(2, 4)) == 1.0
    assert sums.metrics()["ciou"]["value"] == 1.0


def test_an_image_counts_by_its_answers() -> None:
    sums = Sums(("hits", "asked"))
    sums.add("a", hits=3, asked=3)
    sums.add("b", hits=0, asked=1)
    assert sums.ratio("hits", "asked")["value"] == 0.75


def test_intervals_cover_the_truth_and_shrink() -> None:
    covered, widths = 0, {20: [], 200: []}
    for seed in range(40):
        for n in widths:
            values = np.random.default_rng((seed, n)).normal(0.5, 0.2, n)
            found = figure(n, lambda index, v=values: float(v[index].mean()), resamples=200)
            widths[n].append(found["high"] - found["low"])
            covered += n == 200 and found["low"] <= 0.5 <= found["high"]
    assert covered >= 34, f"{covered} of 40 intervals of 95 % cover the mean"
    assert np.mean(widths[200]) < 0.5 * np.mean(widths[20])


def test_intervals_are_the_same_every_time() -> None:
    values = np.random.default_rng(1).random(30)
    a, b = (figure(30, lambda i: float(values[i].mean())) for _ in range(2))
    assert a == b and a["low"] < a["value"] < a["high"]


def test_nothing_asked_and_one_image() -> None:
    assert figure(0, lambda i: 1.0) == {"value": None, "images": 0}
    assert figure(3, lambda i: float("nan"))["value"] is None
    assert figure(1, lambda i: 0.25) == {"value": 0.25, "low": 0.25, "high": 0.25, "images": 1}


@pytest.mark.parametrize(
    ("greater", "wrong", "right", "k", "chance"),
    [(0, 0, 1, 1, 1.0), (1, 0, 1, 1, 0.0), (0, 1, 1, 1, 0.5), (2, 3, 1, 4, 0.5),
     (0, 4, 1, 10, 1.0), (0, 2, 2, 1, 0.5), (0, 2, 2, 2, 1 - (2 / 4) * (1 / 3))],
)  # fmt: skip
def test_equal_scores_count_as_in_random_order(greater, wrong, right, k, chance) -> None:
    assert hit_probability(greater, wrong, right, k) == pytest.approx(chance)


def test_hits_agree_with_shuffling() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, 12).astype(float)
    right = [2, 7]
    counted = np.zeros(3)
    for _ in range(4000):
        order = np.lexsort((rng.random(12), -scores))
        place = min(np.flatnonzero(np.isin(order, right)))
        counted += [place < k for k in (1, 3, 5)]
    assert hits(scores, right, [], (1, 3, 5)) == pytest.approx(counted / 4000, abs=0.03)


def test_what_is_left_out_is_no_rival() -> None:
    scores = np.array([0.9, 0.5, 0.8])
    assert hits(scores, [1], [], (1, 3)) == [0.0, 1.0]
    assert hits(scores, [1], [0, 2], (1, 3)) == [1.0, 1.0]
    assert hits(scores, [1], [0, 1], (1,)) == [0.0], "the right one stays in"


def test_recalls_by_hand() -> None:
    """Three images, four texts; text 1 is of image 0 but lies nearest to image 1.

    IR@1: texts 0, 2, 3 are right: 3/4. TR@1: image 0's best text is 0 (1.0); image 1's best is text
    1 (.96), which is image 0's: wrong; image 2's is text 3: right: 2/3.
    """
    images = np.eye(3, dtype=np.float32)
    texts = np.array([[1, 0, 0], [0.28, 0.96, 0], [0, 0.9, 0.436], [0, 0, 1]], np.float32)
    metrics = recalls(texts, images, np.array([0, 0, 1, 2]), ["a", "b", "c"])
    assert metrics["ir1"]["value"] == 0.75 and metrics["ir5"]["value"] == 1.0
    assert metrics["tr1"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert metrics["ir1"]["n"] == 4 and metrics["tr1"]["n"] == 3


def test_score_of_an_entry_by_hand() -> None:
    """cos = .6; entities' best objects .8 and 1.0, mean .9, half of it .45."""
    query = Vectors(np.array([1.0, 0.0], np.float32), np.array([[1, 0], [0, 1]], np.float32))
    image = Vectors(np.array([0.6, 0.8], np.float32), np.array([[0.8, 0.6], [0, 1]], np.float32))
    assert entry_scores(query, [image])[0] == pytest.approx(0.6 + 0.5 * 0.9)
    assert entry_scores(Vectors(query.whole), [image])[0] == pytest.approx(0.6)


def test_the_next_click_is_in_the_larger_error() -> None:
    truth, nothing = columns(0, 6), np.zeros((4, 10), bool)
    missed = next_click(columns(0, 2), truth, nothing)
    assert missed.positive and (missed.data <= truth).all() and not missed.data[:, :2].any()
    extra = next_click(columns(0, 10), truth, nothing)
    assert not extra.positive and not (extra.data & truth).any()
    assert next_click(truth, truth, nothing) is None
    assert next_click(columns(0, 8), truth, columns(6, 8)) is None, "void is no error"
