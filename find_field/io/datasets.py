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
from find_core.images import read_image
from find_field.frames import PosedFrame
from find_field.geometry.pinhole import OPENCV_FROM_OPENGL, check_rigid, register_depth

# The Kinect of 7-Scenes: depth pixels do not lie on colour pixels, and poses are the depth
# camera's. The published intrinsics are the depth camera's too; the colour camera's focal length,
# its rotation (radians about x and y) and its offset were fitted on rgbd_room, to the colour
# edges under depth edges.
SEVEN_SCENES_K = np.array([[585.0, 0, 320], [0, 585, 240], [0, 0, 1]])
SEVEN_SCENES_RGB_FOCAL_PX = 529.0
SEVEN_SCENES_RGB_ROTATION = (0.002, 0.002, 0.0)
SEVEN_SCENES_RGB_OFFSET_M = (-0.025, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class FrameFiles:
    """Where one frame's parts are, before any image is read.

    Attributes:
        depth_scale: metres per unit of the depth image.
        distortion: (k1, k2, p1, p2[, k3...]) of the colour image, OpenCV's order, or None.
        register: (K_depth, T_rgb_depth) when the depth camera is another one than the colour's.
    """

    name: str
    rgb: Path
    depth: Path | None
    K: np.ndarray
    T_world_camera: np.ndarray
    depth_scale: float = 0.001
    distortion: np.ndarray | None = None
    register: tuple[np.ndarray, np.ndarray] | None = None

    def read(self) -> PosedFrame:
        """Decode, register and undistort.

        Raises:
            ImageError, FieldError: a part is missing or cannot be what it should.
        """
        rgb = read_image(self.rgb)
        depth_m = None if self.depth is None else read_depth(self.depth, self.depth_scale)
        if depth_m is not None and self.register is not None:
            K_depth, T_rgb_depth = self.register
            depth_m = register_depth(
                depth_m, K_depth, self.K, T_rgb_depth, (rgb.shape[0], rgb.shape[1])
            )
        if self.distortion is not None and np.any(self.distortion):
            rgb, depth_m = _undistorted(rgb, depth_m, self.K, self.distortion)
        return PosedFrame(rgb, depth_m, self.K, self.T_world_camera, self.name)


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

    def __iter__(self) -> Iterator[PosedFrame]:
        for files in self.files:
            yield files.read()

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
                raise ImageError(f"{name}: no file {missing[0].name}.")
            out.files.append(files)
        except FindError as error:
            out.skipped.append(str(error))
        except (KeyError, TypeError, ValueError, OSError) as error:
            out.skipped.append(f"{name}: {type(error).__name__} {error}")
    return out


def _seven_scenes(folder: Path, registered: bool) -> tuple[list[str], Callable[[int], FrameFiles]]:
    images = sorted(folder.glob("frame-*.color.*"))
    stems = [p.name.split(".")[0] for p in images]
    given = folder / "camera-intrinsics.txt"
    K_depth = np.loadtxt(given) if given.is_file() else SEVEN_SCENES_K
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
        T_world_depth = check_rigid(np.loadtxt(pose), f"Pose of {stems[i]}")
        return FrameFiles(
            stems[i], images[i], folder / f"{stems[i]}.depth.png", K,
            T_world_depth @ np.linalg.inv(T_rgb_depth),
            register=None if registered else (K_depth, T_rgb_depth),
        )  # fmt: skip

    return stems, make


def _sequence(folder: Path) -> tuple[list[str], Callable[[int], FrameFiles], str]:
    meta = _read_json(folder / "meta.json")
    entries = meta.get("frames", [])
    names = [str(e.get("file", e.get("rgb", f"frame {i}"))) for i, e in enumerate(entries)]

    def make(i: int) -> FrameFiles:
        entry, name = entries[i], names[i]
        if "file" not in entry and "rgb" not in entry:
            raise FieldError(f'{name}: no "file" in meta.json, the name of its images.')
        rgb = folder / entry["rgb"] if "rgb" in entry else _picture(folder / "rgb", name)
        depth = folder / entry.get("depth", f"depth/{name}.png")
        K = np.array(entry.get("K", meta.get("K")), float)
        if entry.get("T_world_camera") is None:
            raise FieldError(f"{name}: no T_world_camera in meta.json.")
        scale = float(meta.get("depth_unit_m", 0.001))
        return FrameFiles(name, rgb, depth if depth.is_file() else None, K,
                          np.array(entry["T_world_camera"], float), scale)  # fmt: skip

    return names, make, str(meta.get("frame", meta.get("world_frame", "world")))


def read_scenes(folder: Path) -> list[dict[str, Any]]:
    """The lines of a rendered sequence's scenes.jsonl."""
    text = (folder / "scenes.jsonl").read_text("utf-8")
    try:
        return [json.loads(line) for line in text.splitlines()]
    except ValueError as error:
        raise FieldError(f"{folder}/scenes.jsonl is not JSON ({error}): render again.") from None


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
    if meta.get("camera_model", "OPENCV") not in ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE"):
        raise FieldError(f"Cameras of model {meta['camera_model']} are not read: undistort first.")
    frames = [f for f in meta.get("frames", []) if _exists(folder, f)]
    frames.sort(key=lambda f: f["file_path"])

    def make(i: int) -> FrameFiles:
        both = {**meta, **frames[i]}
        K = np.array([[both["fl_x"], 0, both["cx"] - 0.5],
                      [0, both.get("fl_y", both["fl_x"]), both["cy"] - 0.5], [0, 0, 1]])  # fmt: skip
        distortion = np.array([both.get(n, 0.0) for n in ("k1", "k2", "p1", "p2", "k3")])
        depth = both.get("depth_file_path")
        T = np.array(both["transform_matrix"], float) @ OPENCV_FROM_OPENGL
        return FrameFiles(frames[i]["file_path"], folder / both["file_path"],
                          folder / depth if depth else None, K, T,
                          float(meta.get("depth_unit_scale_factor", 0.001)), distortion)  # fmt: skip

    return [f["file_path"] for f in frames], make


def _exists(folder: Path, frame: dict[str, Any]) -> bool:
    """Captures often list images that were culled; those are no errors."""
    return "file_path" in frame and (folder / frame["file_path"]).is_file()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise FieldError(f"{path} is not JSON ({error}): write it again.") from None
    if not isinstance(data, dict):
        raise FieldError(f"{path} is not a JSON object with a list 'frames'.")
    return data


def read_depth(path: Path, scale: float) -> np.ndarray:
    """(H, W) float32 metres of a 16-bit PNG (or .npy); 0 and 65535 are NaN."""
    if path.suffix == ".npy":
        raw = np.load(path, allow_pickle=False)
    else:
        raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if raw is None or raw.ndim != 2:
        raise ImageError(f"{path} is no depth image: give one channel, 16 bits, PNG.")
    invalid = (raw == 0) | (raw == 65535) if raw.dtype == np.uint16 else raw <= 0
    return np.where(invalid, np.nan, raw * scale).astype(np.float32)


def _undistorted(rgb: np.ndarray, depth_m: np.ndarray | None, K: np.ndarray,
                 distortion: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
    size = rgb.shape[1], rgb.shape[0]
    straight = np.eye(3)
    maps = cv2.initUndistortRectifyMap(K, distortion, straight, K, size, cv2.CV_32FC1)
    if depth_m is not None:  # nearest: a mean of two surfaces is a third one
        depth_m = cv2.remap(depth_m, maps[0], maps[1], cv2.INTER_NEAREST, borderValue=(np.nan,))
    return cv2.remap(rgb, maps[0], maps[1], cv2.INTER_LINEAR), depth_m
