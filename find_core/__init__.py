"""FIND for robots: prompts in words and pictures, answered with masks, boxes, scores, embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from find_core.errors import (
    AlbumError,
    CheckpointError,
    EncoderError,
    FieldError,
    FindError,
    ImageError,
    PromptError,
)
from find_core.prompts import Prompt, PromptEntity, Reference
from find_core.regions import Region
from find_core.results import (
    Entity,
    Instance,
    InstanceSegmentation,
    InteractiveSegmentation,
    Localization,
    PanopticSegmentation,
    Segment,
    SemanticSegmentation,
)

if TYPE_CHECKING:
    from find_core.album import Album, AlbumHit
    from find_core.predictor import CompiledPrompt, Find, Scene, load

__version__ = "0.1.0"

# torch is imported when a model is first asked for, so that `import find_core` stays quick.
_LAZY = {
    **dict.fromkeys(("Find", "Scene", "CompiledPrompt", "load"), "find_core.predictor"),
    **dict.fromkeys(("Album", "AlbumHit"), "find_core.album"),
}

__all__ = [
    "Album",
    "AlbumError",
    "AlbumHit",
    "CheckpointError",
    "CompiledPrompt",
    "EncoderError",
    "Entity",
    "FieldError",
    "Find",
    "FindError",
    "ImageError",
    "Instance",
    "InstanceSegmentation",
    "InteractiveSegmentation",
    "Localization",
    "PanopticSegmentation",
    "Prompt",
    "PromptEntity",
    "PromptError",
    "Reference",
    "Region",
    "Scene",
    "Segment",
    "SemanticSegmentation",
    "load",
]


def __getattr__(name: str):
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'find_core' has no attribute {name!r}")
