"""What the camera player plays: anything `find_core.video_sources` opens, and posed RGB-D folders.

RGB-D folders come in two layouts:
- ours: `rgb/NNNNNN.jpg`, `depth/NNNNNN.png` (16 bit), `meta.json` with `K`, `depth_scale_m`, `fps`
  and `T_world_camera`, one (4, 4) for each frame;
- 7-Scenes': `frame-NNNNNN.color.jpg|png`, `.depth.png` (mm), `.pose.txt`, `camera-intrinsics.txt`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from find_core.images import read_image
from find_core.video_sources import PICTURES, SourceError, open_source

DEFAULT_FPS = 10.0
MM = 0.001


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
    """Attributes: has_depth, has_pose: what its frames carry. is_live: a camera, not a recording."""

    has_depth: bool
    has_pose: bool
    is_live: bool

    def frames(self) -> Iterator[PlayedFrame]: ...


def open_player_source(what: str, fps: float = 0.0) -> PlayerSource:
    """Open a video, a folder of pictures, an RGB-D folder, a bag or a V4L device.

    Args:
        fps: pictures' rate of a folder that does not say its own; 0: 10.

    Raises:
        SourceError: nothing there, or not readable.
    """
    path = Path(what)
    if (path / "meta.json").is_file() and (path / "rgb").is_dir():
        return _tabletop_folder(path, fps)
    if path.is_dir() and any(path.glob("frame-*.color.*")):
        return _seven_scenes_folder(path, fps)
    return ColourSource(what, fps)


class ColourSource:
    """Frames without depth or pose."""

    has_depth = has_pose = False

    def __init__(self, what: str, fps: float) -> None:
        self._source = open_source(what, fps=fps or DEFAULT_FPS)
        self.is_live = self._source.is_live

    def frames(self) -> Iterator[PlayedFrame]:
        for frame in self._source.frames():
            yield PlayedFrame(frame.image, frame.time_s)


@dataclass(frozen=True, eq=False)
class RgbdFolder:
    """Attributes: colours, depths: files in order (depths may be empty). depth_scale_m: metres for
    each unit. Ks, poses: one for each frame, or None."""

    colours: list[Path]
    depths: list[Path]
    depth_scale_m: float
    fps: float
    Ks: list[np.ndarray] | None
    poses: list[np.ndarray] | None
    is_live: bool = False

    @property
    def has_depth(self) -> bool:
        return bool(self.depths)

    @property
    def has_pose(self) -> bool:
        return self.poses is not None

    def frames(self) -> Iterator[PlayedFrame]:
        for index, colour in enumerate(self.colours):
            yield PlayedFrame(
                read_image(colour),
                index / self.fps,
                _read_depth(self.depths[index], self.depth_scale_m) if self.depths else None,
                self.Ks[index] if self.Ks is not None else None,
                self.poses[index] if self.poses is not None else None,
            )


def _tabletop_folder(path: Path, fps: float) -> RgbdFolder:
    try:
        meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise SourceError(f"{path / 'meta.json'} is not JSON: {error}.") from None
    colours = sorted(p for p in (path / "rgb").iterdir() if p.suffix.lower() in PICTURES)
    depths = sorted((path / "depth").glob("*.png")) if (path / "depth").is_dir() else []
    poses = [np.array(T, np.float64).reshape(4, 4) for T in meta.get("T_world_camera", [])]
    K = np.array(meta["K"], np.float64).reshape(3, 3) if "K" in meta else None
    folder = RgbdFolder(
        colours,
        depths,
        float(meta.get("depth_scale_m", MM)),
        fps or float(meta.get("fps", DEFAULT_FPS)),
        [K] * len(colours) if K is not None else None,
        poses or None,
    )
    return _checked(path, folder)


def _seven_scenes_folder(path: Path, fps: float) -> RgbdFolder:
    colours = sorted(path.glob("frame-*.color.*"))
    stems = [p.name.split(".")[0] for p in colours]
    depths = [p for s in stems if (p := path / f"{s}.depth.png").is_file()]
    poses = [np.loadtxt(p) for s in stems if (p := path / f"{s}.pose.txt").is_file()]
    intrinsics = path / "camera-intrinsics.txt"
    Ks = [np.loadtxt(intrinsics)] * len(colours) if intrinsics.is_file() else None
    return _checked(path, RgbdFolder(colours, depths, MM, fps or DEFAULT_FPS, Ks, poses or None))


def _checked(path: Path, folder: RgbdFolder) -> RgbdFolder:
    count = len(folder.colours)
    if not count:
        raise SourceError(f"{path} holds no pictures: expected rgb/000000.jpg and so on.")
    for name, parts in (("depth images", folder.depths), ("poses", folder.poses)):
        if parts and len(parts) != count:
            raise SourceError(f"{path} has {count} pictures but {len(parts)} {name}.")
    return folder


def _read_depth(path: Path, scale_m: float) -> np.ndarray:
    """(H, W) float32 metres; 0 and 65535 (some recorders' 'nothing') are invalid."""
    units: Any = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if units is None or units.ndim != 2:
        raise SourceError(f"{path} is not a one-channel depth picture: give a 16-bit PNG.")
    return np.where(units == np.iinfo(np.uint16).max, 0, units).astype(np.float32) * scale_m
