"""Mask tasks: match proposals to true masks, then score classes and masks of every prediction.

All predictions (deep supervision) are stacked and scored in one go. Mask logits are never formed
for proposals that matched nothing: <mask embedding, mask features> is evaluated at the matching
points for everyone, and in full only for the matched ones.

Dimension letters: L predictions (initial first, final last), B images, Q proposals, M true masks,
N texts or prompts, K classes, C mask channels, P points, H/W pixels at 1/4 scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from training.data.formats.records import LabelKind
from training.data.sample import KINDS
from training.losses.distributed import mean_count
from training.losses.label_kinds import Assignment, assign, box_extent_loss, region_loss
from training.losses.matcher import MatchCosts, match, pair_costs
from training.losses.points import sample_points, shared_points, uncertain_points
from training.losses.terms import class_ce, mask_bce, mask_dice, proposal_ce


@dataclass(frozen=True)
class MaskLossConfig:
    """How masks are compared; the defaults are the published values."""

    num_points: int = 12544
    """Points per mask (PointRend); 0 = every pixel at 1/4 scale, matching at 1/8."""
    oversample: float = 3.0
    importance: float = 0.75
    near_px: int = 9
    """Dense mode: half of the BCE weight lies within this window around the true mask."""
    aux_weight: float = 1.0
    """Weight of every prediction but the final one."""
    aux_every: int = 1
    """Score every n-th prediction, counted back from the final one (the paper: all of them)."""
    no_object: float = 0.1
    costs: MatchCosts = field(default_factory=MatchCosts)


@dataclass(frozen=True)
class MaskTargets:
    """True masks of one task.

    Attributes:
        masks: (B, M, H, W) float32 in [0, 1] at 1/4 scale. valid: (B, M) bool.
        label: (B, M) long: class column (panoptic), or which text, prompt or entity of the image.
        kinds: (B, M) long, index into `KINDS` of what each label says of its pixels.
        ignored: (B, H, W) bool, pixels that no mask is compared at.
        open_cells: (B, H, W) bool, where unlabelled objects of the asked names may be.
    """

    masks: Tensor
    valid: Tensor
    label: Tensor
    kinds: Tensor | None = None
    ignored: Tensor | None = None
    open_cells: Tensor | None = None

    def of_kind(self, kind: LabelKind) -> Tensor:
        """(B, M) bool: masks of that kind; without `kinds` every mask outlines one object."""
        if self.kinds is None:
            return torch.full_like(self.valid, kind is LabelKind.MASK)
        return (self.kinds == KINDS.index(kind)) & self.valid

    @property
    def count(self) -> Tensor:
        return mean_count(self.valid.sum()).clamp(min=1)


class MatchView:
    """An image batch's mask features at the places where matching compares masks."""

    def __init__(self, features_BCHW: Tensor, config: MaskLossConfig) -> None:
        features = features_BCHW.detach()
        self.points: Tensor | None = None
        if config.num_points:
            self.points = shared_points(len(features), config.num_points, features.device)
        self.features_BCP = self.at(features)

    def at(self, maps_BXHW: Tensor) -> Tensor:
        """(B, X, P) of any map over the same images."""
        if self.points is None:
            return F.avg_pool2d(maps_BXHW, 2).flatten(2)
        return sample_points(maps_BXHW, self.points)


@dataclass
class MaskLosses:
    """Terms of one task, unweighted by the recipe, and who matched whom.

    Attributes:
        matched: (L, B, M) long, the proposal of each true mask, -1 for none.
        undecided: (L, B, Q) bool, proposals that are neither taught nor denied to be anything:
            further parts of a merged region, and answers where nobody labelled.
    """

    ce: Tensor
    bce: Tensor
    dice: Tensor
    matched: Tensor
    undecided: Tensor


def prediction_weights(layers: int, aux_weight: float, device: torch.device) -> Tensor:
    """(L,): `aux_weight` for all but the last prediction."""
    weights = torch.full((layers,), aux_weight, device=device)
    weights[-1] = 1.0
    return weights


def panoptic_losses(
    logits_LBQK: Tensor,
    mask_embed_LBQC: Tensor,
    features_BCHW: Tensor,
    targets: MaskTargets,
    view: MatchView,
    config: MaskLossConfig,
    also_true_BMK: Tensor | None = None,
    exhaustive_B: Tensor | None = None,
) -> MaskLosses:
    """Classification over a bank whose last column is "no object", and masks.

    Args:
        also_true_BMK: bool, columns that are also true of a mask (synonyms): no negatives for it.
        exhaustive_B: bool, False where unlabelled things exist: their unmatched proposals are not
            taught "no object".
    """
    probs = logits_LBQK.detach().softmax(-1)
    label = targets.label.clamp(max=logits_LBQK.shape[-1] - 1)
    label_cost = -torch.stack([probs[:, b][..., label[b]] for b in range(len(label))], 1)
    found = _match(label_cost, mask_embed_LBQC, targets, view, config)
    bce, dice = _matched_masks(found, mask_embed_LBQC, features_BCHW, targets, config)
    weights = prediction_weights(len(found.matched), config.aux_weight, logits_LBQK.device)
    ce = logits_LBQK.new_zeros(())
    for layer, weight in enumerate(weights):
        ce = ce + weight * _panoptic_ce(
            logits_LBQK[layer],
            found.members[layer],
            found.elsewhere[layer],
            targets,
            config.no_object,
            also_true_BMK,
            exhaustive_B,
        )
    return MaskLosses(ce, bce, dice, found.matched, found.undecided)


