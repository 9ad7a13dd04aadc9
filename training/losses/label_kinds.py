"""What labels that outline no single object may teach: boxes, merged regions, unlabelled pixels.

A box is compared by its extent (the projection term of BoxInst, arXiv 2012.02310, equation 3). A
merged region holds all pixels of a class and says nothing of how many objects they are: it is
compared with the union of the proposals that lie inside it. Where nobody labelled, no proposal is
denied to be anything.

Dimension letters: L predictions, B images, Q proposals, M true masks, N masks, P points or pixels,
H/W pixels at 1/4 scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

INSIDE = 0.7
"""Share of a proposal's mask that must lie in a merged region for it to be a part of it."""
LEAST_PART = 0.02
"""Share of a merged region that a part of it covers at least."""
ELSEWHERE = 0.5
"""Share of a proposal's mask on unlabelled ground above which nothing is known of it."""


@dataclass(frozen=True)
class Assignment:
    """Which proposals answer for which true masks.

    Attributes:
        matched: (L, B, M) long, one proposal each (a merged region's largest part), -1 for none.
        members: (L, B, M, Q) bool, all of them: several for a merged region.
        elsewhere: (L, B, Q) bool, proposals of nothing that lie where nobody labelled.
    """

    matched: Tensor
    members: Tensor
    elsewhere: Tensor

    @property
    def undecided(self) -> Tensor:
        """(L, B, Q) bool: further parts of merged regions, and answers where nobody labelled."""
        first = F.one_hot(self.matched.clamp(min=0), self.members.shape[-1]).bool()
        return self.elsewhere | (self.members & ~first).any(2)


@torch.no_grad()
def assign(
    matched_LBM: Tensor, logits_LBQP: Tensor, masks_BMP: Tensor, cost_LBQM: Tensor,
    merged_BM: Tensor, open_BP: Tensor | None,
) -> Assignment:  # fmt: skip
    """Add the parts of merged regions to a one-to-one matching of the other masks.

    Parts are all unmatched proposals that lie inside a region; without any, the unmatched one of
    the lowest cost.

    Args:
        open_BP: share of every point where objects may be that nobody labelled.
    """
    proposals = logits_LBQP.shape[2]
    members = F.one_hot(matched_LBM.clamp(min=0), proposals).bool() & (matched_LBM >= 0)[..., None]
    probs = logits_LBQP.float().sigmoid()
    size_LBQ = probs.sum(-1).clamp(min=1e-6)
    matched = matched_LBM
    if merged_BM.any():
        free_LBQ = ~members.any(2)
        shared = probs @ masks_BMP.transpose(1, 2).float()  # (L, B, Q, M)
        covered = shared / masks_BMP.sum(-1)[:, None].clamp(min=1e-6)
        inside = (shared / size_LBQ[..., None] >= INSIDE) & (covered >= LEAST_PART)
        part = inside & free_LBQ[..., None] & merged_BM[:, None]
        cheapest = cost_LBQM.masked_fill(~free_LBQ[..., None], torch.inf).argmin(2)  # (L, B, M)
        lone = merged_BM & ~part.any(2) & free_LBQ.any(-1, keepdim=True)
        part = part | (
            F.one_hot(cheapest, proposals).bool() & lone[..., None]
        ).transpose(2, 3)  # fmt: skip
        largest = covered.masked_fill(~part, -1.0).argmax(2)
        matched = torch.where(merged_BM & part.any(2), largest, matched_LBM)
        members = members | part.transpose(2, 3)
    elsewhere = torch.zeros_like(members[:, :, 0])
    if open_BP is not None and open_BP.any():
        outside = torch.einsum("lbqp,bp->lbq", probs, open_BP.squeeze(1).to(probs)) / size_LBQ
        elsewhere = (outside > ELSEWHERE) & ~members.any(2)
    return Assignment(matched, members, elsewhere)


def box_extent_loss(logits_NHW: Tensor, boxes_NHW: Tensor) -> Tensor:
    """(N,) dice of the mask's projections on both axes with those of the box, summed.

    A box that reaches the view's border may be cut there; how far the visible part of its object
    extends along that border is then unknown, so that only what lies outside the box counts.

    Args:
        boxes_NHW: filled boxes.
    """
    probs, inside = logits_NHW.sigmoid(), boxes_NHW > 0
    total = logits_NHW.new_zeros(len(logits_NHW))
    for along, across in ((2, 1), (1, 2)):
        line, truth = probs.amax(along), inside.any(along).to(probs)  # over rows, over columns
        reach = inside.any(across)
        cut = reach[:, 0] | reach[:, -1]
        known = 1.0 - (2.0 * (line * truth).sum(1) + 1.0) / (line.sum(1) + truth.sum(1) + 1.0)
        outside = (line * (1.0 - truth)).sum(1) / (1.0 - truth).sum(1).clamp(min=1.0)
        total = total + torch.where(cut, outside, known)
    return total


def region_loss(logits_NHW: Tensor, region_HW: Tensor, focus_P: Tensor) -> tuple[Tensor, Tensor]:
    """(BCE, dice) of the union of N masks with a region; scalars.

    The union is 1 - prod(1 - p): whether one mask covers the region or several share it makes no
    difference.

    Args:
        focus_P: weight of every pixel, summing to 1.
    """
    log_outside = F.logsigmoid(-logits_NHW.flatten(1)).sum(0)
    union = -torch.expm1(log_outside)
    truth = region_HW.flatten()
    bce = -(truth * union.clamp(min=1e-6).log() + (1.0 - truth) * log_outside)
    dice = 1.0 - (2.0 * (union * truth).sum() + 1.0) / (union.sum() + truth.sum() + 1.0)
    return (bce * focus_P).sum(), dice
