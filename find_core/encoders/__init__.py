"""Frozen models behind two small protocols; importing this registers the built-in ones.

A module here imports its heavy packages (transformers, ...) only when an encoder is built.
"""

from find_core.encoders import tiny
from find_core.encoders import token_cache as cache
from find_core.encoders.base import (
    LanguageConfig,
    LanguageEncoder,
    TextTokens,
    VisionConfig,
    VisionEncoder,
    build_language,
    build_vision,
    register_language,
    register_vision,
)
from find_core.encoders.language import causal_lm, minilm, unicl
from find_core.encoders.language import huggingface as hf_language
from find_core.encoders.vision import davit, efficientnet, focalnet
from find_core.encoders.vision import huggingface as hf_vision

__all__ = [
    "LanguageConfig",
    "LanguageEncoder",
    "TextTokens",
    "VisionConfig",
    "VisionEncoder",
    "build_language",
    "build_vision",
    "cache",
    "causal_lm",
    "davit",
    "efficientnet",
    "focalnet",
    "hf_language",
    "hf_vision",
    "minilm",
    "register_language",
    "register_vision",
    "tiny",
    "unicl",
]
