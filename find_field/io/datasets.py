"""Folders of posed images: which kinds there are, and how each becomes `PosedFrame`s.

sequence      meta.json, rgb/NNNNNN.jpg, depth/NNNNNN.png: this project's own, also easily
              written from ROS (OpenCV cameras, T_world_camera in metres, depth in millimetres)
7scenes       frame-*.color.jpg|png, .depth.png (mm), .pose.txt (camera to world)
nerfstudio    transforms.json (OpenGL cameras), depth_file_path where there is depth

A sequence's meta.json, of which `K` and `frames` must be there:

    {"K": [[fx, 0, cx], [0, fy, cy], [0, 0, 1]],    pixel centres at integers
     "depth_unit_m": 0.001,                         metres per unit of depth/*.png (the default)
     "frame": "map",                                name of the world frame (default "world")
     "fps": 10.0,                                   for camera_player (default 10)
     "frames": [{"file": "000000",                  rgb/000000.jpg or .png, depth/000000.png
                 "T_world_camera": [[...] * 4]}]}   (4, 4), metres; null where tracking was lost

A frame may have its own "K", and paths "rgb" and "depth" instead of "file".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.errors import FieldError, FindError, ImageError
from find_core.support.printable import shown
from find_field.frames import PosedFrame
from find_field.geometry.pinhole import check_intrinsics, check_rigid
from find_field.io import transforms_json
from find_field.io.frame_files import FrameFiles

# The Kinect of 7-Scenes: depth pixels do not lie on colour pixels, and poses are the depth
# camera's. The published intrinsics are the depth camera's too; the colour camera's focal length,
# its rotation (radians about x and y) and its offset were fitted on rgbd_room, to the colour
# edges under depth edges.
SEVEN_SCENES_K = np.array([[585.0, 0, 320], [0, 585, 240], [0, 0, 1]])
SEVEN_SCENES_RGB_FOCAL_PX = 529.0
SEVEN_SCENES_RGB_ROTATION = (0.002, 0.002, 0.0)
SEVEN_SCENES_RGB_OFFSET_M = (-0.025, 0.0, 0.0)


@dataclass(eq=False)
class PosedFolder:
    """A folder's frames; images are decoded as they are iterated over.

    Attributes:
        kind: of the folder. files: the usable frames, in order.
        skipped: one sentence per frame that was left out, and why.
        frame: name of the world frame, where the folder tells.
    """

    path: Path
    kind: str
    files: list[FrameFiles]
    skipped: list[str] = field(default_factory=list)
    frame: str = "world"

    def __len__(self) -> int:
        return len(self.files)

    @property
    def up(self) -> str:
        """How up is found in its world frame, as `LiftConfig.up_world`.

        Robots' sequences promise z (REP-103). A capture may have been turned so. The world of
        7-Scenes is that of its first camera.
        """
        return {"7scenes": "auto", "nerfstudio": "check"}.get(self.kind, "z")

    def __iter__(self) -> Iterator[PosedFrame]:
        """Frames in order; one that cannot be read is left out, its reason added to `skipped`.

        Raises:
            ImageError, FieldError: not one of them can be read; the last reason.
        """
        read, problem = 0, None
        for files in self.files:
            try:
                frame = files.read()
            except FindError as error:
                problem = error
                self.skipped.append(shown(error, 300))
                continue
            read += 1
            yield frame
        if problem is not None and not read:
            raise problem

    def take(self, every: int = 1, limit: int | None = None, skip: int = 0) -> PosedFolder:
        """Every n-th frame from the `skip`-th on, at most `limit` of them."""
        return replace(self, files=self.files[skip::every][:limit])


def open_folder(path: str | Path, registered: bool = False) -> PosedFolder:
    """Find out what kind of folder `path` is, and list its frames.

    Args:
        path: the folder, or its meta.json / transforms.json.
        registered: 7scenes only: the depth was already registered to the colour images.

    Raises:
        FieldError: nothing known in there, or not one usable pose.
    """
    path = Path(path)
    folder = path.parent if path.name in ("meta.json", "transforms.json") else path
    if not folder.is_dir():
        raise FieldError(f"No folder {folder}: check the path.")
    if (folder / "meta.json").is_file():
        opened = _collect(folder, "sequence", *_sequence(folder))
    elif (folder / "transforms.json").is_file():
        opened = _collect(folder, "nerfstudio", *_nerfstudio(folder))
    elif (folder / "scenes.jsonl").is_file():
        opened = _collect(folder, "rendered", *_rendered(folder))
    elif any(folder.glob("frame-*.color.*")):
        opened = _collect(folder, "7scenes", *_seven_scenes(folder, registered))
    else:
        raise FieldError(
            f"{folder} holds no posed images: it needs a meta.json, a transforms.json, or "
            "frame-*.color.jpg with .depth.png and .pose.txt beside them."
        )
    if not opened.files:
        why = opened.skipped[0] if opened.skipped else "it lists no frames"
        raise FieldError(f"{folder} has no usable frame ({why}).")
    return opened


def _collect(folder: Path, kind: str, names: list[str], make: Callable[[int], FrameFiles],
             frame: str = "world") -> PosedFolder:  # fmt: skip
    """Frames that can be made, and the reasons why others cannot."""
    out = PosedFolder(folder, kind, [], frame=frame)
    for i, name in enumerate(names):
        try:
            files = make(i)
            check_rigid(files.T_world_camera, f"Pose of {name}")
            missing = [p for p in (files.rgb, files.depth) if p is not None and not p.is_file()]
            if missing:
                raise ImageError(f"no file {missing[0].name}.")
            out.files.append(files)
        except (KeyError, TypeError, ValueError, OSError, AttributeError, OverflowError,
                FindError) as error:  # fmt: skip
            kind = "" if isinstance(error, FindError) else f"{type(error).__name__} "
            out.skipped.append(f"{shown(name)}: {kind}{shown(error, 200)}")
    return out


def _seven_scenes(folder: Path, registered: bool) -> tuple[list[str], Callable[[int], FrameFiles]]:
    images = sorted(folder.glob("frame-*.color.*"))
    stems = [p.name.split(".")[0] for p in images]
    given = folder / "camera-intrinsics.txt"
    K_depth = _numbers(given, (3, 3)) if given.is_file() else SEVEN_SCENES_K
    check_intrinsics(K_depth, given.name)
    K = K_depth
    T_rgb_depth = np.eye(4)
    if not registered:
        K = K_depth.copy()
        K[0, 0] = K[1, 1] = SEVEN_SCENES_RGB_FOCAL_PX
        T_rgb_depth[:3, :3] = cv2.Rodrigues(np.array(SEVEN_SCENES_RGB_ROTATION))[0]
        T_rgb_depth[:3, 3] = SEVEN_SCENES_RGB_OFFSET_M

    def make(i: int) -> FrameFiles:
        pose = folder / f"{stems[i]}.pose.txt"
        if not pose.is_file():
            raise FieldError(f"{stems[i]}: no pose file {pose.name}.")
        T_world_depth = check_rigid(_numbers(pose, (4, 4)), f"Pose of {stems[i]}")
        return FrameFiles(
            stems[i], images[i], folder / f"{stems[i]}.depth.png", K,
            T_world_depth @ np.linalg.inv(T_rgb_depth),
            register=None if registered else (K_depth, T_rgb_depth),
        )  # fmt: skip

    return stems, make


def _numbers(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """A matrix of a text file.

    Raises:
        FieldError: it holds something else.
    """
    wanted = f"{shape[0]} rows of {shape[1]} numbers"
    try:
        words = [line.split() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
        matrix = np.array([[float(word) for word in row] for row in words])
    except (OSError, ValueError) as error:
        raise FieldError(f"{path} does not hold {wanted} ({shown(error)}).") from None
    if matrix.shape != shape:
        raise FieldError(f"{path} holds numbers of shape {matrix.shape}, not {wanted}.")
    return matrix


def _sequence(folder: Path) -> tuple[list[str], Callable[[int], FrameFiles], str]:
    meta = _read_json(folder / "meta.json")
    entries = meta.get("frames", [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise FieldError(f'"frames" in {folder}/meta.json is no list of objects.')
    names = [str(e.get("file", e.get("rgb", f"frame {i}"))) for i, e in enumerate(entries)]

    def make(i: int) -> FrameFiles:
        entry, name = entries[i], names[i]
        has_depth = entry.get("depth") is not None
        if "file" not in entry and "rgb" not in entry:
            raise FieldError(f'{name}: no "file" in meta.json, the name of its images.')
        path_of = transforms_json.path_of
        rgb = path_of(folder, entry["rgb"]) if "rgb" in entry else _picture(folder / "rgb", name)
        depth = path_of(folder, entry["depth"] if has_depth else f"depth/{name}.png")
        K = np.array(entry.get("K", meta.get("K")), float)
        if entry.get("T_world_camera") is None:
            raise FieldError(f"{name}: no T_world_camera in meta.json.")
        scale = float(meta.get("depth_unit_m", 0.001))
        # One that is named must be there; the usual place of it may be empty.
        return FrameFiles(name, rgb, depth if has_depth or depth.is_file() else None, K,
                          np.array(entry["T_world_camera"], float), _positive(scale),
                          depth_unit_is_given="depth_unit_m" in meta)  # fmt: skip

    return names, make, str(meta.get("frame", meta.get("world_frame", "world")))


def read_scenes(folder: Path) -> list[dict[str, Any]]:
    """The lines of a rendered sequence's scenes.jsonl.

    Raises:
        FieldError: a line is no JSON object.
    """
    try:
        scenes = [
            json.loads(line) for line in (folder / "scenes.jsonl").read_text("utf-8").splitlines()
        ]
        if not all(isinstance(scene["index"], int) for scene in scenes):
            raise TypeError("an index is no number")
    except (ValueError, OSError, KeyError, TypeError, RecursionError) as error:
        raise FieldError(
            f"{folder}/scenes.jsonl is damaged ({shown(error)}): render again."
        ) from None
    return scenes


def _rendered(folder: Path) -> tuple[list[str], Callable[[int], FrameFiles]]:
    scenes = read_scenes(folder)
    names = [f"{scene['index']:06d}" for scene in scenes]

    def make(i: int) -> FrameFiles:
        return FrameFiles(
            names[i], folder / f"{names[i]}.jpg", folder / f"{names[i]}_depth.png",
            np.array(scenes[i]["K"], float), np.array(scenes[i]["T_world_camera"], float),
        )  # fmt: skip

    return names, make


def _picture(folder: Path, stem: str) -> Path:
    for suffix in (".jpg", ".png", ".jpeg"):
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    return folder / f"{stem}.jpg"


def _nerfstudio(folder: Path) -> tuple[list[str], Callable[[int], FrameFiles]]:
    meta = _read_json(folder / "transforms.json")
    frames = transforms_json.frame_entries(meta)

    def make(i: int) -> FrameFiles:
        entry = {**meta, **frames[i]}
        image = transforms_json.file_of(folder, entry["file_path"])
        K, size = transforms_json.intrinsics(entry, image)
        depth, unit = entry.get("depth_file_path"), meta.get("depth_unit_scale_factor")
        return FrameFiles(
            entry["file_path"], image, transforms_json.file_of(folder, depth) if depth else None, K,
            transforms_json.pose(entry), 0.001 if unit is None else _positive(float(unit)),
            transforms_json.distortion(entry), size=size, depth_unit_is_given=unit is not None,
        )  # fmt: skip

    return [f["file_path"] for f in frames], make


def _positive(scale: float) -> float:
    if not 1e-9 < scale < 1e6:
        raise FieldError(f"the depth's unit is {scale} m: give metres per unit")
    return scale


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, OSError, RecursionError) as error:
        raise FieldError(f"{path} is not JSON ({shown(error)}): write it again.") from None
    if not isinstance(data, dict):
        raise FieldError(f"{path} is not a JSON object with a list 'frames'.")
    return data
