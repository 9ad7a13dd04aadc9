"""Every loss term against a value worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from training.losses import terms as losses

LN2 = math.log(2.0)


def test_mask_bce_of_zero_logits_is_ln2() -> None:
    value = losses.mask_bce(torch.zeros(2, 4), torch.tensor([[0.0, 1, 1, 0], [1.0, 1, 1, 1]]))
    assert value.tolist() == pytest.approx([LN2, LN2])


def test_mask_bce_by_hand() -> None:
    # x = ln 3 has sigmoid 3/4: -ln(3/4) where true, -ln(1/4) where false.
    logits = torch.full((1, 2), math.log(3.0))
    value = losses.mask_bce(logits, torch.tensor([[1.0, 0.0]]))
    assert value.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    weighted = losses.mask_bce(logits, torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    assert weighted.item() == pytest.approx(math.log(4 / 3))


def test_mask_dice_by_hand() -> None:
    # probabilities (3/4, 3/4), truth (1, 0): 1 - (2*0.75 + 1) / (1.5 + 1 + 1)
    value = losses.mask_dice(torch.full((1, 2), math.log(3.0)), torch.tensor([[1.0, 0.0]]))
    assert value.item() == pytest.approx(1 - 2.5 / 3.5)


def test_class_ce_weighs_no_object_rows_less() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    value = losses.class_ce(logits, torch.tensor([0, 1]), torch.tensor([1.0, 0.1]))
    assert value.item() == pytest.approx((math.log(4 / 3) + 0.1 * LN2) / 1.1)


def test_proposal_ce_spreads_the_target_and_ignores_padding() -> None:
    logits = torch.tensor([[0.0, 0.0, math.log(2.0)], [9.0, 0.0, 0.0]])
    target = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    value = losses.proposal_ce(logits, target, torch.tensor([2.0, 0.0]))
    # softmax of the first row is (1/4, 1/4, 1/2)
    assert value.item() == pytest.approx(2.0 * math.log(4.0))


def test_itc_by_hand() -> None:
    image = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    value = losses.itc(image, 5.0 * image, torch.tensor(math.log(3.0)))
    # logits: ln 3 on the diagonal, 0 elsewhere; -ln(3/4) both ways
    assert value.item() == pytest.approx(math.log(4 / 3), rel=1e-5)


def test_itc_leaves_out_unknown_rows() -> None:
    image = torch.randn(3, 4)
    known = torch.tensor([True, False, True])
    scale = torch.tensor(2.0)
    expected = losses.itc(image[[0, 2]], image[[0, 2]].flip(0), scale)
    swapped = image[[2, 1, 0]]
    assert losses.itc(image, swapped, scale, known).item() == pytest.approx(expected.item())
    assert losses.itc(image[:1], image[:1], scale).item() == 0.0


def test_temperature_is_clamped() -> None:
    assert losses.temperature(torch.tensor(1.0)).item() == pytest.approx(math.e)
    assert losses.temperature(torch.tensor(9.0)).item() == 100.0


def test_token_retrieval_weighs_later_tokens_more() -> None:
    image = torch.eye(2)
    tokens = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    owner, rank = torch.tensor([0, 0, 1]), torch.tensor([1, 2, 1])
    value = losses.token_retrieval(image, tokens, owner, rank, torch.tensor(0.0))
    # scale 0: all logits equal. image->token: ln 3 each; token->image: ln 2 each.
    assert value.item() == pytest.approx(0.7 * math.log(3) + 0.3 * LN2, rel=1e-5)
    sharp = losses.token_retrieval(image, tokens, owner, rank, torch.tensor(50.0))
    # image 0: 1/3 of its target on a token it matches, 2/3 on one 50 below.
    to_token = (2 / 3 * 50 + 0.0 + LN2) / 2
    to_image = 2 * 50 / 4
    assert sharp.item() == pytest.approx(0.7 * to_token + 0.3 * to_image, rel=1e-4)


def test_relevance_bce_balances_sides_and_ignores_unknown() -> None:
    logits = torch.tensor([0.0, math.log(3.0), math.log(3.0), 50.0])
    value = losses.relevance_bce(logits, torch.tensor([1, 0, 0, -1]))
    assert value.item() == pytest.approx((LN2 + math.log(4.0)) / 2)
    assert losses.relevance_bce(logits, torch.full((4,), -1)).item() == 0.0


def test_multi_positive_nce_by_hand() -> None:
    logits = torch.zeros(2, 4)
    truth = torch.tensor([[1, 1, 0, -1], [1, 1, -1, -1]])
    # two of three known columns are true; the second row has no negative and does not count
    assert losses.multi_positive_nce(logits, truth).item() == pytest.approx(math.log(1.5))
