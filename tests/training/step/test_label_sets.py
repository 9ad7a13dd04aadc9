"""What a step learns from each set of photographs, and what it never denies (docs/training.md)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from find_core.encoders import build_vision
from tests.training.photo_worlds import SETS, write_photos
from training.cache import CacheJob, fill, open_writer
from training.config import TrainConfig, override
from training.data.batches import Batches
from training.data.queries.config import EntityQuery
from training.data.sample import Batch
from training.data.sources import Sources, open_sources
from training.engine.build import build_module
from training.losses.phrases import choose_phrases, phrase_truths
from training.losses.relevance import image_truth
from training.recipes import recipe
from training.step.step import TrainStep
from training.truth import FALSE, TRUE, UNKNOWN

ALL_TASKS = ("grounding_chance=1", "interactive_chance=1", "refine=0", "segment_sees_queries=0")


@pytest.fixture(scope="module")
def photo_config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    root = write_photos(tmp_path_factory.mktemp("photos"))
    store = tmp_path_factory.mktemp("store")
    config = override(
        recipe("tiny"),
        [f"data.photos={root}", f"data.store={store}", "data.batch.size=3",
         *(f"losses.{s}" for s in ALL_TASKS)],
    )  # fmt: skip
    encoder, vision = build_vision(config.model.vision), config.model.vision
    writer = open_writer(str(store), "a", encoder, vision, config.data.view)
    records = list(open_sources(config.data, vision).records.values())
    fill(writer, encoder, vision, CacheJob(records, [0], config.data.view))
    writer.close()
    return config


def batch_of(config: TrainConfig, set_name: str) -> tuple[TrainStep, Sources, Batch]:
    """A step, and a batch of one set's images alone."""
    sources = open_sources(config.data)
    module = build_module(config, sources.knowledge, sources.names, sources.store.shape.channels)
    chosen = {k: r for k, r in sources.records.items() if k.startswith(f"photos/{set_name}/")}
    assert len(chosen) == 3
    batches = Batches(chosen, sources.store, sources.knowledge, config.data.batch, 0)
    return module, sources, batches.batch(0)


MASKS = [f"{t}_{k}" for t in ("panoptic", "grounding", "interleave") for k in ("bce", "dice")]
CLICKS = ["interactive_ce", "interactive_bce", "interactive_dice"]
TEACHES = {
    "coco_panoptic": {*MASKS, *CLICKS, "instances", "panoptic_ce", "grounding_ce"},
    "coco_things": {*MASKS, *CLICKS, "instances", "panoptic_ce", "grounding_ce", "retrieval"},
    "voc_animals": {*MASKS, "panoptic_ce", "grounding_ce"},
    "epicure": {m for m in MASKS if m.endswith("dice")} | {"panoptic_ce", "grounding_ce"},
    "tools": {*MASKS, *CLICKS, "instances", "panoptic_ce", "grounding_ce"},
    "grocery_store_labels": set(),
}
"""Terms of the masks, their names and the captions that a set's labels change. The relevance of
names is taught by all of them."""


@pytest.mark.parametrize("set_name", SETS)
def test_a_set_changes_the_terms_it_should(photo_config: TrainConfig, set_name: str) -> None:
    module, _, batch = batch_of(photo_config, set_name)
    result = module(batch, 0)
    considered = {*MASKS, *CLICKS, "instances", "panoptic_ce", "grounding_ce", "retrieval"}
    moved = {t for t in considered if abs(result.terms.get(t, 0.0)) > 1e-6}
    assert moved == TEACHES[set_name]
    assert result.terms["phrases_relevance"] > 0
    result.total.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in module.parameters())


@pytest.mark.parametrize("set_name", SETS)
def test_only_what_is_known_is_denied(photo_config: TrainConfig, set_name: str) -> None:
    """An exhaustive set says which classes are absent; no other set denies any of them."""
    module, _, batch = batch_of(photo_config, set_name)
    phrases = choose_phrases(batch, 6, 0, np.random.default_rng(0))
    table = phrase_truths(phrases, batch, module.knowledge)
    seen = image_truth(table, batch, [EntityQuery(p.text, ()) for p in phrases])
    for t, phrase in enumerate(phrases):
        for b, image in enumerate(batch.images):
            named = {i.name for i in image.instances} | set(image.record.image_labels)
            if phrase.text in named | set(image.record.caption_names):
                assert seen[t, b] == TRUE
            elif SETS[set_name]["exhaustive"]:
                assert seen[t, b] == FALSE or phrase.text not in module.knowledge.class_lists[0]
            else:
                assert seen[t, b] == UNKNOWN
    absent = [e for q in batch.queries for e in q.entities if not e.targets]
    assert SETS[set_name]["exhaustive"] or not absent


def test_an_image_label_raises_the_best_object_alone(photo_config: TrainConfig) -> None:
    """Only the name of the whole image is known: the gradient reaches one object, upwards."""
    from training.losses.phrases import Phrase, phrase_losses

    module, _, batch = batch_of(photo_config, "grocery_store_labels")
    name = batch.images[0].record.image_labels[0]
    phrases = [Phrase(name)]
    objects = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    rows = torch.randn(1, 8, generator=torch.Generator().manual_seed(1))
    nothing = torch.full(batch.valid.shape, -1)
    table = phrase_truths(phrases, batch, module.knowledge)
    relevance, alignment = phrase_losses(
        module.relevance, phrases, table, rows, objects, nothing, batch, torch.tensor(1.0)
    )
    (relevance + alignment).backward()
    assert objects.grad is not None
    touched = objects.grad.abs().sum(-1) > 0
    holds = torch.tensor([name in i.record.image_labels for i in batch.images])
    assert touched.sum(1).tolist() == holds.long().tolist()
    best = (torch.nn.functional.normalize(objects, dim=-1) @ rows[0]).argmax(1)
    assert all(touched[b, best[b]] for b in range(3) if holds[b])


def test_names_of_captions_are_of_the_uncropped_image_alone(photo_config: TrainConfig) -> None:
    _, sources, batch = batch_of(photo_config, "coco_things")
    said = [r.caption_names for r in sources.records.values() if r.captions]
    assert said and all(any(p.startswith("red ") for p in names) for names in said)
    assert all(r.caption_names == () for r in sources.records.values() if not r.captions)
    image = batch.images[0]
    image.view = type(image.view)("a", 0, 0, False, cropped=True)
    phrase = image.record.caption_names[0]
    seen = image_truth(torch.full((1, *batch.valid.shape), -1), batch, [EntityQuery(phrase, ())])
    assert seen[0, 0] == UNKNOWN
