"""Encoders by name: where each is defined, imported only when it is built."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from find_core.encoders.base import (
    LanguageConfig,
    LanguageEncoder,
    VisionConfig,
    VisionEncoder,
    freeze,
)
from find_core.errors import EncoderError

Factory = Callable[..., Any]
_Factory = TypeVar("_Factory", bound=Factory)

# name -> "module:class or function", or the factory itself where a program registered its own.
VISION: dict[str, str | Factory] = {
    "tiny_conv": "find_core.encoders.tiny:TinyConv",
    "davit_d3": "find_core.encoders.vision.davit:davit_d3",
    "davit_d5": "find_core.encoders.vision.davit:davit_d5",
    "efficientnet_lite0": "find_core.encoders.vision.efficientnet:EfficientNetLite0",
    "efficientnet_lite2": "find_core.encoders.vision.efficientnet:EfficientNetLite2",
    "focal_dw": "find_core.encoders.vision.focalnet:focal_dw",
    "focal": "find_core.encoders.vision.focalnet:focal",
    "auto_backbone": "find_core.encoders.vision.huggingface:AutoBackboneVision",
    "sam_vit": "find_core.encoders.vision.huggingface:SamVision",
    "siglip_vision": "find_core.encoders.vision.patches:SiglipVision",
    "radio": "find_core.encoders.vision.patches:RadioVision",
}
LANGUAGE: dict[str, str | Factory] = {
    "causal_lm": "find_core.encoders.language.causal_lm:CausalLM",
    "smollm2": "find_core.encoders.language.causal_lm:smollm2",
    "clip_text": "find_core.encoders.language.huggingface:ClipText",
    "siglip_text": "find_core.encoders.language.huggingface:SiglipText",
    "text_model": "find_core.encoders.language.huggingface:TextModel",
    "minilm": "find_core.encoders.language.minilm:MiniLM",
    "unicl": "find_core.encoders.language.unicl:UniCL",
    "tiny_text": "find_core.encoders.tiny:TinyText",
    "cached": "find_core.encoders.token_cache:CachedText",
}
# Built without weights: FIND's checkpoint brings them.
WEIGHTS_IN_CHECKPOINT = {"unicl", "davit_d3", "davit_d5", "focal_dw", "focal"}


def register_vision(
    name: str, weights_in_checkpoint: bool = False
) -> Callable[[_Factory], _Factory]:
    """Decorator: make a factory (options as keyword arguments) known by `name`.

    Args:
        weights_in_checkpoint: it is built without weights; FIND's checkpoint brings them.
    """
    return _register(VISION, name, weights_in_checkpoint)


def register_language(
    name: str, weights_in_checkpoint: bool = False
) -> Callable[[_Factory], _Factory]:
    """Decorator: make a factory (max_tokens and options as keyword arguments) known by `name`."""
    return _register(LANGUAGE, name, weights_in_checkpoint)


def weights_in_checkpoint(config: VisionConfig | LanguageConfig) -> bool:
    """Whether FIND's checkpoint is the only source of this encoder's weights."""
    return config.name in WEIGHTS_IN_CHECKPOINT


def build_vision(config: VisionConfig) -> VisionEncoder:
    """The frozen vision encoder of a config, in eval mode, without gradients.

    Raises:
        EncoderError: unknown name or option, missing package or missing weights.
    """
    return _build(VISION, "vision", config.name, config.options)


def build_language(config: LanguageConfig) -> LanguageEncoder:
    """The frozen language encoder of a config.

    Raises:
        EncoderError: unknown name or option, missing package or missing weights.
    """
    options = {"max_tokens": config.max_tokens, **config.options}
    return _build(LANGUAGE, "language", config.name, options)


def _register(
    table: dict[str, str | Factory], name: str, in_checkpoint: bool
) -> Callable[[_Factory], _Factory]:
    def remember(factory: _Factory) -> _Factory:
        table[name] = factory
        if in_checkpoint:
            WEIGHTS_IN_CHECKPOINT.add(name)
        return factory

    return remember


def _build(table: dict[str, str | Factory], kind: str, name: str, options: dict[str, Any]) -> Any:
    if name not in table:
        known = ", ".join(sorted(table))
        raise EncoderError(f"Unknown {kind} encoder {name!r}: choose one of {known}.")
    factory = _factory(table[name])
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        raise EncoderError(f"Options of {kind} encoder {name!r}: {error}.") from None
    return freeze(factory(**options))


def _factory(place: str | Factory) -> Factory:
    if not isinstance(place, str):
        return place
    module, _, name = place.partition(":")
    factory: Factory = getattr(import_module(module), name)
    return factory
