"""What every task of a step is scored against, and where its weighted terms are collected.

Dimension letters: L predictions, B images, Q proposals, N tokens of a group, M masks, H semantic
width, P mask width, h/w = 1/4 of the view.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from find_core.model.attention_table import TokenGroup
from find_core.model.heads import Heads, Outputs
from find_core.model.image_state import ImageState
from training.config import LossConfig, TaskWeights
from training.data.sample import Batch
from training.losses.mask_criterion import MaskLosses, MaskTargets, MatchView, proposal_losses
from training.losses.terms import temperature
from training.step.targets import pick_targets

SEMANTIC = (
    TokenGroup.OBJECT, TokenGroup.GROUNDING, TokenGroup.ENTITY, TokenGroup.IMAGE,
    TokenGroup.CAPTION, TokenGroup.DESCRIPTION, TokenGroup.LEGEND, TokenGroup.INTERLEAVE,
)  # fmt: skip
"""Groups whose semantic embeddings take part in a loss."""


@dataclass(frozen=True, eq=False)
class StepContext:
    """One forward pass of one batch, ready to be scored; all tensors on the model's device.

    Attributes:
        losses: the recipe's terms and weights.
        image: what the interface read.
        outputs: the L predictions that are scored, initial first, final last.
        semantic: per group of `SEMANTIC` that is there, (L, B, N, H) float32.
        pixel: per group of proposals, (L, B, Q, P) float32.
        features: (B, P, h, w) float32 mask features.
        masks: (B, M, h, w) float32 in [0, 1], the true masks, zero-padded.
        valid: (B, M) bool, False for padding.
        view: the mask features where matching compares masks.
        kinds, ignored, open_cells: as in `Batch`.
    """

    batch: Batch
    losses: LossConfig
    heads: Heads
    image: ImageState
    outputs: list[Outputs]
    semantic: dict[TokenGroup, Tensor]
    pixel: dict[TokenGroup, Tensor]
    features: Tensor
    masks: Tensor
    valid: Tensor
    view: MatchView
    kinds: Tensor
    ignored: Tensor
    open_cells: Tensor

    @staticmethod
    def of(
        batch: Batch, losses: LossConfig, heads: Heads, image: ImageState, outputs: list[Outputs]
    ) -> StepContext:
        """The context of a main forward pass.

        Args:
            outputs: all predictions; every `losses.masks.aux_every`-th is scored, the last always.
        """
        features = image.mask_features.float()
        view = MatchView(features, losses.masks)
        device = features.device
        masks, valid = batch.masks.to(device), batch.valid.to(device)
        context = StepContext(
            batch, losses, heads, image, scored(outputs, losses), {}, {}, features, masks, valid, view,
            batch.kinds.to(device), batch.ignored.to(device), batch.open_cells.to(device),
        )  # fmt: skip
        there = context.outputs[0].embeddings
        context.semantic.update(
            {group: heads.semantic(context.stacked(group)) for group in SEMANTIC if group in there}
        )
        context.pixel.update(
            {group: context.proposals(group) for group in context.outputs[0].pixel}
        )
        return context

    def again(self, outputs: list[Outputs]) -> StepContext:
        """The same batch after one more interactive round, whose segments alone are scored."""
        last = dataclasses.replace(
            self, outputs=scored(outputs, self.losses), semantic={}, pixel={}
        )
        last.pixel[TokenGroup.SEGMENT] = last.proposals(TokenGroup.SEGMENT)
        return last

    @property
    def scale(self) -> Tensor:
        """The temperature that all cosine losses share."""
        return temperature(self.heads.logit_scale)

    def stacked(self, group: TokenGroup) -> Tensor:
        """(L, B, N, H) float32 embeddings of a group, in all predictions."""
        return torch.stack([output.embeddings[group].float() for output in self.outputs])

    def proposals(self, group: TokenGroup) -> Tensor:
        """(L, B, Q, P) float32 pixel embeddings of a group of proposals."""
        return torch.stack([output.pixel[group].float() for output in self.outputs])

    def queries(self, group: TokenGroup) -> Tensor:
        """(L, B, N, P) float32 pixel embeddings of a group of queries."""
        return self.heads.pixel(self.stacked(group))

    def targets(self, pairs: list[list[tuple[int, int]]]) -> MaskTargets:
        """True masks per (instance, text or prompt) pair of each image."""
        return pick_targets(self.masks, pairs, self.kinds, self.ignored, self.open_cells)

    def proposal_losses(
        self,
        logits_LBNQ: Tensor,
        proposals: TokenGroup,
        pairs: list[list[tuple[int, int]]],
        weight_BN: Tensor,
    ) -> MaskLosses:
        """Which of the proposals each text, prompt or entity means, and their masks.

        Args:
            pairs: per image (instance, text or prompt) that belong together.
        """
        return proposal_losses(
            logits_LBNQ, self.pixel[proposals], self.features, self.targets(pairs), weight_BN,
            self.view, self.losses.masks,
        )  # fmt: skip


T = TypeVar("T")


def scored(outputs: list[T], losses: LossConfig) -> list[T]:
    """Every n-th prediction, counted back from the final one."""
    return outputs[::-1][:: losses.masks.aux_every][::-1]


@dataclass
class LossTerms:
    """Collects weighted terms.

    Attributes:
        values: weighted scalar by name.
        matched: per mask task (L, B, M) long, the proposal of each true mask.
        undecided: per mask task (L, B, Q) bool, proposals neither taught nor denied.
    """

    values: dict[str, Tensor] = field(default_factory=dict)
    matched: dict[str, Tensor] = field(default_factory=dict)
    undecided: dict[str, Tensor] = field(default_factory=dict)

    def add(self, name: str, value: Tensor, weight: float) -> None:
        """Add `weight * value` to a term; nothing where the weight is 0."""
        if weight:
            self.values[name] = self.values.get(name, 0.0) + weight * value

    def add_masks(self, task: str, losses: MaskLosses, weights: TaskWeights) -> None:
        """The three terms of a mask task; of several rounds the first one's matching is kept."""
        self.add(f"{task}_ce", losses.ce, weights.ce)
        self.add(f"{task}_bce", losses.bce, weights.bce)
        self.add(f"{task}_dice", losses.dice, weights.dice)
        self.matched.setdefault(task, losses.matched)
        self.undecided.setdefault(task, losses.undecided)

    def total(self) -> Tensor:
        """Their sum, a scalar."""
        return torch.stack(list(self.values.values())).sum()
