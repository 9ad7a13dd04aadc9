"""From a checkpoint's tensors to modules: nothing is left at random, nothing left over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from find_core.checkpoint.store import Checkpoint
from find_core.encoders.base import freeze
from find_core.encoders.registry import build_language, build_vision, weights_in_checkpoint
from find_core.encoders.token_cache import CachedText
from find_core.errors import CheckpointError, EncoderError
from find_core.model.config import FindConfig
from find_core.model.find import FindModel
from find_core.support.meta_device import without_memory


@dataclass(frozen=True, eq=False)
class Parts:
    """A model and its frozen encoders; `language` is built when first called for."""

    model: FindModel
    vision: Any
    language: Any | Callable[[], Any]


def build(checkpoint: Checkpoint, language_cache: str | Path | None = None) -> Parts:
    """Build model and encoders, and fill in the weights; nothing is left at random.

    Args:
        language_cache: file of precomputed token states; the language model is then not needed.

    Raises:
        CheckpointError: a tensor is missing, unknown or of another shape (each by name).
        EncoderError: a frozen encoder is unknown or not installed.
    """
    config, groups = checkpoint.config, _split(checkpoint.tensors)
    for kind, source in (("vision", config.vision), ("language", config.language)):
        if weights_in_checkpoint(source) and not groups[kind]:
            raise CheckpointError(f"The checkpoint lacks the weights of its {kind} encoder.")
    vision = _filled("vision", lambda: build_vision(config.vision), groups["vision"])
    width = groups["model"].get("lang_proj.weight", torch.empty(1, 1)).shape[-1]
    model = _on_meta(lambda: FindModel(config, vision.channels, width))
    fill(model, groups["model"])
    language: Any = _language_builder(config, width, language_cache)
    if groups["language"] and language_cache is None:
        language = _filled("language", language, groups["language"])
    return Parts(model.eval(), vision, language)


def expected_shapes(config: FindConfig, language_width: int) -> dict[str, torch.Size]:
    """Names and shapes of the tensors that a checkpoint of `config` holds; uses no memory."""
    vision = _on_meta(lambda: build_vision(config.vision))
    model = _on_meta(lambda: FindModel(config, vision.channels, language_width))
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    parts = {"vision": vision} if weights_in_checkpoint(config.vision) else {}
    if weights_in_checkpoint(config.language):
        parts["language"] = _on_meta(lambda: build_language(config.language))
    for prefix, encoder in parts.items():
        for name, tensor in encoder.state_dict().items():
            shapes[f"{prefix}.{name}"] = tensor.shape
    return shapes


def check_tensors(
    expected: Mapping[str, torch.Size], given: Mapping[str, Tensor], what: str = "The checkpoint"
) -> None:
    """Demand exactly the expected names and shapes.

    Raises:
        CheckpointError: names the first tensors that are missing, unknown or mis-shaped.
    """
    wrong = [
        f"{name} has shape {tuple(given[name].shape)} instead of {tuple(shape)}"
        for name, shape in expected.items()
        if name in given and given[name].shape != shape
    ]
    missing = [f"{name} is missing" for name in expected if name not in given]
    unknown = [f"{name} is unknown" for name in given if name not in expected]
    if problems := missing + unknown + wrong:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise CheckpointError(
            f"{what} does not fit the model its config describes: {'; '.join(problems[:3])}{more}."
        )


def fill(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
    """Give every parameter of `module` (also one on the meta device) its tensor, strictly."""
    expected = {prefix + name: tensor.shape for name, tensor in module.state_dict().items()}
    check_tensors(expected, {prefix + name: tensor for name, tensor in tensors.items()})
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{prefix}{name} holds NaN or infinity: the file is damaged.")
    module.load_state_dict(dict(tensors), strict=True, assign=True)


def _filled(kind: str, builder: Callable[[], Any], tensors: Mapping[str, Tensor]) -> Any:
    """An encoder with the weights of the checkpoint if it has any, else with its own."""
    if not tensors:
        return builder()
    encoder = _on_meta(builder)
    fill(encoder, tensors, prefix=f"{kind}.")
    return freeze(encoder)


def _on_meta(builder: Callable[[], Any]) -> Any:
    """Build without memory and without the time to initialise; `fill` brings the weights."""
    try:
        with without_memory():
            return builder()
    except (
        AssertionError,
        ArithmeticError,
        IndexError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        if isinstance(error, EncoderError):
            raise
        raise CheckpointError(f"Its config does not describe a model: {error}.") from None


def _language_builder(
    config: FindConfig, width: int, language_cache: str | Path | None
) -> Callable[[], Any]:
    def language() -> Any:
        if language_cache is None:
            encoder = build_language(config.language)
        else:
            encoder = CachedText(language_cache, expected=config.language)
        if encoder.width != width:
            raise EncoderError(
                f"The checkpoint was trained on token states of width {width}, this language "
                f"encoder gives {encoder.width}: use the model named in its config.json."
            )
        return encoder

    return language


def _split(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {"vision": {}, "language": {}, "model": {}}
    for name, tensor in tensors.items():
        head, _, rest = name.partition(".")
        if head in ("vision", "language"):
            groups[head][rest] = tensor
        else:
            groups["model"][name] = tensor
    return groups
