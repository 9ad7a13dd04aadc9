"""Phrases alone: the same rows as a compiled prompt, true and false ones told apart."""

from __future__ import annotations

import numpy as np
import torch

from tests.training.test_step import step_of
from training.config import TrainConfig
from training.data.asks import EntityAsk
from training.data.facts import FALSE, TRUE
from training.phrases import choose_phrases, phrase_losses, phrase_rows
from training.presence import truths


def test_phrases_are_true_or_false_and_both_are_there(config: TrainConfig) -> None:
    module, batches = step_of(config)
    batch = batches.batch(0)
    phrases = choose_phrases(batch, 6, np.random.default_rng(0))
    assert len(set(phrases)) == len(phrases)
    table = truths([EntityAsk(p, ()) for p in phrases], batch, module.facts)
    own = torch.stack([t[batch.valid] for t in table])
    assert (own == TRUE).any() and (own == FALSE).any()


def test_a_row_is_the_entity_of_the_compiled_prompt(config: TrainConfig) -> None:
    from find_core.encoders.base import build_vision
    from find_core.predictor import Find
    from find_core.prompts import Prompt, PromptEntity

    module, _ = step_of(config)
    vision = build_vision(config.model.vision)
    find = Find(module.model.eval(), vision, module.texts.encoder, device="cpu")
    with torch.no_grad():
        rows = phrase_rows(module.model, module.texts, ["red box", "green ball on top"])
    for row, text in zip(rows, ["red box", "green ball on top"], strict=True):
        compiled = find.compile(Prompt((PromptEntity(text),)))
        torch.testing.assert_close(row, compiled.semantic[0], rtol=2e-2, atol=2e-2)


def test_rows_at_their_objects_cost_less_than_elsewhere(config: TrainConfig) -> None:
    module, batches = step_of(config)
    batch = batches.batch(0)
    phrases = choose_phrases(batch, 6, np.random.default_rng(0))
    table = truths([EntityAsk(p, ()) for p in phrases], batch, module.facts)
    count = batch.valid.shape[1]
    matched = torch.where(batch.valid, torch.arange(count).expand_as(batch.valid), -1)
    rows = torch.eye(len(phrases))
    objects = (table == TRUE).float().permute(1, 2, 0) + 1e-3
    scale = torch.tensor(20.0)
    args = (matched, batch, module.facts, scale)
    good = phrase_losses(module.presence, phrases, rows, objects, *args)
    bad = phrase_losses(module.presence, phrases, rows, 1.0 - objects, *args)
    assert good[0] < bad[0] and good[1] < bad[1]