def proposal_losses(
    logits_LBNQ: Tensor,
    mask_embed_LBQC: Tensor,
    features_BCHW: Tensor,
    targets: MaskTargets,
    weight_BN: Tensor,
    view: MatchView,
    config: MaskLossConfig,
) -> MaskLosses:
    """Grounding, interactive and interleaved tasks: which proposal does each text or prompt mean.

    Args:
        logits_LBNQ: match of every text, prompt or entity with every proposal.
        targets: `label` says which of the N each mask belongs to; several masks may share one.
        weight_BN: factor of each row in the cross-entropy, 0 for padding.
    """
    over_proposals = logits_LBNQ.detach().softmax(-1)
    label = targets.label.clamp(max=logits_LBNQ.shape[2] - 1)
    label_cost = -torch.stack(
        [over_proposals[:, b, label[b]].transpose(1, 2) for b in range(len(label))], 1
    )
    found = _match(label_cost, mask_embed_LBQC, targets, view, config)
    bce, dice = _matched_masks(found, mask_embed_LBQC, features_BCHW, targets, config)
    layers, _, texts, proposals = logits_LBNQ.shape
    target = spread_members(found.members, label, texts)
    denied = found.elsewhere[:, :, None] & (target == 0)
    logits_LBNQ = logits_LBNQ.masked_fill(denied, NEITHER)
    weights = prediction_weights(layers, config.aux_weight, logits_LBNQ.device)
    rows = weight_BN.reshape(-1)
    ce = sum(
        w
        * proposal_ce(logits_LBNQ[i].reshape(-1, proposals), target[i].reshape(-1, proposals), rows)
        for i, w in enumerate(weights)
    )
    return MaskLosses(ce, bce, dice, found.matched, found.undecided)


NEITHER = -1e4
"""Logit of what takes no part in a softmax."""


def spread_members(members_LBMQ: Tensor, label_BM: Tensor, texts: int) -> Tensor:
    """(L, B, N, Q): the proposals of a text's masks share its mass evenly; 0 if none."""
    owner = F.one_hot(label_BM, texts).to(torch.float32).transpose(1, 2)  # (B, N, M)
    target = (owner @ members_LBMQ.float()).clamp(max=1.0)
    return target / target.sum(-1, keepdim=True).clamp(min=1.0)


def spread_targets(matched_LBM: Tensor, label_BM: Tensor, texts: int, proposals: int) -> Tensor:
    """(L, B, N, Q): the proposals matched to a text's masks share its mass evenly; 0 if none."""
    layers, batch, _ = matched_LBM.shape
    target = torch.zeros(layers, batch, texts, proposals, device=matched_LBM.device)
    layer, image, mask = torch.nonzero(matched_LBM >= 0, as_tuple=True)
    target[layer, image, label_BM[image, mask], matched_LBM[layer, image, mask]] = 1.0
    return target / target.sum(-1, keepdim=True).clamp(min=1.0)


def _match(
    label_cost_LBQM: Tensor,
    mask_embed_LBQC: Tensor,
    targets: MaskTargets,
    view: MatchView,
    config: MaskLossConfig,
) -> Assignment:
    layers, _, proposals, _ = mask_embed_LBQC.shape
    # All predictions in one product per picture: broadcasting would copy the features for each.
    rows_BXC = mask_embed_LBQC.detach().transpose(0, 1).flatten(1, 2)
    logits = (rows_BXC @ view.features_BCP).unflatten(1, (layers, proposals)).transpose(0, 1)
    masks_BMP = view.at(targets.masks)
    cost = pair_costs(logits, masks_BMP, config.costs)
    cost = cost + config.costs.classes * label_cost_LBQM
    merged = targets.of_kind(LabelKind.MERGED)
    matched = match(cost, targets.valid & ~merged)
    open_BP = None if targets.open_cells is None else view.at(targets.open_cells[:, None].float())
    return assign(matched, logits, masks_BMP, cost, merged, open_BP)


