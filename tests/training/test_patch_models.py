"""SigLIP's and RADIO's towers: patches of random models of transformers' own classes, as four maps."""

from __future__ import annotations

import pytest
import torch

from find_core.encoders import LanguageConfig, VisionConfig, build_language, build_vision
from find_core.encoders.vision import patches
from find_core.encoders.vision.huggingface import STRIDES
from find_core.errors import EncoderError
from training.engine.dry_run import _siglip, _vision

transformers = pytest.importorskip("transformers")
KINDS = {"siglip_vision": {}, "radio": {}, "auto_backbone": {"model": "facebook/dinov3-x"}}


@pytest.fixture(scope="module", params=KINDS)
def saved(request, tmp_path_factory):
    return request.param, _vision(
        request.param, KINDS[request.param], tmp_path_factory.mktemp(request.param)
    )


def test_smoke(saved) -> None:
    name, folder = saved
    encoder = build_vision(VisionConfig(name, {"model": folder}))
    assert encoder.channels == (32,) * 4
    for height, width in ((64, 96), (96, 64)):
        maps = encoder(torch.rand(2, 3, height, width))
        assert [tuple(m.shape) for m in maps] == [(2, 32, height // s, width // s) for s in STRIDES]
        assert not any(m.requires_grad for m in maps)


@pytest.mark.parametrize("name", ["siglip_vision", "radio"])
def test_patches_lie_where_they_were(name, tmp_path) -> None:
    """The map at stride 16 is the model's own patches in reading order."""
    encoder = build_vision(VisionConfig(name, {"model": _vision(name, {}, tmp_path)}))
    image = torch.rand(1, 3, 64, 96)
    own = encoder.patches(image)
    at_16 = encoder(image)[2]
    for row, column in ((0, 0), (1, 4), (3, 5)):
        torch.testing.assert_close(at_16[0, :, row, column], own[0, row * 6 + column])


def test_siglip_text_reads_the_same_folder(tmp_path) -> None:
    folder = _siglip(tmp_path)
    encoder = build_language(LanguageConfig("siglip_text", {"model": folder}, max_tokens=64))
    alone, padded = encoder.encode(["a cup"])[0], encoder.encode(["a cup", "a cup on the floor"])[0]
    assert alone.states.shape == (3, 32)
    torch.testing.assert_close(alone.states, padded.states, rtol=1e-4, atol=1e-5)
    network = transformers.SiglipTextModel.from_pretrained(folder).eval()
    with torch.no_grad():
        ids = torch.tensor([encoder.tokenizer("a cup")["input_ids"]])
        own = network(input_ids=ids).last_hidden_state[0]
    torch.testing.assert_close(alone.states, own.float(), rtol=1e-4, atol=1e-5)


def test_exception(monkeypatch) -> None:
    with pytest.raises(EncoderError, match="cannot be loaded"):
        build_vision(VisionConfig("siglip_vision", {"model": "/nowhere"}))
    monkeypatch.setattr(patches.RadioVision, "class_name", "NoSuchModel")
    with pytest.raises(EncoderError, match="install a newer one"):
        patches.RadioVision("/nowhere")
