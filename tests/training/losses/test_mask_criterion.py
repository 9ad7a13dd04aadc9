"""The stacked criterion against a slow twin that goes layer by layer and mask by mask."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from training.losses.mask_criterion import (
    MaskLossConfig,
    MaskTargets,
    MatchView,
    near_weights,
    panoptic_losses,
    proposal_losses,
    spread_targets,
)
from training.losses.matcher import match, pair_costs
from training.losses.terms import mask_bce, mask_dice

L, B, Q, C, H, W, K = 2, 2, 5, 4, 8, 12, 4
DENSE = MaskLossConfig(num_points=0, aux_weight=0.5)


def problem(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, MaskTargets]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(L, B, Q, K, generator=generator, requires_grad=True)
    embed = torch.randn(L, B, Q, C, generator=generator, requires_grad=True)
    features = torch.randn(B, C, H, W, generator=generator, requires_grad=True)
    masks = (torch.rand(B, 3, H, W, generator=generator) > 0.6).float()
    valid = torch.tensor([[True, True, True], [True, False, False]])
    label = torch.tensor([[0, 1, 2], [1, 0, 0]])
    return logits, embed, features, MaskTargets(masks, valid, label)


def slow_panoptic(logits: Tensor, embed: Tensor, features: Tensor, targets: MaskTargets) -> Tensor:
    """(ce, bce, dice), one prediction, picture and mask at a time."""
    view = MatchView(features, DENSE)
    focus = [near_weights(m, DENSE.near_px) for m in targets.masks]
    total = torch.zeros(3)
    for layer in range(L):
        weight = 1.0 if layer == L - 1 else 0.5
        ce_sum = ce_weight = 0.0
        for b in range(B):
            cost = pair_costs(
                (embed[layer, b] @ view.features_BCP[b])[None, None],
                view.at(targets.masks)[b][None], DENSE.costs,
            )  # fmt: skip
            cost = cost - 2.0 * logits[layer, b].softmax(-1)[:, targets.label[b]][None, None]
            chosen = match(cost.detach(), targets.valid[b][None])[0, 0]
            classes = torch.full((Q,), K - 1)
            for m, q in enumerate(chosen.tolist()):
                if q < 0:
                    continue
                classes[q] = targets.label[b, m]
                x = torch.einsum("c,chw->hw", embed[layer, b, q], features[b]).reshape(1, -1)
                t = targets.masks[b, m].reshape(1, -1)
                total[1] += weight * mask_bce(x, t, focus[b][m][None])[0] / targets.count
                total[2] += weight * mask_dice(x, t)[0] / targets.count
            row_weight = torch.where(classes == K - 1, 0.1, 1.0)
            picked = logits[layer, b].log_softmax(-1)[torch.arange(Q), classes]
            ce_sum, ce_weight = ce_sum - (picked * row_weight).sum(), ce_weight + row_weight.sum()
        total[0] += weight * ce_sum / ce_weight
    return total


def test_panoptic_equals_the_slow_twin() -> None:
    logits, embed, features, targets = problem()
    view = MatchView(features, DENSE)
    found = panoptic_losses(logits, embed, features, targets, view, DENSE)
    expected = slow_panoptic(logits, embed, features, targets)
    torch.testing.assert_close(torch.stack([found.ce, found.bce, found.dice]), expected)


def test_true_synonyms_are_no_negatives() -> None:
    logits, embed, features, targets = problem()
    view = MatchView(features, DENSE)
    also = torch.zeros(B, 3, K, dtype=torch.bool)
    also[0, :, :2] = True
    plain = panoptic_losses(logits, embed, features, targets, view, DENSE)
    kind = panoptic_losses(logits, embed, features, targets, view, DENSE, also)
    assert kind.ce < plain.ce
    torch.testing.assert_close(kind.bce, plain.bce)


def test_unlabelled_pictures_teach_no_absence() -> None:
    logits, embed, features, targets = problem()
    none = dataclasses.replace(targets, valid=torch.zeros_like(targets.valid))
    view = MatchView(features, DENSE)
    found = panoptic_losses(logits, embed, features, none, view, DENSE, exhaustive_B=torch.zeros(B))
    found.ce.backward()
    assert logits.grad is not None and logits.grad.abs().max() == 0.0


def test_several_masks_share_one_text() -> None:
    matched = torch.tensor([[[3, 1, -1]]])
    target = spread_targets(matched, torch.tensor([[0, 0, 1]]), texts=2, proposals=5)
    assert target[0, 0, 0].tolist() == [0.0, 0.5, 0.0, 0.5, 0.0]
    assert target[0, 0, 1].sum() == 0.0


def test_proposals_follow_their_text() -> None:
    """A text whose proposal already fits costs less than one that points elsewhere."""
    _, embed, features, targets = problem()
    view = MatchView(features, DENSE)
    weight = torch.ones(B, 3)
    first = proposal_losses(torch.zeros(L, B, 3, Q), embed, features, targets, weight, view, DENSE)
    aligned = spread_targets(first.matched, targets.label, 3, Q) * 9.0
    again = proposal_losses(aligned, embed, features, targets, weight, view, DENSE)
    assert torch.equal(first.matched, again.matched)
    assert again.ce < 0.1 * first.ce


@pytest.mark.parametrize("points", [0, 64])
def test_gradients_reach_embeddings_and_features(points: int) -> None:
    config = dataclasses.replace(DENSE, num_points=points)
    logits, embed, features, targets = problem()
    found = panoptic_losses(logits, embed, features, targets, MatchView(features, config), config)
    (found.ce + found.bce + found.dice).backward()
    for tensor in (logits, embed, features):
        assert tensor.grad is not None and tensor.grad.abs().sum() > 0


def test_points_and_pixels_agree_on_smooth_masks() -> None:
    """PointRend's estimate with uniform points tends to the dense mean."""
    _, embed, _, targets = problem()
    features = torch.randn(B, C, 1, 1).expand(B, C, H, W) * 0.3
    half = torch.zeros(B, 3, H, W)
    half[..., : W // 2] = 1.0
    targets = dataclasses.replace(targets, masks=half)
    many = MaskLossConfig(num_points=20000, oversample=1.0, importance=0.0, aux_weight=0.5)
    wide = dataclasses.replace(DENSE, near_px=51)  # the window is everything: a plain mean
    torch.manual_seed(0)
    weight = torch.ones(B, 3)
    logits = torch.zeros(L, B, 3, Q)
    a = proposal_losses(logits, embed, features, targets, weight, MatchView(features, many), many)
    b = proposal_losses(logits, embed, features, targets, weight, MatchView(features, wide), wide)
    torch.testing.assert_close(a.bce, b.bce, rtol=0.02, atol=0.0)
