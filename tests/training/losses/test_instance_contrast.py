from __future__ import annotations

import torch

from training.losses.instance_contrast import SCALE, instance_contrast


def two_halves() -> tuple[torch.Tensor, torch.Tensor]:
    """(1, 2, 4, 4) features and (1, 2, 4, 4) masks: left half and right half."""
    masks = torch.zeros(1, 2, 4, 4)
    masks[0, 0, :, :2] = masks[0, 1, :, 2:] = 1.0
    return masks.clone(), masks


def test_features_that_are_the_instances_cost_what_the_formula_says() -> None:
    features, masks = two_halves()
    loss = instance_contrast(features, masks, torch.ones(1, 2, dtype=torch.bool))
    expected = torch.log1p(torch.exp(torch.tensor(-SCALE)))  # own mean: cosine 1, other: 0
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=0)


def test_features_that_tell_nothing_cost_a_coin_toss() -> None:
    _, masks = two_halves()
    loss = instance_contrast(torch.ones(1, 3, 4, 4), masks, torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(loss, torch.log(torch.tensor(2.0)))


def test_one_instance_alone_and_padding_teach_nothing() -> None:
    features, masks = two_halves()
    valid = torch.tensor([[True, False]])
    assert instance_contrast(features, masks, valid) == 0
    assert instance_contrast(features, masks, torch.zeros_like(valid)) == 0


def test_a_descent_step_tells_the_instances_apart() -> None:
    _, masks = two_halves()
    features = torch.randn(1, 8, 4, 4, generator=torch.manual_seed(0), requires_grad=True)
    valid = torch.ones(1, 2, dtype=torch.bool)
    before = instance_contrast(features, masks, valid)
    before.backward()
    after = instance_contrast(features.detach() - features.grad, masks, valid)
    assert after < before
