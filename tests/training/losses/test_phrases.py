"""Phrases alone: the same rows as a compiled prompt, true and false ones told apart."""

from __future__ import annotations

import numpy as np
import torch

from tests.training.step.test_step import step_of
from training.config import TrainConfig
from training.data.queries.paraphrase import Paraphrase
from training.losses.phrases import (
    Phrase,
    choose_phrases,
    phrase_losses,
    phrase_truths,
)
from training.step.inputs import phrase_rows
from training.truth import FALSE, TRUE, UNKNOWN


def test_phrases_are_true_or_false_and_both_are_there(config: TrainConfig) -> None:
    module, batches = step_of(config)
    batch = batches.batch(0)
    phrases = choose_phrases(batch, 6, 0, np.random.default_rng(0))
    assert len({p.text for p in phrases}) == len(phrases)
    table = phrase_truths(phrases, batch, module.knowledge)
    own = torch.stack([t[batch.valid] for t in table])
    assert (own == TRUE).any() and (own == FALSE).any()


def test_what_only_places_tell_is_known_in_its_own_picture(config: TrainConfig) -> None:
    module, batches = step_of(config)
    batch = batches.batch(0)
    count = len(batch.images[1].instances)
    holds, fails = Phrase("box left of the ball", 1, (0,)), Phrase("box right of the ball", 1)
    table = phrase_truths([holds, fails], batch, module.knowledge)
    assert table[0, 1, :count].tolist() == [TRUE] + [FALSE] * (count - 1)
    assert table[1, 1, :count].tolist() == [FALSE] * count
    elsewhere = [b for b in range(len(batch)) if b != 1]
    assert (table[:, elsewhere] == UNKNOWN).all() and (table[:, 1, count:] == UNKNOWN).all()


def test_places_are_asked_for_where_there_are_lookalikes(config: TrainConfig) -> None:
    _, batches = step_of(config)
    found = 0
    for n in range(12):
        batch = batches.batch(n)
        plain = choose_phrases(batch, 2, 0, np.random.default_rng(0))
        more = choose_phrases(batch, 2, 2, np.random.default_rng(0))
        placed = more[len(plain) :]
        assert all(p.picture is None for p in plain)
        for phrase in placed:
            assert phrase.picture is not None
            picture = batch.images[phrase.picture]
            kinds = [i.kind for i in picture.instances]
            for m in phrase.targets:
                assert kinds.count(kinds[m]) > len(phrase.targets)
        found += len(placed)
    assert found


def test_a_row_is_the_entity_of_the_compiled_prompt(config: TrainConfig) -> None:
    from find_core.encoders import build_vision
    from find_core.predictor import Find
    from find_core.prompts.prompt import Prompt

    module, _ = step_of(config)
    vision = build_vision(config.model.vision)
    find = Find(module.model.eval(), vision, module.texts.encoder, device="cpu")
    said = [
        Paraphrase("find the red box", ((9, 16),)),
        Paraphrase("a ball, the box", ((2, 6), (12, 15))),
    ]
    with torch.no_grad():
        rows = phrase_rows(module.model, module.texts, said)
    compiled = [
        find.compile(Prompt.parse(markup))
        for markup in ("find the <red box>", "a <ball>, the <box>")
    ]
    expected = torch.cat([c.semantic for c in compiled])
    torch.testing.assert_close(rows, expected, rtol=2e-2, atol=2e-2)


def test_rows_at_their_objects_cost_less_than_elsewhere(config: TrainConfig) -> None:
    module, batches = step_of(config)
    batch = batches.batch(0)
    phrases = choose_phrases(batch, 6, 0, np.random.default_rng(0))
    table = phrase_truths(phrases, batch, module.knowledge)
    count = batch.valid.shape[1]
    matched = torch.where(batch.valid, torch.arange(count).expand_as(batch.valid), -1)
    rows = torch.eye(len(phrases))
    objects = (table == TRUE).float().permute(1, 2, 0) + 1e-3
    scale = torch.tensor(20.0)
    args = (matched, batch, scale)
    good = phrase_losses(module.relevance, phrases, table, rows, objects, *args)
    bad = phrase_losses(module.relevance, phrases, table, rows, 1.0 - objects, *args)
    assert good[0] < bad[0] and good[1] < bad[1]
