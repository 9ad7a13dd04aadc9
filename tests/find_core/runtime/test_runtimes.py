"""Every runtime gives what the plain modules give, at every size, from one graph."""

from __future__ import annotations

import logging

import pytest
import torch

from find_core.errors import FindError
from find_core.model.image_state import ImageState
from find_core.runtime import select
from find_core.runtime.export import export
from find_core.runtime.image_path import ImagePath
from find_core.runtime.protocol import RuntimeUnavailableError
from find_core.runtime.select import open_runtime
from tests.find_core.runtime.encoders import PLAIN, build, model_for

KINDS = [*PLAIN, "dinov2", "vitdet", "swin", "convnext", "resnet", "sam_vit"]
# A patch of 14 pixels divides no stride: the resize before it has no ONNX form (docs/speed.md).
NOT_EXPORTED = {"dinov2"}
SIZES = [(1, 64, 96), (2, 96, 64), (1, 160, 224), (3, 32, 32)]  # batch, height, width


def images(batch: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(3))


def plain_state(encoder, model, x: torch.Tensor) -> ImageState:
    """The slow twin: the modules as training runs them, keys and values layer by layer."""
    with torch.inference_mode():
        state = model.image_state(encoder(x))
        for n, layer in enumerate(model.interface.layers):
            layer.image_keys_values(state, n % 3, n)
    return state


def worst(a: ImageState, b: ImageState) -> float:
    """Largest difference of anything in two states, relative to the largest value of its tensor."""
    assert a.sizes == b.sizes and set(a.keys_values) <= set(b.keys_values)
    pairs = [(a.mask_features, b.mask_features)]
    for name in ("sources", "positions", "level_masks"):
        pairs += list(zip(getattr(a, name), getattr(b, name), strict=True))
    for n, both in a.keys_values.items():
        pairs += list(zip(both, b.keys_values[n], strict=True))
    for x, y in pairs:
        assert x.shape == y.shape and x.dtype == y.dtype
    return max(float((x - y).abs().max() / y.abs().max().clamp(min=1e-6)) for x, y in pairs)


@pytest.fixture(scope="module", params=KINDS)
def case(request, tmp_path_factory):
    if request.param not in PLAIN:
        pytest.importorskip("transformers")
    elif request.param == "efficientnet_lite2":
        pytest.importorskip("efficientnet_lite_pytorch")
    folder = tmp_path_factory.mktemp(request.param)
    encoder = build(request.param, folder)
    return request.param, encoder, model_for(encoder), folder


def test_onnxruntime(case):
    pytest.importorskip("onnxruntime")
    kind, encoder, model, folder = case
    runtime = open_runtime("onnxruntime", encoder, model, folder=folder / "cache")
    assert runtime.name == ("torch" if kind in NOT_EXPORTED else "onnxruntime")
    for size in SIZES:
        with torch.inference_mode():
            got = runtime(images(*size))
        assert worst(got, plain_state(encoder, model, images(*size))) < 1e-5, size


def test_openvino(case):
    pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
    kind, encoder, model, folder = case
    runtime = open_runtime("openvino", encoder, model, folder=folder / "cache")
    assert runtime.name == ("torch" if kind in NOT_EXPORTED else "openvino")
    for size in SIZES:
        with torch.inference_mode():
            got = runtime(images(*size))
        assert worst(got, plain_state(encoder, model, images(*size))) < 2e-5, size


def test_openvino_bf16(tiny, tmp_path, caplog):
    openvino = pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    runtime = open_(tiny, "openvino-bf16", folder=tmp_path)
    if "BF16" not in able:
        assert runtime.name == "torch" and "no bfloat16 arithmetic" in caplog.text
        return
    assert runtime.name == "openvino-bf16"
    with torch.inference_mode():
        got = runtime(images(1, 160, 224))
    want = plain_state(*tiny, images(1, 160, 224))
    error = (got.mask_features - want.mask_features).norm() / want.mask_features.norm()
    assert 1e-4 < error < 0.05  # it is bfloat16, and no worse than that


def test_torch(case):
    _, encoder, model, _ = case
    runtime = open_runtime("torch", encoder, model)
    for size in SIZES:
        with torch.inference_mode():
            got = runtime(images(*size))
        assert worst(got, plain_state(encoder, model, images(*size))) < 3e-6, size


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    encoder = build("tiny_conv", tmp_path_factory.mktemp("tiny"))
    return encoder, model_for(encoder)


def open_(tiny, name="onnxruntime", **options):
    return open_runtime(name, *tiny, **options)


def test_a_graph_that_answers_otherwise_is_refused(tiny, tmp_path, monkeypatch, caplog):
    pytest.importorskip("onnxruntime")
    path = ImagePath(*tiny).eval()
    graph = export(path, tiny[1])
    runtime = select.OnnxRuntime(graph, path, tiny[1])
    select.check(runtime, path, tiny[1])
    with torch.no_grad():
        path.keys_bias_2 += 0.05
    with pytest.raises(RuntimeUnavailableError, match=r"keys_2 differs"):
        select.check(runtime, path, tiny[1])


def test_each_failure_is_one_sentence_and_torch(tiny, tmp_path, monkeypatch, caplog):
    pytest.importorskip("onnxruntime")

    class Unexportable(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return [torch.from_numpy(m.numpy()) for m in self.inner(x)] + [[].pop()]

    with caplog.at_level(logging.WARNING):
        runtime = open_runtime("auto", Unexportable(tiny[0]), tiny[1], folder=tmp_path)
    assert runtime.name == "torch" and len(caplog.records) == 1
    assert "Runtime onnxruntime is not used, torch is: the model does not export" in caplog.text
    assert not list(tmp_path.iterdir())


def test_not_installed(tiny, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with caplog.at_level(logging.WARNING):
        assert open_(tiny, folder=tmp_path).name == "torch"
    assert "pip install onnxruntime" in caplog.text


def test_auto_without_the_package_says_nothing(tiny, monkeypatch, caplog):
    monkeypatch.setattr(select.importlib.util, "find_spec", lambda name: None)
    with caplog.at_level(logging.WARNING):
        assert open_(tiny, "auto").name == "torch"
    assert not caplog.records


def test_a_wish_for_another_precision_is_torchs(tiny):
    assert open_(tiny, "auto", plain=False).name == "torch"
    assert open_(tiny, "auto", compile=True).name == "torch"


@pytest.mark.parametrize(
    "call, message",
    [
        (dict(name="tensorrt"), "choose one of auto, torch, onnxruntime"),
        (dict(plain=False), "leave dtype and compile alone"),
    ],
)
def test_exception(tiny, call, message):
    with pytest.raises(FindError, match=message):
        open_(tiny, **call)
