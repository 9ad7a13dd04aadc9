"""Mixed photographs: labels of both halves stay true, features and labels are cut alike."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.config import TrainConfig
from training.data.batches import Batches
from training.data.cutmix import CELL_PX, draw_window, may_mix, mix, mix_records
from training.data.formats.records import InstanceLabel, PhraseLabel, Record
from training.data.sources import open_sources
from training.data.store import STRIDES

HEIGHT, WIDTH = 96, 128


def _label(name: str) -> InstanceLabel:
    return InstanceLabel(name, frozenset([name]), None, name, "coco")


def _record(key: str, names: list[str], absent: tuple[str, ...]) -> Record:
    phrases = [PhraseLabel(n, tuple(k for k, x in enumerate(names) if x == n)) for n in set(names)]
    phrases.append(PhraseLabel("left one", (0,), "relation"))
    instances = tuple(_label(n) for n in names)
    return Record(
        key, lambda: (np.zeros(0), np.zeros(0)), instances, tuple(phrases), (), ("a caption",),
        absent, True, "coco", tuple(range(len(names))), ("untrue",),
    )  # fmt: skip


HOST = _record("host", ["cat", "dog", "cat"], ("bus", "car", "sky"))
GUEST = _record("guest", ["dog", "sky"], ("bus", "cat"))


def _view(record: Record, value: float, number: int) -> tuple[Record, np.ndarray, list]:
    numbers = np.full((HEIGHT, WIDTH), number, np.uint8)
    maps = [torch.full((2, HEIGHT // s, WIDTH // s), value) for s in STRIDES]
    return record, numbers, maps


def test_names_of_either_hold_in_both_and_places_and_captions_go() -> None:
    record = mix_records(HOST, GUEST)
    assert [i.name for i in record.instances] == ["cat", "dog", "cat", "dog", "sky"]
    assert {p.text: p.instances for p in record.phrases} == {
        "cat": (0, 2), "dog": (1, 3), "sky": (4,),
    }  # fmt: skip
    assert record.absent == ("bus",)
    assert not record.captions and not record.false_relations and not record.sentences
    assert len(record.source_ids) == len(record.instances)


@given(st.integers(0, 2**32 - 1))
def test_features_and_labels_are_cut_along_the_same_window(seed: int) -> None:
    host, guest = _view(HOST, 1.0, 2), _view(GUEST, 5.0, 2)
    record, numbers, maps = mix(host, guest, np.random.default_rng(seed))
    pasted = numbers == len(HOST.instances) + 2
    assert 0 < pasted.mean() < 1 and (pasted | (numbers == 2)).all()
    for stride, level in zip(STRIDES, maps, strict=True):
        assert np.array_equal(level[0].numpy() == 5.0, pasted[::stride, ::stride])
    assert (host[1] == 2).all() and (host[2][0] == 1.0).all(), "the stored view is left alone"
    assert len(record.instances) == 5


def test_what_is_unlabelled_in_the_guest_stays_unlabelled() -> None:
    _, numbers, _ = mix(_view(HOST, 1.0, 1), _view(GUEST, 5.0, 0), np.random.default_rng(0))
    assert set(np.unique(numbers)) == {0, 1}


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 16))
def test_windows_lie_inside_on_the_coarsest_grid(seed: int, rows: int, columns: int) -> None:
    window = draw_window(rows * CELL_PX, columns * CELL_PX, np.random.default_rng(seed))
    assert 0 <= window.top < window.bottom <= rows
    assert 0 <= window.left < window.right <= columns


def test_pictures_with_too_many_instances_stay_whole() -> None:
    crowd = _record("crowd", ["cat"] * 253, ())
    host = _view(crowd, 1.0, 1)
    assert mix(host, _view(GUEST, 5.0, 1), np.random.default_rng(0)) is host


def test_only_fully_labelled_photographs_are_mixed(config: TrainConfig) -> None:
    sources = open_sources(config.data)
    photos = {
        key: dataclasses.replace(r, source="coco", exhaustive=n % 3 > 0) if n % 2 else r
        for n, (key, r) in enumerate(sources.records.items())
    }
    batch = dataclasses.replace(config.data.batch, real=2, photo_mix=1.0)
    stream = Batches(photos, sources.store, sources.knowledge, batch, 0)
    mixed = 0
    for step in range(8):
        for picture in stream.batch(step).images:
            keys = picture.record.key.split("+")
            assert (len(keys) == 2) == may_mix(photos[keys[0]])
            assert all(may_mix(photos[k]) for k in keys[1:])
            mixed += len(keys) == 2
    assert mixed > 4
