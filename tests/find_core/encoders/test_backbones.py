"""FocalNet and DaViT: golden parity, the traps of docs/spec.md 2.2, and transformers as slow twins."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from find_core.encoders import VisionConfig, build_vision
from find_core.encoders.vision import focalnet, layers
from find_core.encoders.vision.davit import DaViT
from find_core.encoders.vision.focalnet import FOCAL, FOCAL_DW, FocalModulation, FocalNet, Variant

GOLDEN = Path(__file__).parents[2] / "golden" / "backbone.npz"
TINY = {"embed_dim": 16, "depths": (1, 1, 2, 1), "focal_levels": 3}


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    with np.load(GOLDEN) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays}


def _randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return module.eval()


def _golden_error(golden: dict[str, torch.Tensor], network: nn.Module) -> float:
    """Largest max|d| / max|x| over res2..res5."""
    weights = {k.removeprefix("backbone."): v for k, v in golden.items() if k.startswith("back")}
    network.load_state_dict(weights, strict=isinstance(network, FocalNet))
    errors = []
    network.requires_grad_(False)
    for level, ours in enumerate(network(golden["fx/padded"]), start=2):
        expected = golden[f"fx/backbone/res{level}"]
        assert ours.shape == expected.shape
        errors.append(float((ours - expected).abs().max() / expected.abs().max()))
    return max(errors)


def test_golden_parity(golden):
    network = build_vision(VisionConfig("focal_dw", TINY))
    assert _golden_error(golden, network) < 1e-5


def test_golden_parity_batched(golden):
    network = build_vision(VisionConfig("focal_dw", TINY))
    _golden_error(golden, network)
    other = torch.flip(golden["fx/padded"], dims=(3,))
    batch = network(torch.cat((other, golden["fx/padded"])))
    for level, ours in enumerate(batch, start=2):
        expected = golden[f"fx/backbone/res{level}"]
        assert float((ours[1:] - expected).abs().max() / expected.abs().max()) < 1e-5


class _NormedOn(FocalNet):
    """Trap: the next stage reads the normed map."""

    def forward(self, image):
        x, maps = self.patch_embed(image), []
        for i, stage in enumerate(self.layers):
            x = getattr(self, f"norm{i}")(stage(x)[0])
            maps.append(x.permute(0, 3, 1, 2))
            x = stage.downsample(maps[-1]) if stage.downsample else x
        return maps


def _modulation(self, x, whole_of):
    """FocalModulation.forward with another global term."""
    query, context, gates = self.f(x).permute(0, 3, 1, 2).split(self.split, dim=1)
    first, total = context, 0
    for k, layer in enumerate(self.focal_layers):
        context = layer(context)
        total = total + context * gates[:, k : k + 1]
    total = total + whole_of(first, context) * gates[:, -1:]
    return self.proj((query * self.h(total / self.split[2])).permute(0, 2, 3, 1))


def _mean_gelu(context):
    return F.gelu(context.mean(dim=(2, 3), keepdim=True))


TRAPS = {
    "stem padding 2": lambda mp: Variant(2, True, True),
    "norm on the branch": lambda mp: Variant(3, True, False),
    "no depthwise": lambda mp: Variant(3, False, True),
    "tanh gelu": lambda mp: mp.setattr(
        layers.F, "gelu", lambda x, **_: torch._C._nn.gelu(x, approximate="tanh")
    ),
    "global context before the levels": lambda mp: mp.setattr(
        FocalModulation, "forward", lambda s, x: _modulation(s, x, lambda a, b: _mean_gelu(a))
    ),
    "global context without gelu": lambda mp: mp.setattr(
        FocalModulation,
        "forward",
        lambda s, x: _modulation(s, x, lambda a, b: b.mean(dim=(2, 3), keepdim=True)),
    ),
    "no global context": lambda mp: mp.setattr(
        FocalModulation, "forward", lambda s, x: _modulation(s, x, lambda a, b: 0 * b)
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_each_trap_shows(golden, monkeypatch, trap):
    """Re-introducing a mistake breaks parity by far more than the tolerance."""
    variant = TRAPS[trap](monkeypatch) or FOCAL_DW
    network = FocalNet(variant, **TINY)
    if trap == "no depthwise":
        golden = {k: v for k, v in golden.items() if ".dw" not in k}
    assert _golden_error(golden, network) > 5e-5


def test_trap_normed_map_feeds_the_next_stage(golden):
    assert _golden_error(golden, _NormedOn(FOCAL_DW, **TINY)) > 1e-3


def test_the_modulation_twin_is_right(golden, monkeypatch):
    """The traps above differ from the truth only in the global term."""
    truth = lambda s, x: _modulation(s, x, lambda a, b: _mean_gelu(b))  # noqa: E731
    monkeypatch.setattr(FocalModulation, "forward", truth)
    assert _golden_error(golden, FocalNet(FOCAL_DW, **TINY)) < 1e-5


def test_focal_l_matches_transformers():
    """FocalNet-L has no golden arrays; `transformers` implements the same variant."""
    hf = pytest.importorskip("transformers")
    config = hf.FocalNetConfig(
        embed_dim=16,
        depths=[1, 1, 2, 1],
        focal_levels=[4] * 4,
        focal_windows=[3] * 4,
        use_conv_embed=True,
        use_post_layernorm=True,
        use_layerscale=True,
        normalize_modulator=True,
        use_post_layernorm_in_modulation=False,
        hidden_act="gelu",
    )
    twin = _randomise(hf.FocalNetModel(config, add_pooling_layer=False))
    ours = FocalNet(FOCAL, 16, (1, 1, 2, 1), 4)
    state = {_hf_focal_name(k): v for k, v in twin.state_dict().items() if k != "layernorm.weight"}
    extra = ours.load_state_dict(state, strict=False)
    assert all(name.startswith("norm") for name in extra.missing_keys)
    image = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    before_norm = []
    for stage in ours.layers:
        stage.register_forward_hook(lambda m, i, o: before_norm.append(o[0]))
    ours(image)
    with torch.no_grad():
        x, size = twin.embeddings(image)[:2]
        for i, stage in enumerate(twin.encoder.stages):
            x, before, sizes = stage(x, size)
            size = sizes[-2:]
            mine = before_norm[i].flatten(1, 2)
            assert float((mine - before).abs().max() / before.abs().max()) < 1e-5


def _hf_focal_name(name: str) -> str:
    rules = (
        (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
        (r"^embeddings\.(patch_embeddings\.)?norm", "patch_embed.norm"),
        (r"^encoder\.stages\.(\d)\.layers", r"layers.\1.blocks"),
        (r"^encoder\.stages\.(\d)\.downsample\.projection", r"layers.\1.downsample.proj"),
        (r"^encoder\.stages\.(\d)\.downsample", r"layers.\1.downsample"),
        (r"projection_in", "f"),
        (r"projection_context", "h"),
        (r"projection_out", "proj"),
    )
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


@pytest.mark.parametrize(("kernel", "padding"), [(2, 0), (3, 1)])
def test_davit_matches_transformers(kernel, padding):
    """DaViT has no golden arrays; Florence-2's vision tower is one (with pre-norm stages 2-4)."""
    module = pytest.importorskip("transformers.models.florence2.modeling_florence2")
    config = pytest.importorskip("transformers").Florence2Config().vision_config
    config.window_size = 7
    config.embed_dim, config.depths = [32, 64, 128, 256], [1, 1, 2, 1]
    config.num_heads = config.num_groups = [1, 2, 4, 8]
    config.patch_size, config.patch_stride = [7, *3 * [kernel]], [4, 2, 2, 2]
    config.patch_padding, config.patch_prenorm = [3, *3 * [padding]], [False, True, True, True]
    config._attn_implementation = "eager"
    twin = _randomise(module.Florence2VisionBackbone(config))
    ours = DaViT(32, (1, 1, 2, 1), kernel)
    ours.load_state_dict({_hf_davit_name(k): v for k, v in twin.state_dict().items()})
    image = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    maps = ours(image)
    with torch.no_grad():
        x = image
        for mine, embed, blocks in zip(maps, twin.convs, twin.blocks, strict=True):
            x = nn.Sequential(embed, *blocks)(x)
            assert float((mine - x).abs().max() / x.abs().max()) < 1e-5


