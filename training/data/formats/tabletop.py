"""Rendered scenes of `training.tabletop` as records, and what is true of which asset."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import ImageError
from find_core.images import read_image, read_labels
from training.data.formats.records import InstanceLabel, PhraseLabel, Record, SentenceLabel

MIN_VISIBLE_PX = 60
"""Instances with fewer visible pixels at 512x384 are not asked for."""
MAX_INSTANCES = 254


def read_split(root: str | Path, split: str, limit: int | None = None) -> list[dict[str, Any]]:
    """Scene dictionaries of ROOT/<split>/scenes.jsonl whose images are already there.

    Scenes may still be rendered: half-written lines are left for later, and finished ones that are
    not yet gathered (`.scenes/`) are read too.

    Raises:
        ImageError: there is no such split.
    """
    folder = Path(root) / split
    path, parts = folder / "scenes.jsonl", folder / ".scenes"
    if not path.is_file() and not parts.is_dir():
        raise ImageError(f"No scenes at {path}: render them with python -m training.tabletop.")
    lines = path.read_text().splitlines() if path.is_file() else []
    scenes = {scene["index"]: scene for line in lines if (scene := _parsed(line))}
    for part in parts.glob("*.json"):  # finished, not yet gathered into scenes.jsonl
        if int(part.stem) not in scenes and (scene := _parsed(part.read_text())):
            scenes[scene["index"]] = scene
    whole = (scenes[n] for n in sorted(scenes) if (folder / f"{n:06d}.png").is_file())
    return [scene | {"folder": str(folder)} for scene in whole][:limit]


def _parsed(line: str) -> dict[str, Any] | None:
    """A scene, or None where the line is still being written."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def record_of(scene: dict[str, Any], min_visible_px: int = MIN_VISIBLE_PX) -> Record:
    """The label side of one scene; too small instances are dropped from every label."""
    kept = [i for i in scene["instances"] if i["visible_px"] >= min_visible_px][:MAX_INSTANCES]
    index = {instance["id"]: k for k, instance in enumerate(kept)}
    folder, number = scene["folder"], scene["index"]
    return Record(
        key=f"tabletop/{Path(folder).name}/{number:06d}",
        read=functools.partial(_read, folder, number, tuple(index)),
        instances=tuple(_instance(i) for i in kept),
        phrases=tuple(
            PhraseLabel(p["text"], tuple(index[i] for i in p["instance_ids"]), p["type"])
            for p in scene["phrases"]
            if p["instance_ids"] and all(i in index for i in p["instance_ids"])
        ),
        sentences=tuple(
            SentenceLabel(s["text"], tuple(tuple(index[i] for i in ids) for ids in s["entities"]))
            for s in scene["sentences"]
            if all(ids and all(i in index for i in ids) for ids in s["entities"])
        ),
        captions=tuple(scene["captions"]),
        absent=tuple(a["text"] for a in scene["absent"] if a["type"] != "relation"),
        false_relations=tuple(a["text"] for a in scene["absent"] if a["type"] == "relation"),
    )


def truths(scenes: Iterable[dict[str, Any]]) -> dict[str, frozenset[str]]:
    """For every phrase, the assets it is true of (phrases without such a list are left out)."""
    table: dict[str, set[str]] = {}
    for scene in scenes:
        for phrase in scene["phrases"] + scene["absent"]:
            if phrase.get("matches") is not None:
                table.setdefault(phrase["text"], set()).update(map(str, phrase["matches"]))
    return {text: frozenset(assets) for text, assets in table.items()}


def _instance(data: dict[str, Any]) -> InstanceLabel:
    return InstanceLabel(
        name=data["name"],
        names=frozenset(data["names"]) | {data["name"]},
        asset=str(data["asset"]),
        kind=data["kind"],
        source="tabletop",
        stuff=bool(data["stuff"]),
    )


def _read(folder: str, number: int, ids: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    image = read_image(Path(folder) / f"{number:06d}.jpg")
    full = read_labels(Path(folder) / f"{number:06d}.png")
    if full.shape != image.shape[:2]:
        raise ImageError(f"Scene {number} of {folder} has a damaged id map: render it again.")
    numbers = np.zeros(image.shape[:2], np.uint8)
    for k, instance_id in enumerate(ids):
        numbers[full == instance_id] = k + 1
    return image, numbers
