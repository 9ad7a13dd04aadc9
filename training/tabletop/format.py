"""The on-disk form of a split: JPEG, instance ids, depth, one JSON line per scene.

    ROOT/<split>/000000.jpg         RGB, quality 95
    ROOT/<split>/000000.png         16-bit instance ids, 0 = background
    ROOT/<split>/000000_depth.png   16-bit z-depth in millimetres, 0 = nothing hit
    ROOT/<split>/scenes.jsonl       one object a line
    ROOT/gallery.json               asset id -> what is true of it

Files are written beside their name and moved into place, and a scene's JSON comes last, so that a
killed run leaves no half scene; `merge` gathers the finished ones.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.support.json_text import json_text
from training.tabletop.assets.kinds import HELD_OUT_FOLDERS, held_out_names_in

SCENE_KEYS = (
    "index",
    "seed",
    "K",
    "T_world_camera",
    "instances",
    "relations",
    "phrases",
    "sentences",
    "captions",
    "absent",
)
INSTANCE_KEYS = (
    "id",
    "asset",
    "kind",
    "name",
    "names",
    "color",
    "category",
    "held_out",
    "stuff",
    "center_world_m",
    "extent_m",
    "T_world_object",
    "visible_px",
    "visibility",
)
PHRASE_TYPES = ("name", "attribute", "category", "relation", "instruction")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def write_image(path: Path, image: np.ndarray, quality: int = 95) -> None:
    """Write RGB uint8 (as JPEG or PNG by suffix) or single-channel uint16 (PNG)."""
    bgr = image[..., ::-1] if image.ndim == 3 else image
    options = (
        [cv2.IMWRITE_JPEG_QUALITY, quality]
        if path.suffix == ".jpg"
        else [cv2.IMWRITE_PNG_COMPRESSION, 5]
    )
    done, packed = cv2.imencode(path.suffix, bgr, options)
    if not done:
        raise OSError(f"cannot encode {path.name}")
    write_bytes(path, packed.tobytes())


def depth_to_mm(depth_m: np.ndarray) -> np.ndarray:
    """(H, W) metres to uint16 millimetres; 0 stays 0, farther than 65.5 m becomes 0."""
    mm = np.round(depth_m * 1000)
    return np.where((mm > 0) & (mm < 65535), mm, 0).astype(np.uint16)


def rounded(value: Any, digits: int = 5) -> Any:
    """Plain JSON numbers: arrays to lists, floats to a few digits (equal bytes for equal seeds)."""
    if isinstance(value, np.ndarray):
        return rounded(value.tolist(), digits)
    if isinstance(value, list | tuple):
        return [rounded(v, digits) for v in value]
    if isinstance(value, float | np.floating):
        return round(float(value), digits) + 0.0
    return int(value) if isinstance(value, np.integer) else value


def scene_line(scene: dict) -> str:
    """A scene as one line of JSON."""
    return json_text(scene, separators=(",", ":"), ensure_ascii=False) + "\n"


def part_path(folder: Path, index: int) -> Path:
    """Where a finished scene's JSON waits to be merged."""
    return folder / ".scenes" / f"{index:06d}.json"


def finished(folder: Path) -> set[int]:
    """Indices of the scenes that are complete."""
    return {int(p.stem) for p in (folder / ".scenes").glob("*.json")}


def merge(folder: Path) -> int:
    """Gather the finished scenes into scenes.jsonl, in order; returns how many."""
    parts = sorted((folder / ".scenes").glob("*.json"))
    temporary = folder / ".scenes.jsonl.tmp"
    with temporary.open("wb") as out:
        for part in parts:
            out.write(part.read_bytes())
    temporary.replace(folder / "scenes.jsonl")
    return len(parts)


def read_scenes(folder: Path) -> list[dict]:
    """All scenes of a split."""
    with (folder / "scenes.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def check_scene(scene: dict) -> list[str]:
    """What is wrong with a scene's JSON; empty when it keeps the contract."""
    wrong = [f"missing {key}" for key in SCENE_KEYS if key not in scene]
    if wrong:
        return wrong
    ids = {i["id"] for i in scene["instances"]}
    for instance in scene["instances"]:
        wrong += [f"instance lacks {key}" for key in INSTANCE_KEYS if key not in instance]
    wrong += [f"unknown id in {r}" for r in scene["relations"] if not {r[0], r[2]} <= ids]
    for phrase in scene["phrases"]:
        if phrase["type"] not in PHRASE_TYPES or not phrase["instance_ids"]:
            wrong.append(f"bad phrase {phrase['text']!r}")
        if not set(phrase["instance_ids"]) <= ids:
            wrong.append(f"unknown id in {phrase['text']!r}")
    for sentence in scene["sentences"]:
        if sentence["text"].count("<") != len(sentence["entities"]):
            wrong.append(f"brackets and entities differ in {sentence['text']!r}")
        if not all(e and set(e) <= ids for e in sentence["entities"]):
            wrong.append(f"bad entities in {sentence['text']!r}")
    return wrong


def held_out_leaks(line: str) -> list[str]:
    """Held-out names or assets that occur anywhere in a known split's JSON line."""
    assets = [f for f in sorted(HELD_OUT_FOLDERS) if f'"{f}"' in line or f'"{f}.' in line]
    return held_out_names_in(line) + assets