def _hf_davit_name(name: str) -> str:
    name = re.sub(r"(convs\.\d)\.conv\.", r"\1.proj.", name)
    name = name.replace(".spatial_block.", ".0.").replace(".channel_block.", ".1.")
    return re.sub(r"(window|channel)_attn", "attention", name).replace(".ffn.", ".mlp.")


@pytest.mark.parametrize(
    ("name", "channels", "millions"),
    [
        ("focal_dw", (96, 192, 384, 768), 29.9),
        ("focal", (192, 384, 768, 1536), 205.7),
        ("davit_d3", (128, 256, 512, 1024), 86.9),
        ("davit_d5", (256, 512, 1024, 2048), 360.6),
    ],
)
def test_full_size(name, channels, millions):
    """Channels and parameter counts of docs/spec.md 1."""
    with torch.device("meta"):
        network = build_vision(VisionConfig(name))
    assert network.channels == channels
    count = sum(p.numel() for p in network.parameters()) / 1e6
    assert count == pytest.approx(millions, abs=0.06)
    assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("name", ["focal_dw", "davit_d3"])
def test_odd_maps_of_a_padded_image(name):
    """7-pixel windows and odd maps: 96 x 160 gives res5 of 3 x 5."""
    options = {"embed_dim": 32, "depths": (1, 1, 1, 1)}
    maps = build_vision(VisionConfig(name, options))(torch.randn(1, 3, 96, 160))
    assert [tuple(m.shape[2:]) for m in maps] == [(24, 40), (12, 20), (6, 10), (3, 5)]
    assert all(torch.isfinite(m).all() for m in maps)


def test_the_two_variants_share_names():
    """Why the traps are traps: the other variant's weights load without a complaint."""
    dw = set(FocalNet(FOCAL_DW, **TINY).state_dict())
    plain = set(FocalNet(FOCAL, **TINY).state_dict())
    assert plain == {name for name in dw if ".dw" not in name}
    assert focalnet.FOCAL_DW != focalnet.FOCAL