def _matched_masks(
    found: Assignment,
    mask_embed_LBQC: Tensor,
    features_BCHW: Tensor,
    targets: MaskTargets,
    config: MaskLossConfig,
) -> tuple[Tensor, Tensor]:
    """(BCE, dice) of the matched proposals, summed over predictions, divided by the mask count.

    A box is compared by its extent, a merged region with the union of the proposals inside.
    """
    layers = len(found.matched)
    single = targets.of_kind(LabelKind.MASK)
    weights = prediction_weights(layers, config.aux_weight, features_BCHW.device)
    bce = dice = mask_embed_LBQC.sum() * 0.0
    size = features_BCHW.shape[2:]
    # Unbound once: indexing picture by picture would fill a whole gradient map for each.
    for b, maps_CP in enumerate(features_BCHW.flatten(2).unbind(0)):
        layer, mask, proposal = torch.nonzero(found.members[:, b], as_tuple=True)
        if not len(layer):
            continue
        logits = (mask_embed_LBQC[layer, b, proposal] @ maps_CP).view(-1, *size)
        masks = targets.masks[b]
        if targets.ignored is not None:
            logits = logits.masked_fill(targets.ignored[b], NEITHER)
            masks = masks.masked_fill(targets.ignored[b], 0.0)
        plain = single[b, mask]
        if plain.any():
            values, truth, focus = _compare_at(logits[plain], masks, mask[plain], config)
            bce = bce + (weights[layer[plain]] * mask_bce(values, truth, focus)).sum()
            dice = dice + (weights[layer[plain]] * mask_dice(values, truth)).sum()
        boxed = targets.of_kind(LabelKind.BOX)[b, mask]
        if boxed.any():
            extent = box_extent_loss(logits[boxed], masks[mask[boxed]])
            dice = dice + (weights[layer[boxed]] * extent).sum()
        merged = targets.of_kind(LabelKind.MERGED)[b]
        for layer_index, m in torch.unique(torch.stack([layer, mask], 1)[merged[mask]], dim=0):
            parts = logits[(layer == layer_index) & (mask == m)]
            region = region_loss(parts, masks[m], near_weights(masks[m][None], config.near_px)[0])
            bce, dice = (
                bce + weights[layer_index] * region[0],
                dice + weights[layer_index] * region[1],
            )
    return bce / targets.count, dice / targets.count


def _compare_at(
    logits_NHW: Tensor, masks_MHW: Tensor, mask_N: Tensor, config: MaskLossConfig
) -> tuple[Tensor, Tensor, Tensor | None]:
    """(N, P) logits and truth at uncertain points, or everywhere with a near-object weighting."""
    if config.num_points:
        points = uncertain_points(
            logits_NHW, config.num_points, config.oversample, config.importance
        )
        truth = sample_points(masks_MHW[mask_N][:, None], points)[:, 0]
        return sample_points(logits_NHW[:, None], points)[:, 0], truth, None
    focus = near_weights(masks_MHW, config.near_px)
    return logits_NHW.flatten(1), masks_MHW.flatten(1)[mask_N], focus[mask_N]


def near_weights(masks_MHW: Tensor, window_px: int) -> Tensor:
    """(M, H*W) rows summing to 1: half uniform, half on pixels within the window of the mask."""
    near = (masks_MHW > 0).float()[:, None]
    for window in ((window_px, 1), (1, window_px)):  # separable: a ninth of the work
        near = F.max_pool2d(near, window, 1, (window[0] // 2, window[1] // 2))
    near = near.flatten(1)
    return 0.5 / near.shape[1] + 0.5 * near / near.sum(1, keepdim=True).clamp(min=1.0)


def _panoptic_ce(
    logits_BQK: Tensor,
    members_BMQ: Tensor,
    elsewhere_BQ: Tensor,
    targets: MaskTargets,
    no_object: float,
    also_true_BMK: Tensor | None,
    exhaustive_B: Tensor | None,
) -> Tensor:
    batch, proposals, classes = logits_BQK.shape
    label = torch.full((batch, proposals), classes - 1, device=logits_BQK.device)
    weight = torch.full((batch, proposals), no_object, device=logits_BQK.device)
    if exhaustive_B is not None:
        weight = weight * exhaustive_B[:, None]
    weight = weight * ~elsewhere_BQ
    image, mask, proposal = torch.nonzero(members_BMQ, as_tuple=True)
    label[image, proposal] = targets.label[image, mask]
    weight[image, proposal] = 1.0
    if also_true_BMK is not None:
        hidden = torch.zeros(batch, proposals, classes, dtype=torch.bool, device=logits_BQK.device)
        hidden[image, proposal] = also_true_BMK[image, mask]
        hidden.scatter_(2, label[..., None], False)
        logits_BQK = logits_BQK.masked_fill(hidden, -1e4)
    return class_ce(logits_BQK.reshape(-1, classes), label.reshape(-1), weight.reshape(-1))
