"""One training step: a batch in, every task's weighted loss terms out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from find_core.model.attention_table import (
    ATTENTION_TABLE,
    SEGMENT_SEES_QUERIES,
    AttentionRule,
    TokenGroup,
    TokensByGroup,
)
from find_core.model.find import FindModel
from find_core.model.heads import Outputs
from find_core.model.image_state import ImageState
from training.config import TrainConfig
from training.data.formats.records import LabelKind
from training.data.queries.label_knowledge import LabelKnowledge
from training.data.queries.paraphrase import paraphrase
from training.data.sample import KINDS, Batch
from training.data.text_cache import TextCache
from training.losses.instance_contrast import instance_contrast
from training.losses.phrases import choose_phrases, phrase_losses, phrase_truths
from training.losses.relevance import Relevance, relevance_losses
from training.step import mask_tasks
from training.step.class_bank import ClassBank
from training.step.context import LossTerms, StepContext, scored
from training.step.inputs import caption_rows, phrase_rows, task_groups
from training.step.refine import previous_masks, refined_prompts
from training.step.retrieval import add_retrieval


@dataclass
class StepResult:
    """What a step found.

    Attributes:
        total: the weighted sum of all terms, with gradient.
        terms: weighted term by name, without gradient.
        matched: per mask task (L, B, M) long, the proposal of each true mask in each prediction.
        outputs, image: of the main forward pass, for validation and overlays.
    """

    total: Tensor
    terms: dict[str, float]
    matched: dict[str, Tensor]
    outputs: list[Outputs]
    image: ImageState


PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def gains_all(device: torch.device) -> bool:
    """Does the interface gain by half precision too? On CPUs, with AMX too, it gains nothing."""
    return device.type != "cpu"


class TrainStep(nn.Module):
    """The trainable interface with everything needed to score it.

    Args:
        model: the interface.
        texts: the frozen language encoder, cached.
        knowledge: what is true of what.
        names: the panoptic vocabulary.
    """

    def __init__(
        self,
        model: FindModel,
        texts: TextCache,
        knowledge: LabelKnowledge,
        names: Sequence[str],
        config: TrainConfig,
    ) -> None:
        super().__init__()
        self.model, self.texts, self.knowledge, self.config = model, texts, knowledge, config
        self.bank = ClassBank(names, config.bank)
        self.relevance = Relevance(model.config.relevance_scale, model.config.relevance_bias)

    def forward(self, batch: Batch, step: int) -> StepResult:
        """Run all tasks on one batch; randomness is seeded by the step."""
        # Which tasks take part is drawn from `rng` alone, in the same order whatever the batch:
        # all processes must agree on it, or their collective operations would wait for ever.
        rng = np.random.default_rng((self.config.seed, step, 1))
        precision = PRECISIONS.get(self.config.precision)
        device = self.model.device
        features = [f.to(device) for f in batch.features]
        with torch.autocast(
            device.type, precision or torch.bfloat16, enabled=precision is not None
        ):
            image = self.model.image_state(features)
            shown = [f.to(device) for f in batch.reference_features]
            references = self.model.image_state(shown) if shown else None
        with self._mixed():
            groups = self._groups(batch, image, references, step, rng)
            outputs = self.model(image, groups, rules=self._rules(rng))
        with torch.autocast(device.type, enabled=False):
            context = StepContext.of(batch, self.config.losses, self.model.heads, image, outputs)
            terms = self._score(context, step, rng)
        report = {name: float(value.detach()) for name, value in terms.values.items()}
        return StepResult(terms.total(), report, terms.matched, context.outputs, image)

    def _mixed(self) -> torch.autocast:
        """Half precision for the interface, where it is asked for and gains by it."""
        precision, device = PRECISIONS.get(self.config.precision), self.model.device
        wanted = precision is not None and gains_all(device)
        return torch.autocast(device.type, precision or torch.bfloat16, enabled=wanted)

    def _rules(self, rng: np.random.Generator) -> dict[TokenGroup, AttentionRule]:
        if rng.random() < self.config.losses.segment_sees_queries:
            return {**ATTENTION_TABLE, TokenGroup.SEGMENT: SEGMENT_SEES_QUERIES}
        return dict(ATTENTION_TABLE)

    def _groups(
        self, batch: Batch, image: ImageState, references: ImageState | None, step: int,
        rng: np.random.Generator,
    ) -> TokensByGroup:  # fmt: skip
        if self.training and step < self.config.losses.objects_first:
            return dict(self.model.sampler.segmentation(len(batch)))
        drawn = rng.random(2).tolist() if self.training else (0.0, 0.0)
        return task_groups(
            self.model, self.texts, batch, image, self.config.losses, drawn, references
        )

    def _score(self, context: StepContext, step: int, rng: np.random.Generator) -> LossTerms:
        terms, losses = LossTerms(), self.config.losses
        if losses.panoptic.active:
            self._panoptic(terms, context, step)
        if TokenGroup.GROUNDING in context.pixel:
            terms.add_masks("grounding", mask_tasks.grounding(context), losses.grounding)
        if TokenGroup.SEGMENT in context.pixel:
            terms.add_masks("interactive", mask_tasks.interactive(context), losses.interactive)
            if self.training and rng.random() < losses.refine:
                self._refine(terms, context)
        if losses.instances:
            single = context.valid & (context.kinds == KINDS.index(LabelKind.MASK))
            contrast = instance_contrast(context.features, context.masks, single)
            terms.add("instances", contrast, losses.instances)
        if TokenGroup.ENTITY in context.pixel:
            found, by_cosine = mask_tasks.interleave(context)
            terms.add_masks("interleave", found, losses.interleave)
            terms.add("interleave_semantic", by_cosine, losses.interleave_semantic)
        captions = (
            caption_rows(self.model, self.texts, context.batch) if losses.retrieval_tokens else []
        )
        add_retrieval(terms, context, captions)
        if losses.phrases:
            self._phrases(terms, context, step)
        if losses.relevance or losses.alignment:
            relevance, alignment = relevance_losses(
                self.relevance, context.batch, self.knowledge, context.semantic, terms.matched,
                terms.undecided, context.scale,
            )  # fmt: skip
            terms.add("relevance", relevance, losses.relevance)
            terms.add("alignment", alignment, losses.alignment)
        return terms

    def _panoptic(self, terms: LossTerms, context: StepContext, step: int) -> None:
        present = [i.name for image in context.batch.images for i in image.instances]
        rng = np.random.default_rng((self.config.seed, step, 2))
        names, banks = self.bank.build(self.model, self.texts, present, step, rng)
        bank = torch.stack([b.float() for b in scored(banks, context.losses)])
        found = mask_tasks.panoptic(context, names, bank, self.knowledge)
        terms.add_masks("panoptic", found, context.losses.panoptic)

    def _refine(self, terms: LossTerms, context: StepContext) -> None:
        """A second round on the first one's masks; both rounds' terms add up."""
        batch, image = context.batch, context.image
        counts = [max(1, len(query.prompts)) for query in batch.queries]
        with self._mixed():
            previous = previous_masks(self.model, image, context.outputs[-1])
            prompts = refined_prompts(batch, image, previous)
            groups = self.model.sampler.interactive(prompts, counts, with_memory=True)
            outputs = self.model(image, groups, previous_BNhw=previous)
        again = context.again(outputs)
        terms.add_masks("interactive", mask_tasks.interactive(again), context.losses.interactive)

    def _phrases(self, terms: LossTerms, context: StepContext, step: int) -> None:
        """Short phrases, true and false, against all objects of the batch."""
        losses, batch = context.losses, context.batch
        rng = np.random.default_rng((self.config.seed, step, 3))
        chosen = choose_phrases(batch, losses.phrases_a_picture, losses.phrases_placed, rng)
        if not chosen:
            return
        phrases = [chosen[i] for i in rng.permutation(len(chosen))]
        rows = phrase_rows(self.model, self.texts, paraphrase([p.text for p in phrases], rng))
        relevance, alignment = phrase_losses(
            self.relevance, phrases, phrase_truths(phrases, batch, self.knowledge), rows,
            context.semantic[TokenGroup.OBJECT][-1], terms.matched["panoptic"][-1], batch,
            context.scale,
        )  # fmt: skip
        terms.add("phrases_relevance", relevance, losses.phrases)
        terms.add("phrases_alignment", alignment, losses.phrases)
