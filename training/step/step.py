"""One training step: a batch in, every task's weighted loss terms out.

Dimension letters: L predictions, B pictures, Q proposals, N texts / prompts / entities, M masks,
K classes, H semantic width, P mask width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from find_core.model.attention_table import (
    ATTENTION_TABLE,
    SEGMENT_SEES_QUERIES,
    TokenGroup,
    TokensByGroup,
)
from find_core.model.find import FindModel
from find_core.model.heads import Outputs
from find_core.model.image_state import ImageState
from training.config import TaskWeights, TrainConfig
from training.data.queries.label_knowledge import LabelKnowledge
from training.data.queries.paraphrase import paraphrase
from training.data.sample import Batch
from training.data.text_cache import TextCache
from training.engine.distributed import gather_rows
from training.losses.instance_contrast import instance_contrast
from training.losses.mask_criterion import (
    MaskLosses,
    MaskTargets,
    MatchView,
    panoptic_losses,
    prediction_weights,
    proposal_losses,
    spread_targets,
)
from training.losses.phrases import choose_phrases, phrase_losses, phrase_rows, phrase_truths
from training.losses.relevance import Presence, presence_losses
from training.losses.terms import cosine_logits, itc, proposal_ce, temperature, token_retrieval
from training.step.class_bank import ClassBank
from training.step.inputs import task_groups, token_rows
from training.step.refine import previous_masks, refined_prompts
from training.step.targets import counts_to_weights, pair_labels, pick_targets
from training.truth import UNKNOWN


@dataclass
class StepResult:
    """Attributes:
    total: the weighted sum. terms: name -> weighted term (detached). matched: task -> (L, B, M).
    outputs, image: of the main forward, for overlays.
    """

    total: Tensor
    terms: dict[str, float]
    matched: dict[str, Tensor]
    outputs: list[Outputs]
    image: ImageState


@dataclass
class _Terms:
    """Collects weighted terms."""

    values: dict[str, Tensor] = field(default_factory=dict)
    matched: dict[str, Tensor] = field(default_factory=dict)

    def add(self, name: str, value: Tensor, weight: float) -> None:
        if weight:
            self.values[name] = self.values.get(name, 0.0) + weight * value

    def add_masks(
        self, task: str, losses: MaskLosses, weights: TaskWeights, share: float = 1.0
    ) -> None:
        self.add(f"{task}_ce", losses.ce, weights.ce * share)
        self.add(f"{task}_bce", losses.bce, weights.bce * share)
        self.add(f"{task}_dice", losses.dice, weights.dice * share)
        self.matched.setdefault(task, losses.matched)


class TrainStep(nn.Module):
    """The trainable interface with everything needed to score it.

    Args:
        model: the interface. texts: the frozen language encoder, cached. facts: what is true of
            what. names: the panoptic vocabulary.
    """

    def __init__(
        self,
        model: FindModel,
        texts: TextCache,
        facts: LabelKnowledge,
        names: list[str],
        config: TrainConfig,
    ) -> None:
        super().__init__()
        self.model, self.texts, self.facts, self.config = model, texts, facts, config
        self.bank = ClassBank(names, config.bank)
        self.presence = Presence(model.config.relevance_scale, model.config.relevance_bias)

    def forward(self, batch: Batch, step: int) -> StepResult:
        """Run all tasks on one batch; randomness is seeded by the step."""
        # Which tasks take part is drawn from `rng` alone, in the same order whatever the batch:
        # all processes must agree on it, or their collective operations would wait for ever.
        rng = np.random.default_rng((self.config.seed, step, 1))
        precision = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.config.precision)
        device = self.model.device
        features = [f.to(device) for f in batch.features]
        with torch.autocast(
            device.type, precision or torch.bfloat16, enabled=precision is not None
        ):
            image = self.model.image_state(features)
        # On CPUs bf16 helps the convolutions only; the interface's small products lose by it.
        mixed = precision is not None and device.type != "cpu"
        with torch.autocast(device.type, precision or torch.bfloat16, enabled=mixed):
            groups = self._groups(batch, image, step, rng)
            outputs = self.model(image, groups, rules=self._rules(rng))
        scored = outputs[::-1][:: self.config.losses.masks.aux_every][::-1]
        return self._score(batch, step, rng, image, scored)

    # -- building -------------------------------------------------------------------------------

    def _rules(self, rng: np.random.Generator) -> dict:
        if rng.random() < self.config.losses.segment_sees_queries:
            return {**ATTENTION_TABLE, TokenGroup.SEGMENT: SEGMENT_SEES_QUERIES}
        return dict(ATTENTION_TABLE)

    def _groups(
        self, batch: Batch, image: ImageState, step: int, rng: np.random.Generator
    ) -> TokensByGroup:
        if self.training and step < self.config.losses.objects_first:
            return dict(self.model.sampler.segmentation(len(batch)))
        drawn = rng.random(2).tolist() if self.training else (0.0, 0.0)
        return task_groups(self.model, self.texts, batch, image, self.config.losses, drawn)

    # -- scoring --------------------------------------------------------------------------------

    def _score(
        self, batch: Batch, step: int, rng: np.random.Generator, image: ImageState,
        outputs: list[Outputs],
    ) -> StepResult:  # fmt: skip
        terms, losses = _Terms(), self.config.losses
        device = self.model.device
        masks, valid = batch.masks.to(device), batch.valid.to(device)
        features = image.mask_features.float()
        view = MatchView(features, losses.masks)
        semantic = {
            v: self._stack(outputs, v, self.model.heads.semantic) for v in _semantic_vars(outputs)
        }
        pixel = {v: torch.stack([o.pixel[v].float() for o in outputs]) for v in outputs[0].pixel}
        with torch.autocast(device.type, enabled=False):
            if losses.panoptic.active:
                self._panoptic(terms, batch, step, semantic, pixel, features, masks, valid, view)
            if TokenGroup.GROUNDING in pixel:
                self._grounding(terms, batch, semantic, pixel, features, masks, view)
            if TokenGroup.SEGMENT in pixel:
                self._interactive(terms, batch, outputs, pixel, features, masks, view)
                if self.training and rng.random() < losses.refine:
                    self._refine(terms, batch, image, outputs, features, masks, view)
            if losses.instances:
                contrast = instance_contrast(features, masks, valid)
                terms.add("instances", contrast, losses.instances)
            if TokenGroup.ENTITY in pixel:
                self._interleave(terms, batch, outputs, semantic, pixel, features, masks, view)
            self._retrieval(terms, batch, semantic)
            if losses.phrases:
                self._phrases(terms, batch, step, semantic[TokenGroup.OBJECT][-1])
            if losses.presence or losses.alignment:
                found = presence_losses(
                    self.presence, batch, self.facts, semantic, terms.matched, self._scale
                )
                terms.add("presence", found[0], losses.presence)
                terms.add("alignment", found[1], losses.alignment)
        total = torch.stack([v for v in terms.values.values()]).sum()
        report = {name: float(v.detach()) for name, v in terms.values.items()}
        return StepResult(total, report, terms.matched, outputs, image)

    @property
    def _scale(self) -> Tensor:
        return temperature(self.model.heads.logit_scale)

    def _stack(
        self, outputs: list[Outputs], v: TokenGroup, head: Callable[[Tensor], Tensor]
    ) -> Tensor:
        return head(torch.stack([o.embeddings[v].float() for o in outputs]))

    def _panoptic(self, terms, batch, step, semantic, pixel, features, masks, valid, view) -> None:
        instances = [p.instances for p in batch.images]
        present = [i.name for row in instances for i in row]
        own = np.random.default_rng((self.config.seed, step, 2))
        names, banks = self.bank.build(self.model, self.texts, present, step, own)
        banks = banks[::-1][:: self.config.losses.masks.aux_every][::-1]
        bank = torch.stack([b.float() for b in banks])[:, None]
        logits = cosine_logits(semantic[TokenGroup.OBJECT], bank, self._scale)
        column = {name: k for k, name in enumerate(names)}
        label = torch.zeros(valid.shape, dtype=torch.long)
        also = torch.zeros(*valid.shape, len(names), dtype=torch.bool)
        for b, row in enumerate(instances):
            for m, instance in enumerate(row):
                # A picture's name may be left out of a bank with one fresh class a picture.
                label[b, m] = column.get(instance.name, len(names) - 1)
                for k, name in enumerate(names[:-1]):
                    also[b, m, k] = self.facts.truth(name, instance) in (1, UNKNOWN)
        exhaustive = torch.tensor([p.record.exhaustive for p in batch.images])
        device = features.device
        found = panoptic_losses(
            logits, pixel[TokenGroup.OBJECT], features, MaskTargets(masks, valid, label.to(device)), view,
            self.config.losses.masks, also.to(device), exhaustive.float().to(device),
        )  # fmt: skip
        terms.add_masks("panoptic", found, self.config.losses.panoptic)

    def _grounding(self, terms, batch, semantic, pixel, features, masks, view) -> None:
        losses = self.config.losses
        logits = cosine_logits(
            semantic[TokenGroup.DESCRIPTION], semantic[TokenGroup.GROUNDING], self._scale
        )
        pairs = [
            [(m, n) for n, p in enumerate(a.phrases) for m in p.targets] for a in batch.queries
        ]
        weight = torch.zeros(logits.shape[1:3], device=features.device)
        for b, ask in enumerate(batch.queries):
            for n, phrase in enumerate(ask.phrases):
                weight[b, n] = losses.referring if phrase.referring else losses.class_text
        found = proposal_losses(
            logits,
            pixel[TokenGroup.GROUNDING],
            features,
            pick_targets(masks, pairs),
            weight,
            view,
            losses.masks,
        )
        terms.add_masks("grounding", found, losses.grounding)

    def _interactive(self, terms, batch, outputs, pixel, features, masks, view) -> None:
        queries = self._stack(outputs, TokenGroup.SPATIAL, self.model.heads.pixel)
        logits = queries @ pixel[TokenGroup.SEGMENT].transpose(-1, -2)
        pairs = [[(p.target, n) for n, p in enumerate(a.prompts)] for a in batch.queries]
        weight = counts_to_weights(
            [len(a.prompts) for a in batch.queries], logits.shape[2], features
        )
        found = proposal_losses(
            logits, pixel[TokenGroup.SEGMENT], features, pick_targets(masks, pairs), weight, view,
            self.config.losses.masks,
        )  # fmt: skip
        terms.add_masks("interactive", found, self.config.losses.interactive)

    def _phrases(self, terms, batch, step, objects_BQH) -> None:
        rng = np.random.default_rng((self.config.seed, step, 3))
        losses = self.config.losses
        chosen = choose_phrases(batch, losses.phrases_a_picture, losses.phrases_placed, rng)
        if chosen:
            phrases = [chosen[i] for i in rng.permutation(len(chosen))]
            rows = phrase_rows(self.model, self.texts, paraphrase([p.text for p in phrases], rng))
            found = phrase_losses(
                self.presence, phrase_truths(phrases, batch, self.facts), rows, objects_BQH,
                terms.matched["panoptic"][-1], batch, self._scale,
            )  # fmt: skip
            terms.add("phrases_presence", found[0], self.config.losses.phrases)
            terms.add("phrases_alignment", found[1], self.config.losses.phrases)

    def _refine(self, terms, batch, image, outputs, features, masks, view) -> None:
        """A second round on the first one's masks; both rounds' terms add up."""
        sampler = self.model.sampler
        previous = previous_masks(self.model, image, outputs[-1])
        prompts = refined_prompts(batch, image, previous)
        counts = [max(1, len(a.prompts)) for a in batch.queries]
        groups = sampler.interactive(prompts, counts, with_memory=True)
        again = self.model(image, groups, previous_BNhw=previous)
        again = again[::-1][:: self.config.losses.masks.aux_every][::-1]
        pixel = {
            TokenGroup.SEGMENT: torch.stack([o.pixel[TokenGroup.SEGMENT].float() for o in again])
        }
        self._interactive(terms, batch, again, pixel, features, masks, view)

    def _interleave(self, terms, batch, outputs, semantic, pixel, features, masks, view) -> None:
        by_word = semantic[TokenGroup.INTERLEAVE] @ semantic[TokenGroup.ENTITY].transpose(-1, -2)
        entity_pixel = self._stack(outputs, TokenGroup.INTERLEAVE, self.model.heads.pixel)
        by_look = entity_pixel @ pixel[TokenGroup.ENTITY].transpose(-1, -2)
        visual = torch.zeros(by_word.shape[1:3], dtype=torch.bool, device=features.device)
        for b, ask in enumerate(batch.queries):
            for n, entity in enumerate(ask.entities):
                visual[b, n] = entity.is_visual
        logits = torch.where(visual[None, :, :, None], by_look, by_word)
        pairs = [
            [(m, n) for n, e in enumerate(a.entities) for m in e.targets] for a in batch.queries
        ]
        weight = counts_to_weights(
            [len(a.entities) for a in batch.queries], logits.shape[2], features
        )
        found = proposal_losses(
            logits, pixel[TokenGroup.ENTITY], features, pick_targets(masks, pairs), weight, view,
            self.config.losses.masks,
        )  # fmt: skip
        terms.add_masks("interleave", found, self.config.losses.interleave)
        if self.config.losses.interleave_semantic:
            value = self._by_cosine(semantic, found.matched, pairs, weight)
            terms.add("interleave_semantic", value, self.config.losses.interleave_semantic)

    def _by_cosine(self, semantic, matched_LBM, pairs, weight_BN) -> Tensor:
        """Final prediction: all entities, words or references, by scaled semantic cosine."""
        entities, proposals = semantic[TokenGroup.INTERLEAVE][-1], semantic[TokenGroup.ENTITY][-1]
        logits = cosine_logits(entities, proposals, self._scale)
        target = spread_targets(
            matched_LBM[-1:], pair_labels(pairs).to(logits.device), *logits.shape[1:]
        )
        rows = logits.shape[0] * logits.shape[1]
        return proposal_ce(
            logits.reshape(rows, -1), target[0].reshape(rows, -1), weight_BN.reshape(-1)
        )

    def _retrieval(self, terms, batch, semantic) -> None:
        losses = self.config.losses
        device = self.model.device
        layers = len(semantic[TokenGroup.OBJECT])
        weights = prediction_weights(layers, losses.masks.aux_weight, device)
        if TokenGroup.CAPTION in semantic:
            known = torch.tensor([a.caption is not None for a in batch.queries], device=device)
            for n, w in enumerate(weights):
                image = semantic[TokenGroup.IMAGE][n, :, 0]
                text = semantic[TokenGroup.CAPTION][n, :, 0]
                terms.add("retrieval", w * self._itc(image, text, known), losses.retrieval)
            if losses.retrieval_tokens:
                value = self._token_retrieval(batch, semantic[TokenGroup.OBJECT])
                terms.add("retrieval_tokens", value, losses.retrieval * losses.retrieval_tokens)
        if losses.interleave_itc and TokenGroup.LEGEND in semantic:
            spoken = torch.tensor(
                [any(e.targets for e in a.entities) for a in batch.queries], device=device
            )
            for n, w in enumerate(weights):
                image = semantic[TokenGroup.IMAGE][n, :, 0]
                text = semantic[TokenGroup.LEGEND][n, :, 0]
                terms.add(
                    "interleave_itc", w * self._itc(image, text, spoken), losses.interleave_itc
                )

    def _itc(self, image_BH: Tensor, text_BH: Tensor, known_B: Tensor) -> Tensor:
        known = gather_rows(known_B.float()) > 0
        return itc(gather_rows(image_BH), gather_rows(text_BH), self._scale, known)

    def _token_retrieval(self, batch: Batch, objects_LBQH: Tensor) -> Tensor:
        tokens = token_rows(self.model, self.texts, [a.caption or "nothing" for a in batch.queries])
        device = objects_LBQH.device
        owner = torch.cat([torch.full((len(t),), b) for b, t in enumerate(tokens)]).to(device)
        rank = torch.cat([torch.arange(1, len(t) + 1) for t in tokens]).to(device)
        means = objects_LBQH.mean(2)
        found = [token_retrieval(m, torch.cat(tokens), owner, rank, self._scale) for m in means]
        return torch.stack(found).sum()


def _semantic_vars(outputs: list[Outputs]) -> list[TokenGroup]:
    wanted = (TokenGroup.OBJECT, TokenGroup.GROUNDING, TokenGroup.ENTITY, TokenGroup.IMAGE,
              TokenGroup.CAPTION, TokenGroup.DESCRIPTION, TokenGroup.LEGEND,
              TokenGroup.INTERLEAVE)  # fmt: skip
    return [v for v in wanted if v in outputs[0].embeddings]
