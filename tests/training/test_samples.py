"""Sample pictures of a model in training: drawn over the very view that was encoded."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from find_core.images import read_image
from training.config import TrainConfig, override
from training.data.batches import Batches
from training.data.sources import open_sources
from training.engine.build import build_module
from training.engine.samples import sample_sheet
from training.engine.trainer import Trainer


def test_a_trainer_with_validation_pictures_draws_samples(
    config: TrainConfig, tmp_path: Path
) -> None:
    config = override(config, ["optim.steps=1", "save_every=1"])
    sources = open_sources(config.data)
    module = build_module(config, sources.knowledge, sources.names, sources.store.shape.channels)
    batches = Batches(
        sources.records, sources.store, sources.knowledge, config.data.batch, config.seed
    )
    before = dict(module.bank.memory)
    sheet = sample_sheet(module, [batches.batch(0)], config.data.view, count=4)
    assert module.training and sheet is not None
    assert sheet.shape[1] == 3 * (384 + 6) + 6 and sheet.std() > 20
    assert dict(module.bank.memory).keys() >= before.keys()
    Trainer(config, tmp_path, module, batches, [batches.batch(0)], report=lambda line: None).run()
    assert read_image(tmp_path / "samples.png").shape[1] == sheet.shape[1]


def test_views_that_were_cached_with_other_settings_are_not_drawn(config: TrainConfig) -> None:
    sources = open_sources(config.data)
    module = build_module(config, sources.knowledge, sources.names, sources.store.shape.channels)
    batch = Batches(sources.records, sources.store, sources.knowledge, config.data.batch).batch(0)
    for picture in batch.images:
        picture.numbers = np.flip(picture.numbers, 1) + 1
    other = dataclasses.replace(config.data.view)
    assert sample_sheet(module, [batch], other) is None
