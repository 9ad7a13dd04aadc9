"""Localization in streams and recordings: tracks, relevance over time, search."""

from typing import TYPE_CHECKING

from find_core.support.lazy import lazy_names

if TYPE_CHECKING:
    from find_core.video.offline import VideoReport, localize_video
    from find_core.video.stream import (
        Event,
        PromptFrame,
        StreamConfig,
        StreamLocalizer,
        VideoFrame,
    )

__all__ = [
    "Event",
    "PromptFrame",
    "StreamConfig",
    "StreamLocalizer",
    "VideoFrame",
    "VideoReport",
    "localize_video",
]

# `find_core.video.sources` is used without torch.
__getattr__ = lazy_names(
    __name__,
    dict.fromkeys(("VideoReport", "localize_video"), "find_core.video.offline")
    | dict.fromkeys(
        ("Event", "PromptFrame", "StreamConfig", "StreamLocalizer", "VideoFrame"),
        "find_core.video.stream",
    ),
)
