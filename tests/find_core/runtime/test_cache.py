"""Graphs on disk: whole or not there, checked, rebuilt; and `Find` with a runtime."""

from __future__ import annotations

import multiprocessing
import os
import threading

import numpy as np
import pytest
import torch

import find_core as fc
from find_core.checkpoint import save
from find_core.runtime import cache
from find_core.runtime.image_path import ImagePath
from find_core.runtime.select import open_runtime
from find_core.testing import tiny_find

IMAGES = [
    np.random.default_rng(n).integers(0, 255, (h, w, 3), dtype=np.uint8)
    for n, (h, w) in enumerate([(120, 160), (90, 100), (120, 160), (200, 90)])
]


class Maker:
    """Stands for the exporter: counts its calls."""

    def __init__(self, data: bytes = b"graph") -> None:
        self.data, self.calls = data, 0

    def __call__(self) -> bytes:
        self.calls += 1
        return self.data


def test_made_once(tmp_path):
    maker = Maker()
    for _ in range(3):
        assert cache.cached("k", maker, tmp_path / "new") == b"graph"
    assert maker.calls == 1


@pytest.mark.parametrize("damage", [b"", b"grap", b"graphs", b"gsaph"])
def test_damaged_is_made_anew(tmp_path, damage):
    maker = Maker()
    cache.cached("k", maker, tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage)
    assert cache.cached("k", maker, tmp_path) == b"graph" and maker.calls == 2
    assert cache.cached("k", maker, tmp_path) == b"graph" and maker.calls == 2


def test_other_keys_are_other_files(tmp_path):
    cache.cached("k", Maker(b"a"), tmp_path)
    assert cache.cached("k2", Maker(b"b"), tmp_path) == b"b"
    assert cache.cached("k", Maker(b"c"), tmp_path) == b"a"


def test_the_folder_does_not_grow_for_ever(tmp_path):
    for n in range(cache.KEPT_FILES):
        cache.cached(f"k{n}", Maker(), tmp_path)
        (file,) = tmp_path.glob(f"k{n}-*")
        os.utime(file, (n, n))
    cache.cached("k0", Maker(), tmp_path)  # used again: now k1 is the oldest
    cache.cached("new", Maker(), tmp_path)
    names = {file.name.split("-")[0] for file in tmp_path.iterdir()}
    assert len(names) == cache.KEPT_FILES and {"k0", "new"} <= names and "k1" not in names


def test_nothing_is_left_by_a_maker_that_fails(tmp_path):
    def fail() -> bytes:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cache.cached("k", fail, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    assert cache.cached("k", Maker(), blocker / "sub") == b"graph"


def test_key_follows_weights_and_structure():
    def key(**changes) -> str:
        find = tiny_find(**changes)
        return cache.weights_key(ImagePath(find.vision, find.model))

    assert key() == key()
    find = tiny_find()
    find.model.requires_grad_(False).pixel_decoder.mask_features.bias += 1e-3
    others = [key(seed=1), key(num_layers=4), key(mask_coordinates=True)]
    others.append(cache.weights_key(ImagePath(find.vision, find.model)))
    assert len({key(), *others}) == 5


def test_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / "find_core" / "runtime"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.cache_folder().parts[-3:] == (".cache", "find_core", "runtime")


def _open(folder: str, answers) -> None:
    find = tiny_find()
    runtime = open_runtime("onnxruntime", find.vision, find.model, folder=folder)
    state = runtime(torch.ones(1, 3, 64, 96))
    answers.put((runtime.name, float(state.mask_features.abs().sum())))


def test_two_processes_at_once(tmp_path):
    pytest.importorskip("onnxruntime")
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    workers = [context.Process(target=_open, args=(tmp_path, answers)) for _ in range(2)]
    for worker in workers:
        worker.start()
    got = [answers.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert [name for name, _ in got] == ["onnxruntime"] * 2
    assert got[0][1] == pytest.approx(got[1][1])
    assert list(tmp_path.iterdir()) and not [f for f in tmp_path.iterdir() if f.name[0] == "."]


@pytest.fixture
def both(monkeypatch, tmp_path):
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tiny_find(runtime="torch"), tiny_find(runtime="auto")


def test_find_answers_alike(both):
    slow, fast = both
    assert (slow.runtime_name, fast.runtime_name) == ("torch", "onnxruntime")
    reference = fc.Reference(IMAGES[1], box=(10, 10, 60, 60))
    prompts = ["the <mug> on the <plate>", fc.Prompt.parse("<it>", it=reference)]
    for a, b in zip(slow.encode(IMAGES), fast.encode(IMAGES), strict=True):
        np.testing.assert_allclose(a.embedding, b.embedding, atol=1e-5)
        for prompt in prompts:
            for x, y in zip(a.localize(prompt).entities, b.localize(prompt).entities, strict=True):
                assert x.score == pytest.approx(y.score, abs=1e-5)
                assert (x.mask != y.mask).mean() < 1e-3


def test_several_threads(both):
    find = both[1]
    want = [find.encode(image).embedding for image in IMAGES]
    wrong = []

    def work(n: int) -> None:
        for _ in range(5):
            if not np.array_equal(find.encode(IMAGES[n]).embedding, want[n]):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(IMAGES))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_load_takes_the_name(both, tmp_path):
    find = both[0]
    save(tmp_path / "m", find.model, find.vision, find.language)
    assert fc.load(str(tmp_path / "m"), device="cpu").runtime_name == "onnxruntime"
    assert fc.load(str(tmp_path / "m"), device="cpu", runtime="torch").runtime_name == "torch"
    with pytest.raises(fc.FindError, match="Unknown runtime"):
        fc.load(str(tmp_path / "m"), runtime="fast")
