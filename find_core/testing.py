"""A whole `Find` of milliseconds with random weights, for tests and for trying out plumbing."""

from __future__ import annotations

from typing import Any

import torch

from find_core.encoders.base import LanguageConfig, VisionConfig
from find_core.encoders.registry import build_language, build_vision
from find_core.model.config import FindConfig
from find_core.model.find import FindModel
from find_core.predictor import Find


def tiny_config(**changes: Any) -> FindConfig:
    """Sizes small enough for thousands of frames in a test."""
    sizes: dict[str, Any] = dict(
        name="tiny",
        vision=VisionConfig("tiny_conv", short_side_px=64, max_side_px=96),
        language=LanguageConfig("tiny_text"),
        hidden_dim=32,
        mask_dim=16,
        stride4_dim=16,
        num_heads=4,
        ffn_dim=32,
        num_queries=6,
        num_layers=3,
        encoder_layers=1,
        norm_groups=4,
        num_memories=4,
        max_spatial_points=32,
    )
    return FindConfig(**{**sizes, **changes})


def tiny_find(seed: int = 0, runtime: str = "torch", **changes: Any) -> Find:
    """A `Find` with random weights: answers have the right shapes and no meaning."""
    config = tiny_config(**changes)
    vision, language = build_vision(config.vision), build_language(config.language)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FindModel(config, vision.channels, language.width)
    return Find(model, vision, language, device="cpu", runtime=runtime)
