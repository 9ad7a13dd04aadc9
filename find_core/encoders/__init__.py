"""Frozen models behind two small protocols, known by name.

An encoder's module is imported when it is built, and its heavy packages (transformers, ...) too.
"""

from importlib import import_module
from types import ModuleType

from find_core.encoders.base import (
    LanguageConfig,
    LanguageEncoder,
    TextTokens,
    VisionConfig,
    VisionEncoder,
)
from find_core.encoders.registry import (
    build_language,
    build_vision,
    register_language,
    register_vision,
)

_MODULES = {
    "cache": "find_core.encoders.token_cache",
    "causal_lm": "find_core.encoders.language.causal_lm",
    "davit": "find_core.encoders.vision.davit",
    "efficientnet": "find_core.encoders.vision.efficientnet",
    "focalnet": "find_core.encoders.vision.focalnet",
    "hf_language": "find_core.encoders.language.huggingface",
    "hf_vision": "find_core.encoders.vision.huggingface",
    "minilm": "find_core.encoders.language.minilm",
    "tiny": "find_core.encoders.tiny",
    "unicl": "find_core.encoders.language.unicl",
}

__all__ = [
    "LanguageConfig",
    "LanguageEncoder",
    "TextTokens",
    "VisionConfig",
    "VisionEncoder",
    "build_language",
    "build_vision",
    "register_language",
    "register_vision",
]


def __getattr__(name: str) -> ModuleType:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(_MODULES[name])
