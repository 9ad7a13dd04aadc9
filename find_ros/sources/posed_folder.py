"""A folder of posed images with depth, as `find_field` reads it, played as a camera."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from find_core.errors import FindError
from find_core.support.numbers import check_number
from find_core.support.printable import shown
from find_core.video.sources.base import SourceError
from find_core.video.sources.folder import MAX_FPS
from find_field.io.datasets import open_folder
from find_ros.sources.base import DEFAULT_FPS, PlayedFrame, Warn, say_nothing

MIN_FPS = 1e-3


class PosedImages:
    """A folder that `find_field.io.datasets` knows: our own sequences, 7-Scenes, nerfstudio."""

    has_pose, is_live = True, False

    def __init__(self, path: Path, fps: float, warn: Warn = say_nothing) -> None:
        self._folder, self._warn = open_folder(path), warn
        for sentence in self._folder.skipped:
            warn("frame", f"Left out: {sentence}")
        self._fps = fps or _fps_of(path / "meta.json")
        self.frame_count: int | None = len(self._folder)
        self.duration_s: float | None = len(self._folder) / self._fps

    @property
    def has_depth(self) -> bool:
        return any(files.depth is not None for files in self._folder.files)

    def frames(self) -> Iterator[PlayedFrame]:
        for index, files in enumerate(self._folder.files):
            try:
                frame = files.read()
            except FindError as error:  # it costs itself alone
                self._warn("frame", f"Left out: {error}")
                continue
            depth_m = None if frame.depth_m is None else np.nan_to_num(frame.depth_m)
            time_s = index / self._fps
            yield PlayedFrame(frame.rgb, time_s, depth_m, frame.K, frame.T_world_camera)


def _fps_of(meta: Path) -> float:
    """The rate a sequence's meta.json names, or ours."""
    if not meta.is_file():
        return DEFAULT_FPS
    fps = json.loads(meta.read_text(encoding="utf-8-sig")).get("fps", DEFAULT_FPS)
    return check_number(fps, f'"fps" in {shown(meta, 200)}', SourceError, MIN_FPS, MAX_FPS)
