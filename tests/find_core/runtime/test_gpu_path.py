"""The path that GPUs take, as far as a CPU can show it: with stand-ins for what only a GPU has.

On a GPU itself: tests/gpu.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import find_core as fc
from find_core.model.attention_table import TokenGroup
from find_core.predictor import Find
from find_core.prompts.compiled import stack_states
from find_core.runtime import torch_runtime
from find_core.runtime.places import places_of
from find_core.runtime.uploads import PinnedUploads
from find_core.runtime.warm_up import MOST_SHAPES, WarmUp
from find_core.support.gpu_memory import Batcher
from find_core.testing import tiny_find

IMAGE = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
PROMPTS = ["the <mug>", "the <mug> on the <plate>", "a <very long and winding> road", "<it>"]


def on_meta(x):
    """The same structure, its tensors without values."""
    if isinstance(x, torch.Tensor):
        return x.to("meta")
    if isinstance(x, list):
        return [on_meta(y) for y in x]
    fields = {f.name: on_meta(getattr(x, f.name)) for f in dataclasses.fields(x)} if (
        dataclasses.is_dataclass(x)
    ) else {}  # fmt: skip
    return dataclasses.replace(x, **fields) if fields else x


def test_nothing_is_read_back_before_the_answer(monkeypatch):
    """A meta tensor has no value: to ask for one, as to wait for a GPU, is an error."""
    find = tiny_find(mask_coordinates=True, level_coordinates=True)
    legends = [on_meta(find.compile(p).legend) for p in PROMPTS]
    model, vision = find.model.to("meta"), find.vision.to("meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    with torch.inference_mode():
        images = torch.empty(2, 3, 64, 96, device="meta")
        state = model.image_state(vision(images), places_of(model, (64, 96)))[0]
        groups = model.sampler.entity_proposals(len(legends))
        cached = {TokenGroup.LEGEND_TOKENS: stack_states(legends)}
        outputs = model.resume(state, groups, cached)
        assert outputs.pixel[TokenGroup.ENTITY].shape == (len(PROMPTS), 6, 16)
        objects = model(state, model.sampler.segmentation(1))[-1]
        assert objects.embeddings[TokenGroup.IMAGE].device.type == "meta"
        with pytest.raises(RuntimeError, match="meta"):  # the test can fail
            bool(objects.embeddings[TokenGroup.IMAGE].any())


@pytest.fixture
def halved(monkeypatch):
    """(in full precision, as on a GPU: all in bfloat16), the same weights."""
    plain, half = (tiny_find(mask_coordinates=True, single_things=True) for _ in range(2))
    bf16 = lambda encoding=False: torch.autocast("cpu", torch.bfloat16)  # noqa: E731
    monkeypatch.setattr(half, "autocast", bf16)
    return plain, half


def verbs(find: Find) -> dict:
    scene, it = find.encode(IMAGE), fc.Reference(IMAGE, box=(10, 10, 60, 60))
    point = fc.Region.point(5, 5)
    everything = [*PROMPTS, fc.Prompt.parse("<it> and the <mug>", it=it)]
    return {
        "embedding": scene.embedding,
        "localize": [r.relevance for r in scene.localize_many(everything)],
        "fast": [r.relevance for r in scene.localize_many(everything, fast=True)],
        "relevance": [scene.relevance(p) for p in everything],
        "ground": scene.ground(["a b", "c"]).relevance,
        "classes": torch.nn.functional.normalize(find.classes(["a", everything[-1]]), dim=-1),
        "caption": find.embed_caption("a b"),
        "map": scene.semantic_map()[0],
        "panoptic": scene.segment(["a", "b"]).id_map.shape,
        "instance": [s.mask.shape for s in scene.segment(["a", "b"], "instance").segments][:1],
        "semantic": scene.segment(["a", "b"], "semantic").class_map.shape,
        "interact": scene.interact(point, previous=scene.interact(point)).masks.shape,
    }


def test_mixed_precision_answers_everything(halved):
    plain, half = (verbs(find) for find in halved)
    for name, value in plain.items():
        np.testing.assert_allclose(half[name], value, atol=0.06, err_msg=name)
    assert not np.array_equal(half["embedding"], plain["embedding"])  # it was bfloat16


class SmallMemory:
    """Work that fits for at most `fits` items."""

    def __init__(self, fits: int) -> None:
        self.fits, self.sizes = fits, list[int]()

    def __call__(self, items):
        self.sizes.append(len(items))
        if len(items) > self.fits:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return [2 * i for i in items]


@pytest.mark.parametrize("fits", [1, 3, 8])
def test_out_of_memory_makes_smaller_batches(fits, caplog):
    batcher, work = Batcher("prompts"), SmallMemory(fits)
    assert batcher(range(8), work) == [2 * i for i in range(8)]
    tried = len(work.sizes)
    assert batcher(range(8), work) == [2 * i for i in range(8)]
    assert max(work.sizes[tried:]) <= fits  # remembered
    assert len(caplog.records) == {1: 3, 3: 2, 8: 0}[fits]
    assert all("prompts at once" in r.message for r in caplog.records)


def test_out_of_memory_for_one():
    with pytest.raises(fc.FindError, match=r"smaller input_px, or with device='cpu'\.$"):
        Batcher("images")(range(4), SmallMemory(0))


def test_other_errors_are_not_swallowed():
    def broken(items):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Batcher("images")(range(4), broken)


def test_a_scene_answers_in_smaller_batches(monkeypatch, caplog):
    find = tiny_find()
    scene, whole = find.encode(IMAGE), find.model.resume
    want = [scene.localize(p) for p in PROMPTS]
    sizes = []

    def resume(image, groups, cached):
        sizes.append(groups[TokenGroup.ENTITY].content.shape[0])
        if sizes[-1] > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return whole(image, groups, cached)

    monkeypatch.setattr(find.model, "resume", resume)
    got = scene.localize_many(PROMPTS)
    assert sizes == [4, 2, 2] and len(caplog.records) == 1
    for a, b in zip(got, want, strict=True):
        assert a.relevance == pytest.approx(b.relevance, abs=1e-5)


class Event:
    """Of a copy engine that is slow: a buffer may be read until `synchronize`."""

    def __init__(self, log: list) -> None:
        self.log = log

    def record(self) -> None:
        self.log.append(("record", id(self)))

    def synchronize(self) -> None:
        self.log.append(("synchronize", id(self)))


def test_uploads_take_two_buffers_in_turns():
    log, made = [], []

    def allocate(shape):
        made.append(torch.empty(tuple(shape)))
        return made[-1]

    upload = PinnedUploads(torch.device("cpu"), allocate, lambda: Event(log))
    images = [torch.randn(3, 8, 8) for _ in range(5)]
    arrived = [upload([image]) for image in images]
    for image, there in zip(images, arrived, strict=True):
        assert torch.equal(there[0], image)  # later ones were not written over it
    assert len(made) == 2
    kinds, events = zip(*log, strict=True)
    assert kinds == ("synchronize", "record") * 5
    assert events[0] != events[2] and events[0::2][:3] == (events[0], events[2], events[0])
    pair = upload([images[0], images[1]])
    assert pair.shape == (2, 3, 8, 8) and len(made) == 4


def test_warm_up_answers_at_once_and_then_fast():
    go = threading.Event()

    def prepare(example):
        assert torch.is_inference_mode_enabled()
        go.wait(20)
        return lambda x: ("fast", x.shape, example.shape)

    warm = WarmUp(lambda x: ("plain", x.shape), prepare)
    one, two = torch.zeros(1, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    assert warm(one)[0] == "plain" and warm(one)[0] == "plain"  # nobody waits for `go`
    go.set()
    assert warm.wait(20)
    assert warm(one) == ("fast", one.shape, one.shape)
    assert warm(two)[0] == "plain" and warm.wait(20)
    assert warm(two) == ("fast", two.shape, two.shape)


def test_warm_up_tells_precisions_apart():
    warm = WarmUp(lambda x: "plain", lambda e: lambda x: torch.is_autocast_enabled("cpu"))
    x = torch.zeros(1, 3, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        warm(x)
        assert warm.wait(20) and warm(x) is True
    assert warm(x) == "plain"


def test_warm_up_that_fails_is_named_once(caplog):
    def prepare(example):
        raise RuntimeError("no compiler\nand much more")

    warm = WarmUp(lambda x: "plain", prepare)
    for _ in range(3):
        assert warm(torch.zeros(1, 3, 4, 4)) == "plain"
        assert warm.wait(20)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and record.message.endswith("no compiler.")


def test_warm_up_is_for_a_few_shapes():
    warm = WarmUp(lambda x: "plain", lambda e: lambda x: "fast")
    shapes = [torch.zeros(1, 3, 4, 4 + n) for n in range(MOST_SHAPES + 2)]
    for _ in range(2):
        answers = [warm(x) for x in shapes]
        assert warm.wait(20)
    assert answers == ["fast"] * MOST_SHAPES + ["plain"] * 2


def test_compiled_runtime_answers_alike(monkeypatch):
    """Compiled modules answer once they are ready; here "compiling" only counts the calls."""
    calls = []

    def compile(module, dynamic):
        assert dynamic is False
        return lambda *args: calls.append(module) or module(*args)

    monkeypatch.setattr(torch_runtime, "torch", SimpleNamespace(compile=compile))
    plain = tiny_find(mask_coordinates=True)
    find = Find(plain.model, plain.vision, plain.language, device="cpu", compile=True)
    want = plain.encode(IMAGE).embedding
    np.testing.assert_allclose(find.encode(IMAGE).embedding, want, atol=1e-6)
    assert find.runtime.wait(60)
    before = len(calls)
    np.testing.assert_allclose(find.encode(IMAGE).embedding, want, atol=1e-6)
    assert before == 2 and len(calls) == 4
    assert find.fingerprint == plain.fingerprint
