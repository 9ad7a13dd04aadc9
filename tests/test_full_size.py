"""Full-size models with random weights: the benchmark's slow twin, and the runtimes' outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.full_size import VISION, full_size_parts, reference_order
from find_core.predictor import Find
from find_core.preprocess import logits_to_original
from find_core.runtime.select import open_runtime
from find_core.tasks.localize import _entity_rows
from find_core.testing import tiny_find

IMAGE = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)


def test_reference_order_gives_our_masks():
    """One pass over everything, keeping nothing, ends in the masks that the quick way ends in."""
    find = tiny_find()
    texts = ["the <mug>", "the <plate> with a blue rim"]
    slow = reference_order(find, IMAGE, texts)
    scene = find.encode(IMAGE)
    with torch.inference_mode():
        rows = _entity_rows(scene, [find.compile(text) for text in texts])
        for masks, (_, pixel) in zip(slow, rows, strict=True):
            logits = find.model.masks(pixel[None], scene.state)[0]
            want = (logits_to_original(logits, scene.geometry) > 0).numpy()
            assert masks.shape == want.shape and (masks != want).mean() < 1e-3
            assert 0 < want.mean() < 1


@pytest.mark.slow
@pytest.mark.parametrize("name", list(VISION))
def test_full_size_models_through_onnxruntime(name, tmp_path):
    pytest.importorskip("onnxruntime")
    model, vision, _ = full_size_parts(name)
    runtime = open_runtime("onnxruntime", vision, model, folder=tmp_path)
    assert runtime.name == "onnxruntime"
    images = torch.randn(1, 3, 320, 256, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        got, want = runtime(images), model.image_state(vision(images))
    for a, b in zip([got.mask_features, *got.sources], [want.mask_features, *want.sources]):
        assert float((a - b).abs().max() / b.abs().max()) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["focalt", "davit-d3"])
def test_full_size_models_in_bfloat16(name):
    model, vision, language = full_size_parts(name)
    half = Find(model, vision, language, device="cpu", dtype=torch.bfloat16)
    full = Find(model, vision, language, device="cpu", runtime="torch")
    a, b = half.encode(IMAGE).state.mask_features, full.encode(IMAGE).state.mask_features
    error = float((a - b).norm() / b.norm())
    assert 1e-5 < error < 0.05  # it is bfloat16, and no worse than that
