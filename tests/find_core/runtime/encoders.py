"""Small random encoders of every registered kind, and a model behind each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from find_core.encoders import VisionConfig, build_vision
from find_core.model.find import FindModel
from find_core.testing import tiny_config

SMALL = {"embed_dim": 32, "depths": (1, 1, 1, 1)}
PLAIN: dict[str, dict] = {
    "tiny_conv": {},
    "efficientnet_lite2": {},
    "focal_dw": SMALL,
    "focal": SMALL,
    "davit_d3": SMALL,
    "davit_d5": SMALL,
}


def transformers_configs() -> dict[str, Callable[[], Any]]:
    """Tiny configurations of backbones that `auto_backbone` reads; needs transformers."""
    import transformers as t

    one_each, widths = [1, 1, 1, 1], [8, 12, 16, 20]
    plain = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2)
    return {
        "dinov2": lambda: t.Dinov2Config(**plain, image_size=56, patch_size=14),
        "vitdet": lambda: t.VitDetConfig(**plain, image_size=64, patch_size=16),
        "swin": lambda: t.SwinConfig(
            embed_dim=8, depths=one_each, num_heads=[1, 2, 2, 4], window_size=4, image_size=64
        ),
        "convnext": lambda: t.ConvNextConfig(hidden_sizes=widths, depths=one_each),
        "resnet": lambda: t.ResNetConfig(
            embedding_size=8, hidden_sizes=widths, depths=one_each, layer_type="basic"
        ),
    }


def sam_config() -> Any:
    """A SAM of 16 channels for images of 224 pixels."""
    import transformers

    small = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, mlp_dim=16)
    vision = dict(**small, image_size=224, patch_size=16, output_channels=8, window_size=3)
    decoder = dict(num_hidden_layers=1, hidden_size=8, mlp_dim=8, num_attention_heads=2)
    return transformers.SamConfig(
        vision_config={**vision, "global_attn_indexes": [1]},
        mask_decoder_config=decoder,
        prompt_encoder_config={"hidden_size": 8, "image_size": 224},
    )


def build(kind: str, folder: Path) -> Any:
    """A random encoder: of `PLAIN`, or a backbone of transformers saved in `folder`."""
    if kind in PLAIN:
        encoder: Any = build_vision(VisionConfig(kind, dict(PLAIN[kind])))
        if kind not in ("tiny_conv", "efficientnet_lite2"):
            randomise(encoder)
        return encoder
    import transformers

    torch.manual_seed(0)
    if kind == "sam_vit":
        transformers.SamModel(sam_config()).eval().save_pretrained(folder)
        return build_vision(VisionConfig("sam_vit", {"model": str(folder)}))
    model = transformers.AutoBackbone.from_config(transformers_configs()[kind]()).eval()
    model.save_pretrained(folder)
    return build_vision(VisionConfig("auto_backbone", {"model": str(folder)}))


def randomise(module: torch.nn.Module) -> None:
    """Weights that let every branch be seen: fresh ones have LayerScales of 1e-4."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * (0.5 if p.ndim == 1 else 0.1))


def model_for(encoder: Any, seed: int = 0, **changes: Any) -> FindModel:
    """A random interface for it, with coordinates that are not zero."""
    given = dict(mask_coordinates=True, level_coordinates=True, num_layers=4)
    config = tiny_config(**{**given, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FindModel(config, encoder.channels, 16)
        for conv in model.pixel_decoder.level_coordinates:
            torch.nn.init.normal_(conv.weight, std=0.1)
    return model.eval().requires_grad_(False)
