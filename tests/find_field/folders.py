"""The same frames written as each kind of folder that is read."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from find_field.geometry.pinhole import OPENCV_FROM_OPENGL


def _write(path: Path, frame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), frame.rgb[..., ::-1])


def _write_depth(path: Path, frame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mm = np.nan_to_num(frame.depth_m * 1000)
    cv2.imwrite(str(path), np.rint(mm).astype(np.uint16))


def write_sequence(folder: Path, frames) -> Path:
    entries = []
    for i, frame in enumerate(frames):
        _write(folder / "rgb" / f"{i:06d}.png", frame)
        _write_depth(folder / "depth" / f"{i:06d}.png", frame)
        entries.append({"file": f"{i:06d}", "T_world_camera": frame.T_world_camera.tolist()})
    meta = {"K": frames[0].K.tolist(), "frames": entries, "frame": "map", "depth_unit_m": 0.001}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def write_seven_scenes(folder: Path, frames) -> Path:
    for i, frame in enumerate(frames):
        _write(folder / f"frame-{i:06d}.color.png", frame)
        _write_depth(folder / f"frame-{i:06d}.depth.png", frame)
        np.savetxt(folder / f"frame-{i:06d}.pose.txt", frame.T_world_camera)
    np.savetxt(folder / "camera-intrinsics.txt", frames[0].K)
    return folder


def write_nerfstudio(folder: Path, frames, depth: bool = True) -> Path:
    entries = []
    for i, frame in enumerate(frames):
        _write(folder / "images" / f"{i:04d}.png", frame)
        entry = {"file_path": f"images/{i:04d}.png",
                 "transform_matrix": (frame.T_world_camera @ OPENCV_FROM_OPENGL).tolist()}  # fmt: skip
        if depth:
            _write_depth(folder / "depth" / f"{i:04d}.png", frame)
            entry["depth_file_path"] = f"depth/{i:04d}.png"
        entries.append(entry)
    K, h, w = frames[0].K, frames[0].height, frames[0].width
    meta = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2] + 0.5, "cy": K[1, 2] + 0.5,
            "w": w, "h": h, "frames": entries}  # fmt: skip
    (folder / "transforms.json").write_text(json.dumps(meta))
    return folder
