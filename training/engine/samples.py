"""Pictures of what a model in training answers to the interleaved prompts of a few pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import cv2
import numpy as np
import torch

from find_core.drawing import contact_sheet, draw_localization
from find_core.model.attention_table import TokenGroup
from find_core.results import Entity, Localization, box_of_mask
from training.data.augment import ViewConfig
from training.data.queries.config import EntityQuery
from training.data.sample import Batch
from training.data.views import view_of
from training.engine.validate import VALIDATION_STEP
from training.losses.terms import cosine_logits
from training.step.step import TrainStep

COLUMNS = 3


@torch.no_grad()
def sample_sheet(
    module: TrainStep, batches: Sequence[Batch], views: ViewConfig, count: int = 9
) -> np.ndarray | None:
    """A contact sheet, (H, W, 3) uint8 RGB: the best proposal of every entity, wanted or not.

    An entity's label ends in its relevance; `[absent]` marks what is not there, and should be low.
    None where no picture can be shown (views that were cached with other settings).
    """
    training = module.training
    module.eval()
    shown = list(islice(_samples(module, batches, views), count))
    module.train(training)
    if not shown:
        return None
    images, captions = zip(*shown, strict=True)
    return contact_sheet(images, captions, columns=COLUMNS, cell_width_px=384)


def _samples(
    module: TrainStep, batches: Sequence[Batch], views: ViewConfig
) -> Iterator[tuple[np.ndarray, str]]:
    """(picture with masks drawn, its prompt)."""
    for n, batch in enumerate(batches):
        answers = _answers(module, batch, VALIDATION_STEP + n)
        for picture, ask, entities in zip(batch.images, batch.queries, answers, strict=True):
            view = view_of(picture.record, picture.view.variant, views)
            if entities and np.array_equal(view.numbers, picture.numbers):
                answer = Localization(0.0, tuple(entities), *view.numbers.shape)
                yield draw_localization(view.image, answer), ask.sentence


def _answers(module: TrainStep, batch: Batch, step: int) -> list[list[Entity]]:
    """Per picture, the entities of its interleaved sentence."""
    result = module(batch, step)
    last, heads = result.outputs[-1], module.model.heads
    if TokenGroup.ENTITY not in last.pixel:
        return [[] for _ in batch.queries]
    logits = module.model.masks(last.pixel[TokenGroup.ENTITY], result.image)
    rows = heads.semantic(last.embeddings[TokenGroup.ENTITY])
    cosines = cosine_logits(heads.semantic(last.embeddings[TokenGroup.INTERLEAVE]), rows)
    answers = []
    for b, ask in enumerate(batch.queries):
        height, width = batch.images[b].numbers.shape
        entities = []
        for n, asked in enumerate(ask.entities):
            best = int(cosines[b, n].argmax())
            score = float(module.relevance(cosines[b, n, best]).sigmoid())
            large = cv2.resize(logits[b, best].float().cpu().numpy(), (width, height))
            entities.append(_entity(asked, score, large > 0, rows[b, best].float().cpu().numpy()))
        answers.append(entities)
    return answers


def _entity(asked: EntityQuery, score: float, mask: np.ndarray, row: np.ndarray) -> Entity:
    name = f"<{asked.shown.name}>" if asked.shown is not None else asked.text
    label = name if asked.targets else f"{name} [absent]"
    return Entity(score, mask, box_of_mask(mask), row, label=label, found=True)
