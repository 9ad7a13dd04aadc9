"""Combinations of candidates: scores and places together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from find_core.places.choice import LEAST_SHARE, PlaceWords, choose
from find_core.places.geometry import Arrangement
from find_core.places.judge import JudgeSizes, PlaceJudge

OFFSET = 10  # how far the middles of the boxes are apart, to the right, over their size


class LeftJudge(nn.Module):
    """Holds that the first entity is left of the second, by the boxes' centres."""

    def __init__(self, strength: float = 10.0) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, contexts, features, candidates):
        count = len(candidates)
        grid = torch.cartesian_prod(*(torch.arange(len(c)) for c in candidates))
        rows = [torch.tensor(candidates[e])[grid[:, e]] for e in range(count)]
        offset = features[rows[0], rows[1]][:, OFFSET]
        return torch.nn.functional.logsigmoid(-self.strength * offset), grid


def masks_at(*lefts: int) -> np.ndarray:
    masks = np.zeros((len(lefts), 120, 160), bool)
    for mask, left in zip(masks, lefts, strict=True):
        mask[50:60, left : left + 10] = True
    return masks


def chosen(scores, lefts, judge=None):
    """Entities' candidates at columns `lefts`."""
    words = PlaceWords(judge or LeftJudge(), torch.zeros(2, 2, 1))
    return choose(words, scores, lambda m: Arrangement(masks_at(*[lefts[e][n] for e, n in m])))


def test_the_place_decides_between_equal_scores():
    assert chosen([[0.9, 0.9], [0.8]], [[100, 10], [60]]).picked == (1, 0)
    assert chosen([[0.9, 0.9], [0.8]], [[10, 100], [60]]).picked == (0, 0)
    choice = chosen([[0.9, 0.45], [0.8]], [[100, 10], [60]])
    assert choice.picked == (1, 0) and choice.probability == pytest.approx(0.5, abs=0.01)


def test_the_anchor_is_chosen_too():
    assert chosen([[0.9], [0.8, 0.8]], [[60], [10, 100]]).picked == (0, 1)


def test_words_that_say_nothing_leave_the_scores_alone():
    silent = LeftJudge(strength=0.0)
    assert chosen([[0.9, 0.9], [0.8, 0.3]], [[100, 10], [60, 5]], silent).picked == (0, 0)


def test_places_must_be_sure_to_overrule_scores():
    hesitant = LeftJudge(strength=0.05)  # hardly says which is left
    assert chosen([[0.9, 0.9], [0.8]], [[100, 10], [60]], hesitant).picked == (0, 0)


def test_what_scores_too_little_is_not_considered():
    low = 0.9 * LEAST_SHARE * 0.9
    assert chosen([[0.9, low], [0.8]], [[100, 10], [60]]).picked == (0, 0)


def test_nothing_holds():
    choice = chosen([[0.9, 0.6], [0.8]], [[100, 130], [60]])
    assert choice.probability < 0.01


def test_many_candidates_of_many_entities_stay_few_combinations():
    words = PlaceWords(PlaceJudge(JudgeSizes(token_width=8)).eval(), torch.zeros(6, 6, 64))
    scores = [list(np.linspace(0.9, 0.8, 12)) for _ in range(6)]
    asked = []

    def arrange(members):
        asked.append(len(members))
        return Arrangement(masks_at(*[5 + 2 * n for _, n in members]))

    choice = choose(words, scores, arrange)
    assert len(choice.picked) == 6 and asked[0] <= 6 * 8
    assert 0 <= choice.probability <= 1


@pytest.mark.parametrize("entities", [2, 3])
def test_the_judge_sees_entities_in_any_order_alike(entities):
    """Renumbering entities, their contexts and candidates changes nothing."""
    torch.manual_seed(0)
    judge = PlaceJudge(JudgeSizes(token_width=8)).eval()
    states, entity = torch.randn(9, 8), torch.tensor([-1, 0, -1, -1, 1, -1, 2, -1, -1])
    entity[entity >= entities] = -1
    contexts = judge.contexts(states, entity, entities)
    features = torch.randn(6, 6, judge.sizes.features)
    lists = [[0, 1], [2, 3], [4, 5]][:entities]
    log_p, grid = judge(contexts, features, lists)
    order = list(reversed(range(entities)))
    again, other = judge(contexts[order][:, order], features, [lists[k] for k in order])
    table = {tuple(row.tolist()): float(p) for row, p in zip(grid, log_p.detach(), strict=True)}
    for row, p in zip(other, again.detach(), strict=True):
        assert table[tuple(row[order].tolist())] == pytest.approx(float(p), abs=1e-5)


def test_pairs_have_contexts_of_their_own():
    torch.manual_seed(0)
    judge = PlaceJudge(JudgeSizes(token_width=8)).eval()
    contexts = judge.contexts(torch.randn(5, 8), torch.tensor([-1, 0, -1, -1, 1]), 2)
    assert contexts.shape == (2, 2, 64) and not contexts[0, 0].any()
    assert not torch.allclose(contexts[0, 1], contexts[1, 0], atol=1e-3)
