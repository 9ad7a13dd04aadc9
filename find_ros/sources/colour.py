"""A video, a folder of images or a V4L device: what `find_core` opens, without depth or pose."""

from __future__ import annotations

from collections.abc import Iterator

from find_core.video.sources import open_source
from find_ros.sources.base import DEFAULT_FPS, PlayedFrame


class ColourSource:
    """Frames without depth or pose."""

    has_depth = has_pose = False

    def __init__(self, what: str, fps: float) -> None:
        self._source = open_source(what, fps=fps or DEFAULT_FPS)
        self.frame_count, self.duration_s = self._source.frame_count, self._source.duration_s

    @property
    def is_live(self) -> bool:
        return self._source.is_live

    def frames(self) -> Iterator[PlayedFrame]:
        for frame in self._source.frames():
            yield PlayedFrame(frame.image, frame.time_s)
