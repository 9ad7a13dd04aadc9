"""Batches: seeded, consistent, with look-alikes and half-blanked photographs where asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch

from find_core.prompts.prompt import PLACEHOLDER
from training.config import TrainConfig
from training.data.batches import Batches, blank_channels, has_ambiguous_phrases
from training.data.queries.config import PhraseQuery, QueryConfig
from training.data.queries.sampling import among_lookalikes, visible_phrases
from training.data.sample import coverage
from training.data.sources import open_sources
from training.truth import FALSE, UNKNOWN


def test_coverage_is_the_covered_share() -> None:
    mask = np.zeros((8, 8), bool)
    mask[:, :2] = True
    assert coverage(mask).tolist() == [[0.5, 0.0], [0.5, 0.0]]


def test_batches_are_seeded_and_consistent(config: TrainConfig) -> None:
    sources = open_sources(config.data)
    stream = Batches(sources.records, sources.store, sources.knowledge, config.data.batch, 0)
    again = Batches(sources.records, sources.store, sources.knowledge, config.data.batch, 0)
    visual = absent = crossed = 0
    for step in range(20):
        batch, twin = stream.batch(step), again.batch(step)
        assert [a.sentence for a in batch.queries] == [a.sentence for a in twin.queries]
        for b, ask in enumerate(batch.queries):
            picture = batch.images[b]
            assert len(ask.spans) == len(ask.entities)
            for (start, end), entity in zip(ask.spans, ask.entities, strict=True):
                words = ask.sentence[start:end]
                assert words == (PLACEHOLDER if entity.is_visual else entity.text)
                for m in entity.targets:
                    assert entity.truth(picture.instances[m], sources.knowledge) != FALSE
                if not entity.targets:
                    absent += 1
                    truths = {entity.truth(i, sources.knowledge) for i in picture.record.instances}
                    assert truths == {FALSE} or truths == {FALSE, UNKNOWN}
                if entity.is_visual and entity.targets:
                    visual += 1
                    crossed += entity.image_index != b
                    held = batch.images[entity.image_index].numbers[entity.region]
                    assert held.any()
            for prompt in ask.prompts:
                assert (picture.mask(prompt.target) & prompt.stroke).sum() == prompt.stroke.sum()
    assert visual > 10 and absent > 10 and crossed > visual // 2


def test_live_views_equal_stored_ones(config: TrainConfig, world: Path) -> None:
    """A recipe without a store sees the same features, fresh."""
    from training.data.live import LiveStore

    sources = open_sources(config.data)
    live = LiveStore(sources.records, config.model.vision, config.data.view)
    key = next(iter(sources.store.views))
    (stored,) = sources.store.views[key]
    maps, numbers, _ = sources.store.load(stored)
    row = list(sources.records).index(key)
    again, labels, made = live.load(type(stored)("live", row, stored.variant, True, True))
    assert np.array_equal(numbers, labels) and not made.mirrored
    for a, b in zip(maps, again, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3, rtol=1e-2)


def test_without_a_store_pictures_are_encoded_as_they_come(config: TrainConfig) -> None:
    data = dataclasses.replace(config.data, store="")
    sources = open_sources(data, config.model.vision)
    stream = Batches(sources.records, sources.store, sources.knowledge, data.batch, 0)
    batch = stream.batch(0)
    assert len(batch) == data.batch.size and batch.features[0].shape[1] == 8
    mirrored = [p for p in batch.images if p.view.mirrored]
    assert 0 < len(mirrored) < len(batch)


def test_pictures_with_look_alikes_are_chosen_where_asked_for(config: TrainConfig) -> None:
    sources = open_sources(config.data)
    wanted = dataclasses.replace(config.data.batch, partners=0, real=0, lookalikes=2)
    stream = Batches(sources.records, sources.store, sources.knowledge, wanted, 0)
    told = {key for key, record in sources.records.items() if has_ambiguous_phrases(record)}
    assert 0 < len(told) < len(sources.records)
    for step in range(6):
        first = stream.batch(step).images[:2]
        assert {p.record.key for p in first} <= told
        assert all(any(f.ambiguous for f in visible_phrases(p)) for p in first)


def test_several_look_alikes_are_asked_for_in_one_sentence() -> None:
    phrases = [PhraseQuery(f"mug {n}", (n,), True, True) for n in range(5)]
    asks = QueryConfig(alike=1.0, alike_phrases=3)
    counts = set()
    for seed in range(40):
        parts = among_lookalikes(phrases, asks, np.random.default_rng(seed))
        entities = [p for p in parts if not isinstance(p, str)]
        assert all(e.ambiguous and e.text == f"mug {e.targets[0]}" for e in entities)
        assert len({e.text for e in entities}) == len(entities)
        counts.add(len(entities))
    assert counts == {1, 2, 3}


def test_blanked_channels_keep_the_mean() -> None:
    maps = [torch.ones(400, 2, 3), torch.ones(300, 1, 1)]
    out = blank_channels(maps, 0.25, np.random.default_rng(0))
    for before, after in zip(maps, out, strict=True):
        assert after.shape == before.shape
        assert set(after.unique().tolist()) == {0.0, float(np.float32(1 / 0.75))}
        assert abs(float(after.mean()) - 1.0) < 0.1
    assert torch.equal(blank_channels(maps, 0.0, np.random.default_rng(0))[0], maps[0])


def test_only_photographs_are_blanked(config: TrainConfig) -> None:
    sources = open_sources(config.data)
    photos = {
        key: dataclasses.replace(r, source="coco") if n % 2 else r
        for n, (key, r) in enumerate(sources.records.items())
    }
    batch = dataclasses.replace(config.data.batch, real=2, photo_dropout=0.9)
    stream = Batches(photos, sources.store, sources.knowledge, batch, 0)
    blanked = {"coco": 0, "tabletop": 0}
    for step in range(8):
        made = stream.batch(step)
        for picture, maps in zip(made.images, made.features[3], strict=True):
            blanked[picture.record.source] += bool((maps == 0).flatten(1).all(1).any())
    assert blanked["coco"] > 4 and not blanked["tabletop"]
