"""A label of every kind changes the gradient it should, and no other."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from training.data.formats.records import LabelKind
from training.data.sample import KINDS
from training.losses.label_kinds import box_extent_loss, region_loss
from training.losses.mask_criterion import (
    MaskLossConfig,
    MaskLosses,
    MaskTargets,
    MatchView,
    near_weights,
    panoptic_losses,
    proposal_losses,
)

H, W, Q, K = 8, 12, 4, 3
DENSE = MaskLossConfig(num_points=0)


def block(top: int, bottom: int, left: int, right: int) -> Tensor:
    mask = torch.zeros(H, W)
    mask[top:bottom, left:right] = 1.0
    return mask


def drawn(*masks: Tensor) -> tuple[Tensor, Tensor]:
    """Features with a channel a mask, and proposals that answer with exactly these masks."""
    features = torch.stack([8.0 * m - 4.0 for m in masks])[None]
    return torch.eye(len(masks))[None, None].clone().requires_grad_(), features


def targets_of(*masks: Tensor, kinds: tuple[LabelKind, ...] = (), **other: Tensor) -> MaskTargets:
    count = len(masks)
    numbers = torch.tensor([[KINDS.index(k) for k in kinds or (LabelKind.MASK,) * count]])
    valid = torch.ones(1, count, dtype=torch.bool)
    return MaskTargets(torch.stack(masks)[None], valid, torch.arange(count)[None], numbers, **other)


def panoptic(targets: MaskTargets, *proposals: Tensor) -> tuple[MaskLosses, Tensor, Tensor]:
    embed, features = drawn(*proposals)
    logits = torch.zeros(1, 1, len(proposals), K, requires_grad=True)
    view = MatchView(features, DENSE)
    return panoptic_losses(logits, embed, features, targets, view, DENSE), logits, embed


LEFT, RIGHT, FAR = block(2, 6, 1, 4), block(2, 6, 5, 8), block(0, 2, 10, 12)


def test_parts_of_a_merged_region_share_its_name_and_its_pixels() -> None:
    region = LEFT + RIGHT
    found, logits, _embed = panoptic(
        targets_of(region, kinds=(LabelKind.MERGED,)), LEFT, RIGHT, FAR
    )  # fmt: skip
    assert found.bce + found.dice < 0.1  # two objects cover it as well as one would
    found.ce.backward()
    assert logits.grad is not None
    taught = logits.grad[0, 0, :, 0]
    assert (taught[:2] < -0.1).all() and taught[2] > 0  # both parts, not the one outside
    assert found.undecided[0, 0].tolist() == [False, True, False]


def test_the_same_region_as_one_object_leaves_the_second_part_out() -> None:
    found, logits, _ = panoptic(targets_of(LEFT + RIGHT), LEFT, RIGHT, FAR)
    assert found.bce + found.dice > 0.3
    found.ce.backward()
    assert logits.grad is not None and logits.grad[0, 0, 1, 0] > 0


def test_a_region_nobody_found_goes_to_the_nearest_proposal() -> None:
    found, _, embed = panoptic(targets_of(LEFT, kinds=(LabelKind.MERGED,)), FAR, block(2, 6, 2, 5))
    assert found.matched.tolist() == [[[1]]]
    (found.bce + found.dice).backward()
    assert embed.grad is not None
    assert embed.grad[0, 0, 1].abs().sum() > 0 and not embed.grad[0, 0, 0].any()


def test_objects_beside_a_merged_region_are_matched_one_to_one() -> None:
    found, *_ = panoptic(
        targets_of(LEFT, FAR, kinds=(LabelKind.MERGED, LabelKind.MASK)), FAR, LEFT, RIGHT
    )
    assert found.matched[0, 0].tolist() == [1, 0]


def test_a_box_teaches_extent_and_no_outline() -> None:
    box = block(2, 6, 2, 8)
    diamond = box.clone()
    diamond[2, 2:4] = diamond[5, 6:8] = diamond[2, 7] = diamond[5, 2] = 0  # reaches all four sides
    short = block(2, 6, 2, 5)
    logits = torch.stack([8.0 * m - 4.0 for m in (box, diamond, short)]).requires_grad_()
    loss = box_extent_loss(logits, box[None].repeat(3, 1, 1))
    values = loss.tolist()
    assert values[1] == pytest.approx(values[0], abs=1e-4) and values[2] > values[0] + 0.1
    loss[1].backward()
    assert logits.grad is not None
    corners = logits.grad[1][(box > 0) & (diamond == 0)]
    assert not corners.any()  # that they are no part of the object is not denied


def test_a_box_that_the_view_cuts_teaches_what_lies_outside() -> None:
    cut = block(2, 8, 2, 8)  # reaches the lower border: its columns may not all be in view
    logits = torch.full((2, H, W), -4.0)
    logits[0, 3:8, 4:6], logits[1, 3:8, 4:10] = 4.0, 4.0
    inside, beyond = box_extent_loss(logits, cut[None].repeat(2, 1, 1))
    whole = box_extent_loss(logits[:1], block(2, 7, 2, 8)[None])
    assert inside < whole[0] and beyond > inside + 0.1


def test_a_crowd_is_ignored() -> None:
    crowd = torch.zeros(1, H, W, dtype=torch.bool)
    crowd[0, :, 9:] = True
    embed = torch.zeros(1, 1, 1, 1).requires_grad_()
    features = torch.randn(1, 1, H, W, generator=torch.Generator().manual_seed(0)).requires_grad_()
    targets = targets_of(LEFT, ignored=crowd)
    logits = torch.zeros(1, 1, 1, K)
    embed.data.fill_(1.0)
    found = panoptic_losses(logits, embed, features, targets, MatchView(features, DENSE), DENSE)
    (found.bce + found.dice).backward()
    assert features.grad is not None
    assert not features.grad[..., 9:].any() and features.grad[..., :9].any()


def test_where_nobody_labelled_no_answer_is_denied() -> None:
    """A second hammer of which no one drew the outline is no wrong answer to "hammer"."""
    for labelled in (True, False):
        embed, features = drawn(LEFT, FAR)
        open_cells = torch.zeros(1, H, W, dtype=torch.bool) if labelled else (LEFT == 0)[None]
        targets = targets_of(LEFT, open_cells=open_cells)
        logits = torch.zeros(1, 1, 1, 2, requires_grad=True)
        found = proposal_losses(
            logits, embed, features, targets, torch.ones(1, 1), MatchView(features, DENSE), DENSE
        )
        (found.ce + 0 * logits.sum()).backward()
        assert logits.grad is not None
        assert bool(logits.grad[0, 0, 0, 1] > 0) is labelled
        assert bool(found.undecided[0, 0, 1]) is not labelled


def test_no_object_is_not_taught_on_a_crowd() -> None:
    crowd = (FAR > 0)[None]
    for ignored in (None, crowd):
        targets = targets_of(LEFT, open_cells=ignored)
        found, logits, _ = panoptic(targets, LEFT, FAR)
        found.ce.backward()
        assert logits.grad is not None and bool(logits.grad[0, 0, 1].any()) is (ignored is None)


def test_the_union_is_that_of_its_parts() -> None:
    region = LEFT + RIGHT
    focus = near_weights(region[None], 3)[0]
    parts = torch.stack([8.0 * LEFT - 4.0, 8.0 * RIGHT - 4.0])
    union = region_loss(parts, region, focus)
    single = region_loss((8.0 * region - 4.0)[None], region, focus)
    for a, b in zip(union, single, strict=True):
        assert float(a) == pytest.approx(float(b), abs=0.05)
    assert region_loss(parts[:1], region, focus)[1] > union[1] + 0.2


def test_without_kinds_every_mask_is_one_object() -> None:
    plain = dataclasses.replace(targets_of(LEFT), kinds=None)
    found, *_ = panoptic(plain, LEFT, RIGHT)
    again, *_ = panoptic(targets_of(LEFT), LEFT, RIGHT)
    assert float(found.ce + found.bce + found.dice) == float(again.ce + again.bce + again.dice)
