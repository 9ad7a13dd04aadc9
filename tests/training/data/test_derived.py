"""Composites and references: what they show, and which words stay true."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from find_core.encoders import build_vision
from find_core.prompts.framing import SIDE
from tests.training.photo_worlds import write_photos
from tests.training.worlds import write_world
from training.cache import CacheJob, fill, open_writer
from training.config import TrainConfig, override
from training.data.batches import Batches
from training.data.derived.composites import behind, composites, on_top
from training.data.derived.references import FORMS, is_reference, reference_of, references
from training.data.formats import tabletop
from training.data.formats.records import InstanceLabel, PhraseLabel, Record
from training.data.queries.name_groups import far_apart, group_of, labelled_apart, surely_not
from training.data.sources import open_sources, photographs
from training.engine.build import build_module
from training.recipes import recipe
from training.train import fixed_batches

SIZE = (90, 120)


def label(name: str, source: str = "photos", stuff: bool = False) -> InstanceLabel:
    asset = name if source == "tabletop" else None
    return InstanceLabel(name, frozenset([name]), asset, name, source, stuff)


def record(key: str, source: str, boxes: dict[str, tuple[int, int, int, int]], **other) -> Record:
    """Rectangles (top, bottom, left, right) of one grey each."""
    image, numbers = np.full((*SIZE, 3), 10, np.uint8), np.zeros(SIZE, np.uint8)
    for k, (top, bottom, left, right) in enumerate(boxes.values()):
        image[top:bottom, left:right] = 60 + 30 * k
        numbers[top:bottom, left:right] = k + 1
    stuff = {"table", "wall", "floor", "dining table"}
    instances = tuple(label(n, source, n in stuff) for n in boxes)
    phrases = tuple(PhraseLabel(n, (k,)) for k, n in enumerate(boxes))
    return Record(key, lambda: (image, numbers), instances, phrases, source=source, **other)


SCENE = record("tabletop/a", "tabletop", {
    "wall": (0, 40, 0, 120), "table": (40, 90, 0, 120), "red mug": (45, 75, 20, 50),
})  # fmt: skip
PHOTO = record("photos/b", "photos", {
    "dining table": (50, 90, 0, 120), "dog": (5, 35, 60, 90), "cup": (55, 61, 100, 106),
}, absent=("cat", "bowl"))  # fmt: skip


def test_a_photograph_stands_behind_a_rendered_table() -> None:
    made = behind(PHOTO, SCENE)
    image, numbers = made.read()
    assert [i.name for i in made.instances] == ["dining table", "dog", "cup", "table", "red mug"]
    mug, dog = numbers == 5, numbers == 2
    assert mug.sum() == 900 and (image[48:72, 23:47] == 120).all()  # the mug as it was rendered
    assert dog[10:30, 65:85].all() and not (numbers == 1).any()  # the real table is hidden
    assert not made.captions and made.source == "photos"


def test_words_that_may_be_true_of_the_others_objects_are_left_out() -> None:
    made = behind(PHOTO, SCENE)
    said = {p.text: p.instances for p in made.phrases}
    assert said["dog"] == (1,) and "cup" not in said  # a mug may be called a cup
    assert "red mug" not in said and "table" not in said
    assert made.absent == ("cat",)  # the mug might be called a bowl


def test_things_stand_on_the_photographs_table() -> None:
    made = on_top(PHOTO, SCENE)
    image, numbers = made.read()
    again = made.read()
    assert np.array_equal(image, again[0]) and np.array_equal(numbers, again[1])
    assert [i.name for i in made.instances][3:] == ["red mug"]
    rows, columns = np.nonzero(numbers == 4)
    assert 0.08 * SIZE[0] < rows.max() - rows.min() + 1 < 0.35 * SIZE[0]
    original = PHOTO.read()[1]
    foot = original[rows.max(), columns[rows == rows.max()]]
    assert (foot == 1).any()  # on the table


def test_composites_are_the_same_for_any_count() -> None:
    few = [r.key for r in composites([SCENE], [PHOTO], 1)]
    more = [r.key for r in composites([SCENE], [PHOTO], 4)]
    assert more[: len(few)] == few and len(set(more)) == len(more) == 2
    assert composites([], [PHOTO], 4) == [] and composites([SCENE], [], 4) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_reference_lies_framed_in_its_canvas(form: str) -> None:
    made = reference_of(PHOTO, 1, form, SCENE, (64, 96))
    image, numbers = made.read()
    assert image.shape == (64, 96, 3) and is_reference(made.key)
    assert [i.name for i in made.instances] == ["dog"]
    rows, columns = np.nonzero(numbers)
    assert rows.max() - rows.min() + 1 <= round(SIDE * 64)
    assert columns.max() - columns.min() + 1 <= round(SIDE * 96)
    middle = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert (middle == 90).mean() > 0.15  # the dog's own grey
    assert np.array_equal(image, made.read()[0])


def test_what_is_too_small_is_no_reference() -> None:
    assert not reference_of(PHOTO, 2, "crop", None, (64, 96)).read()[1].any()


def test_every_name_gets_references() -> None:
    made = references([SCENE, PHOTO], 60, (64, 96))
    names = [r.instances[0].name for r in made]
    assert set(names) == {"red mug", "dog", "cup"}
    assert {r.key.split("/")[1] for r in made} == set(FORMS)


def test_references_reach_the_entities_of_a_batch(tmp_path: Path) -> None:
    config = photo_config(tmp_path)
    sources = open_sources(override(config, ["data.store="]).data, config.model.vision)
    made = [k for k in sources.records if k.startswith(("composite/", "reference/"))]
    assert len(made) > 20
    fill_store(config, sources.records.values(), config.data.store)
    sources = open_sources(config.data)
    module = build_module(config, sources.knowledge, sources.names, sources.store.shape.channels)
    batches = Batches(
        sources.records, sources.store, sources.knowledge, config.data.batch, config.seed
    )
    asked = 0
    for n in range(6):
        batch = batches.batch(n)
        assert not any(is_reference(i.record.key) for i in batch.images)
        assert len(batch.references) == 3
        for query in batch.queries:
            for entity in query.entities:
                if entity.image_index is not None and entity.image_index >= len(batch):
                    asked += 1
                    shown = batch.references[entity.image_index - len(batch)]
                    assert entity.shown is shown.instances[0]
    assert asked
    result = module(batch, 0)
    result.total.backward()
    other = open_sources(override(config, ["data.store="]).data, config.model.vision, "val")
    fill_store(config, other.records.values(), str(tmp_path / "val"))
    held_out = fixed_batches(config, sources, str(tmp_path / "val"), 2)
    seen = {i.record.key for batch in held_out for i in batch.images}
    assert seen and not seen & set(sources.records) and not held_out[0].references


def fill_store(config: TrainConfig, records: Iterable[Record], folder: str) -> None:
    encoder, vision = build_vision(config.model.vision), config.model.vision
    writer = open_writer(folder, "a", encoder, vision, config.data.view)
    fill(writer, encoder, vision, CacheJob(list(records), [0], config.data.view))
    writer.close()


def photo_config(tmp_path: Path) -> TrainConfig:
    world = write_world(tmp_path / "world")
    write_world(tmp_path / "world", "val", 4, seed=1)
    photos = tmp_path / "photos"
    photos.mkdir()
    settings = {"tabletop": world, "photos": write_photos(photos), "store": tmp_path / "store",
                "composites": 8, "references": 24, "batch.size": 4, "batch.real": 2,
                "batch.references": 3, "batch.asks.visual": 1}  # fmt: skip
    return override(recipe("tiny"), [f"data.{k}={v}" for k, v in settings.items()])


def test_held_out_photographs_never_train(tmp_path: Path) -> None:
    write_photos(tmp_path)
    train, lists = photographs(str(tmp_path))
    val, _ = photographs(str(tmp_path), "val")
    assert not {r.key for r in train} & {r.key for r in val}
    assert len(train) == 3 * len(val) and len(lists) == 6


def test_names_of_distant_groups_exclude_each_other() -> None:
    assert far_apart("dog", "hammer") and far_apart("red mug", "giraffe")
    assert far_apart("wall", "plate") and far_apart("road", "fork")
    assert not far_apart("mug", "cup") and not far_apart("milk", "carton")
    assert not far_apart("glass", "window") and not far_apart("utility knife", "knife")
    assert not far_apart("mug left of the dog", "cat")  # of places nothing is concluded
    assert group_of("teddy bear") is None and group_of("bear") == "animal"
    assert labelled_apart("cat", "dog") and not labelled_apart("tofu", "fried tofu")
    assert not labelled_apart("wrench", "adjustable spanner")
    assert surely_not("person", "green star", rendered=True)
    assert not surely_not("bird", "toy duck", rendered=True)


def test_recipes_know_their_records_whatever_the_store_holds(tmp_path: Path) -> None:
    config = override(photo_config(tmp_path), ["data.store="])
    first = set(open_sources(config.data, config.model.vision).records)
    again = set(open_sources(config.data, config.model.vision).records)
    assert first == again
    assert tabletop.read_split(config.data.tabletop, "train")
