"""The interface in training form: fresh from the seed, or going on from weights that exist."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from find_core import checkpoint
from find_core.encoders import VisionEncoder, build_language
from find_core.errors import CheckpointError
from find_core.model.find import FindModel
from training.config import TrainConfig
from training.data.queries.label_knowledge import LabelKnowledge
from training.data.text_cache import TextCache
from training.engine.checkpoints import load_weights
from training.step.step import TrainStep


def build_module(
    config: TrainConfig, knowledge: LabelKnowledge, names: list[str], channels: Sequence[int]
) -> TrainStep:
    """The interface, freshly initialised from the seed (or from `config.init`), in training form.

    Args:
        names: the panoptic vocabulary.
        channels: of the vision encoder's res2..res5.

    Raises:
        CheckpointError: `config.init` cannot be read, or is of a model of another shape.
    """
    texts = TextCache(build_language(config.model.language), bf16=config.precision == "bf16")
    torch.manual_seed(config.seed)
    model = FindModel(config.model, channels, texts.width)
    with torch.no_grad():
        model.heads.logit_scale.fill_(config.logit_scale)
    if config.init:
        start_from(model, initial_weights(Path(config.init)), config.init)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(tuple(config.frozen) or ("\0",)))
    return TrainStep(model, texts, knowledge, names, config)


def start_from(model: FindModel, weights: dict[str, Tensor], source: str = "The weights") -> None:
    """Load weights; parts that start at zero (`level_coordinates`) may be missing from them.

    Raises:
        CheckpointError: they are of a model of another shape.
    """
    own = model.state_dict()
    zero = {n: v for n, v in own.items() if n not in weights and not v.any()}
    try:
        model.load_state_dict(weights | zero)
    except RuntimeError as error:
        raise CheckpointError(
            f"{source}: of another model than the recipe's ({_one_line(error)}): "
            "give the recipe's model.* settings that it was trained with."
        ) from None


def initial_weights(source: Path) -> dict[str, Tensor]:
    """The interface's weights of a safetensors file or of a checkpoint folder."""
    if source.is_file():
        return load_weights(source)
    tensors = checkpoint.read(source).tensors
    return {n: v for n, v in tensors.items() if not n.startswith(("vision.", "language."))}


def initial_vision(config: TrainConfig) -> VisionEncoder | None:
    """The frozen vision encoder that a checkpoint folder brings along, if it does."""
    if not config.init or Path(config.init).is_file():
        return None
    return checkpoint.build(checkpoint.read(config.init)).vision


def _one_line(error: RuntimeError) -> str:
    """PyTorch lists every tensor; the first says enough."""
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)]
