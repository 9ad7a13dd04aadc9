"""AutoBackbone and SAM through transformers: four maps at strides 4, 8, 16, 32, from any model."""

from __future__ import annotations

import pytest
import torch

from find_core.encoders import VisionConfig, build_vision
from find_core.encoders.vision.huggingface import STRIDES, resample
from find_core.errors import EncoderError, ImageError

transformers = pytest.importorskip("transformers")

BACKBONES = {
    "dinov2": lambda: transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    ),
    "vitdet": lambda: transformers.VitDetConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=16
    ),
    "swin": lambda: transformers.SwinConfig(
        embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 4], window_size=4, image_size=64
    ),
    "convnext": lambda: transformers.ConvNextConfig(
        hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1]
    ),
    "resnet": lambda: transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1], layer_type="basic"
    ),
}
CHANNELS = {"dinov2": (16,) * 4, "vitdet": (16,) * 4, "swin": (8, 16, 32, 64)}


@pytest.fixture(scope="module", params=BACKBONES)
def saved(request, tmp_path_factory):
    """A random backbone of a family: (family, model, folder)."""
    torch.manual_seed(0)
    model = transformers.AutoBackbone.from_config(BACKBONES[request.param]()).eval()
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    return request.param, model, str(folder)


def test_smoke(saved):
    family, _, folder = saved
    encoder = build_vision(VisionConfig("auto_backbone", {"model": folder}))
    assert encoder.channels == CHANNELS.get(family, (8, 12, 16, 20))
    for height, width in ((64, 96), (96, 64)):
        maps = encoder(torch.randn(2, 3, height, width))
        assert [tuple(m.shape) for m in maps] == [
            (2, c, height // s, width // s) for c, s in zip(encoder.channels, STRIDES, strict=True)
        ]
        assert not any(m.requires_grad for m in maps)


def test_native_strides_are_the_models_own_maps(saved):
    """Where the model has a map at a stride, that map is returned untouched."""
    family, model, folder = saved
    image = torch.randn(1, 3, 64, 96)
    maps = build_vision(VisionConfig("auto_backbone", {"model": folder}))(image)
    with torch.no_grad():
        if family == "dinov2":
            image = torch.nn.functional.interpolate(
                image, (56, 84), mode="bilinear", antialias=True
            )
        states = model(image, output_hidden_states=True)
    last = states.feature_maps[-1]
    stride = STRIDES.index(64 // last.shape[-2]) if family != "dinov2" else 2
    torch.testing.assert_close(maps[stride], last, rtol=1e-5, atol=1e-5)


def test_maps_lie_where_the_image_is(saved):
    """A patch moved by 32 pixels moves in every map by 32 pixels (by the strongest response)."""
    family, _, folder = saved
    encoder = build_vision(VisionConfig("auto_backbone", {"model": folder}))
    centres = []
    for left in (32, 64):
        image = torch.zeros(1, 3, 64, 128)
        image[:, :, 16:48, left : left + 32] = 3.0
        change = [m - n for m, n in zip(encoder(image), encoder(0 * image), strict=True)]
        energy = [d.square().sum((0, 1, 2)) for d in change]
        where = [torch.arange(len(e)) + 0.5 for e in energy]
        centres.append(
            torch.stack([(w * e).sum() / e.sum() for w, e in zip(where, energy, strict=True)])
        )
    moved_px = (centres[1] - centres[0]) * torch.tensor(STRIDES)
    assert (moved_px > 0).all() and moved_px.median() > 8, family


def test_resample_keeps_constants():
    maps = [torch.full((1, 2, 4, 6), 3.0)] * 4
    for x, stride in zip(resample(maps, (64, 96)), STRIDES, strict=True):
        assert x.shape == (1, 2, 64 // stride, 96 // stride) and (x == 3.0).all()


def test_exception(tmp_path):
    with pytest.raises(EncoderError, match=r"cannot be loaded.*give a folder"):
        build_vision(VisionConfig("auto_backbone", {"model": str(tmp_path / "nothing")}))


def test_incomplete_weights_are_refused(saved, tmp_path):
    """transformers would fill them at random and go on."""
    from safetensors.torch import load_file, save_file

    model = saved[1]
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop(sorted(n for n in tensors if "norm" not in n)[0])
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(EncoderError, match="lacks the weights"):
        build_vision(VisionConfig("auto_backbone", {"model": str(tmp_path)}))


@pytest.fixture(scope="module")
def sam(tmp_path_factory):
    config = transformers.SamConfig(
        vision_config={
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 96,
            "patch_size": 16,
            "output_channels": 8,
            "mlp_dim": 16,
            "window_size": 3,
            "global_attn_indexes": [1],
        },
        mask_decoder_config={
            "num_hidden_layers": 1,
            "hidden_size": 8,
            "mlp_dim": 8,
            "num_attention_heads": 2,
        },
        prompt_encoder_config={"hidden_size": 8, "image_size": 96},
    )
    torch.manual_seed(0)
    model = transformers.SamModel(config).eval()
    folder = tmp_path_factory.mktemp("sam")
    model.save_pretrained(folder)
    return model, build_vision(VisionConfig("sam_vit", {"model": str(folder)}))


def test_sam(sam):
    model, encoder = sam
    assert encoder.channels == (8, 8, 8, 8)
    image = torch.randn(2, 3, 64, 96)
    maps = encoder(image)
    assert [tuple(m.shape[2:]) for m in maps] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    padded = torch.nn.functional.pad(image, (0, 0, 0, 32))
    with torch.no_grad():
        whole = model.get_image_embeddings(padded)
    torch.testing.assert_close(maps[2], whole[:, :, :4], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(maps[3], torch.nn.functional.avg_pool2d(maps[2], 2))


def test_sam_too_large(sam):
    with pytest.raises(
        ImageError, match="at most 96 pixels a side, got 128x96: set max_side_px=96"
    ):
        sam[1](torch.zeros(1, 3, 128, 96))
