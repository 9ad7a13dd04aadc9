"""What the camera player plays: what `find_core` opens as video, and what `find_field` reads as
posed pictures with depth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from find_core.video.sources.base import SourceError, looks_like_bag, open_source

DEFAULT_FPS = 10.0


@dataclass(frozen=True, eq=False)
class PlayedFrame:
    """Attributes: image_rgb: (H, W, 3) uint8. time_s: since the recording's begin. depth_m: (H, W)
    float32, 0 invalid, or None. K: (3, 3) pixels or None. T_world_camera: (4, 4) or None."""

    image_rgb: np.ndarray
    time_s: float
    depth_m: np.ndarray | None = None
    K: np.ndarray | None = None
    T_world_camera: np.ndarray | None = None


class PlayerSource(Protocol):
    """What the player needs to know before it plays."""

    @property
    def has_depth(self) -> bool: ...

    @property
    def has_pose(self) -> bool: ...

    @property
    def is_live(self) -> bool:
        """A camera rather than a recording."""
        ...

    @property
    def frame_count(self) -> int | None: ...

    @property
    def duration_s(self) -> float | None: ...

    def frames(self) -> Iterator[PlayedFrame]: ...


def open_player_source(what: str, fps: float = 0.0, world_frame: str = "world") -> PlayerSource:
    """Open a video, a folder of pictures, a posed RGB-D folder, a bag or a V4L device.

    Args:
        fps: pictures' rate of a folder that does not say its own; 0: 10.
        world_frame: of the poses to read from a bag's tf.

    Raises:
        FindError: nothing there, or not readable.
    """
    path = Path(what)
    if path.suffix != ".bag" and looks_like_bag(path):
        from find_ros.sources.rosbag import BagCamera

        return BagCamera(path, world_frame)
    posed = ("meta.json", "transforms.json", "frame-*.color.*")
    if path.is_dir() and any(next(path.glob(pattern), None) for pattern in posed):
        return PosedPictures(path, fps)
    return ColourSource(what, fps)


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


class PosedPictures:
    """A folder that `find_field.io.datasets` knows: our own sequences, 7-Scenes, nerfstudio."""

    has_pose, is_live = True, False

    def __init__(self, path: Path, fps: float) -> None:
        from find_field.io.datasets import open_folder

        self._folder = open_folder(path)
        self._fps = fps or _fps_of(path / "meta.json")
        self.frame_count: int | None = len(self._folder)
        self.duration_s: float | None = len(self._folder) / self._fps

    @property
    def has_depth(self) -> bool:
        return any(files.depth is not None for files in self._folder.files)

    def frames(self) -> Iterator[PlayedFrame]:
        for index, frame in enumerate(self._folder):
            depth_m = None if frame.depth_m is None else np.nan_to_num(frame.depth_m)
            time_s = index / self._fps
            yield PlayedFrame(frame.rgb, time_s, depth_m, frame.K, frame.T_world_camera)


def _fps_of(meta: Path) -> float:
    """The rate a sequence's meta.json names, or ours."""
    if not meta.is_file():
        return DEFAULT_FPS
    fps = json.loads(meta.read_text(encoding="utf-8")).get("fps", DEFAULT_FPS)
    if not isinstance(fps, int | float) or not fps > 0:
        raise SourceError(f'{meta} has "fps": {fps!r}: give a number above 0.')
    return float(fps)
