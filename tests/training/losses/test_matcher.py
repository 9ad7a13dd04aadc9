"""Matching against brute force, and its costs against their definition."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F

from training.losses.matcher import MatchCosts, match, pair_costs
from training.losses.terms import mask_bce, mask_dice


def test_pair_costs_equal_the_losses_pair_by_pair() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 1, 3, 20), torch.rand(1, 2, 20)
    costs = pair_costs(logits, targets, MatchCosts(2.0, 5.0, 3.0))
    for layer, q, m in itertools.product(range(2), range(3), range(2)):
        x, t = logits[layer, 0, q][None], targets[0, m][None]
        expected = 5.0 * mask_bce(x, t) + 3.0 * mask_dice(x, t)
        torch.testing.assert_close(costs[layer, 0, q, m], expected[0], rtol=1e-5, atol=1e-5)


def test_match_equals_brute_force() -> None:
    torch.manual_seed(1)
    cost = torch.rand(1, 1, 5, 3)
    best = min(
        itertools.permutations(range(5), 3),
        key=lambda p: sum(cost[0, 0, q, m] for m, q in enumerate(p)),
    )
    found = match(cost, torch.ones(1, 3, dtype=torch.bool))
    assert found[0, 0].tolist() == list(best)


def test_padding_and_surplus_masks_stay_unmatched() -> None:
    cost = torch.rand(2, 1, 2, 4)
    valid = torch.tensor([[True, True, False, True]])
    found = match(cost, valid)
    assert (found[:, 0, 2] == -1).all()
    assert ((found >= 0).sum(-1) == 2).all()  # three masks, two proposals


def test_softplus_identity_holds_for_large_logits() -> None:
    x, t = torch.tensor([[[[80.0, -80.0]]]]), torch.tensor([[[1.0, 0.0]]])
    assert pair_costs(x, t, MatchCosts(0, 1, 0)).item() < 1e-6
    assert F.softplus(torch.tensor(80.0)).isfinite()
