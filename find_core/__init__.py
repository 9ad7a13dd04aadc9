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
from find_core.prompts.prompt import Prompt, PromptEntity, Reference
from find_core.prompts.region import Region
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
from find_core.support.lazy import lazy_names
from find_core.support.moved import OLD_NAMES, keep_old_names

if TYPE_CHECKING:
    from find_core.loading import load
    from find_core.predictor import Find
    from find_core.prompts.compiled import CompiledPrompt
    from find_core.scene import Scene
    from find_core.tasks.album import Album, AlbumHit
    from find_core.video.offline import localize_video
    from find_core.video.sources import SourceError, open_source
    from find_core.video.stream import StreamLocalizer

__version__ = "0.1.0"

keep_old_names(OLD_NAMES)

# torch is imported when a model is first asked for, so that `import find_core` stays quick.
_LAZY = {
    "load": "find_core.loading",
    "Find": "find_core.predictor",
    "Scene": "find_core.scene",
    "CompiledPrompt": "find_core.prompts.compiled",
    **dict.fromkeys(("Album", "AlbumHit"), "find_core.tasks.album"),
    **dict.fromkeys(("StreamLocalizer", "localize_video"), "find_core.video"),
    **dict.fromkeys(("SourceError", "open_source"), "find_core.video.sources"),
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
    "SourceError",
    "StreamLocalizer",
    "load",
    "localize_video",
    "open_source",
]


__getattr__ = lazy_names(__name__, _LAZY)
