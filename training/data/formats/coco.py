"""COCO as records: panoptic segments, captions, instances (published layout).

ROOT/annotations/panoptic_<split>.json, ROOT/annotations/panoptic_<split>/*.png, ROOT/<split>/*.jpg
ROOT/annotations/captions_<split>.json, ROOT/annotations/instances_<split>.json
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.errors import ImageError
from find_core.images import read_image
from training.data.formats.records import InstanceLabel, PhraseLabel, Record, SentenceLabel

MIN_AREA_PX = 200


def clean_name(name: str) -> str:
    """COCO panoptic class names as people say them (docs/spec.md 2.8)."""
    return re.sub(r"-(other|merged|stuff)", "", name)


def read_json(path: Path) -> dict[str, Any]:
    """A COCO annotation file.

    Raises:
        ImageError: it is missing or is not COCO JSON.
    """
    try:
        data = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ImageError(
            f"Cannot read {path} ({type(error).__name__}): download COCO's annotations there."
        ) from None
    if not isinstance(data, dict) or "images" not in data or "annotations" not in data:
        raise ImageError(f"{path} is no COCO annotation file: it has no images or annotations.")
    return data


def panoptic_records(root: str | Path, split: str = "train2017") -> list[Record]:
    """One record per image with panoptic segments; class names are its phrases."""
    root = Path(root)
    data = read_json(root / "annotations" / f"panoptic_{split}.json")
    categories = {c["id"]: c for c in data["categories"]}
    names = {i["id"]: i["file_name"] for i in data["images"]}
    captions = captions_by_image(root, split)
    every = sorted(set(class_names(data["categories"])))
    records = []
    for annotation in data["annotations"]:
        segments = [
            s for s in annotation["segments_info"] if not s["iscrowd"] and s["area"] >= MIN_AREA_PX
        ]
        image_id = annotation["image_id"]
        image_path = root / split / names[image_id]
        png = root / "annotations" / f"panoptic_{split}" / annotation["file_name"]
        instances = tuple(_instance(categories[s["category_id"]]) for s in segments)
        read = functools.partial(_read_panoptic, image_path, png, tuple(s["id"] for s in segments))
        key = f"coco_panoptic/{split}/{image_id:012d}"
        texts = captions.get(image_id, ())
        record = _record(key, read, instances, texts, exhaustive=True)
        labelled = {
            clean_name(categories[s["category_id"]]["name"]) for s in annotation["segments_info"]
        }
        absent = tuple(name for name in every if name not in labelled)
        ids = tuple(s["id"] for s in segments)
        records.append(dataclasses.replace(record, absent=absent, source_ids=ids))
    return records


def instance_records(root: str | Path, split: str = "train2017") -> list[Record]:
    """One record per captioned image with instance masks: stuff is unlabelled there."""
    root = Path(root)
    data = read_json(root / "annotations" / f"instances_{split}.json")
    categories = {c["id"]: c | {"isthing": 1} for c in data["categories"]}
    captions = captions_by_image(root, split)
    records = []
    for image in data["images"]:
        wanted = [
            a for a in data["annotations"]
            if a["image_id"] == image["id"] and not a["iscrowd"] and a["area"] >= MIN_AREA_PX
        ]  # fmt: skip
        instances = tuple(_instance(categories[a["category_id"]]) for a in wanted)
        image_path = root / split / image["file_name"]
        size = image["height"], image["width"]
        shapes = tuple(json.dumps(a["segmentation"]) for a in wanted)
        read = functools.partial(_read_instances, image_path, size, shapes)
        key = f"coco_captions/{split}/{image['id']:012d}"
        texts = captions.get(image["id"], ())
        record = _record(key, read, instances, texts, exhaustive=False)
        records.append(dataclasses.replace(record, source_ids=tuple(a["id"] for a in wanted)))
    return records


def captions_by_image(root: Path, split: str) -> dict[int, tuple[str, ...]]:
    """Captions per image id; none where the file is missing."""
    path = root / "annotations" / f"captions_{split}.json"
    if not path.is_file():
        return {}
    table: dict[int, list[str]] = {}
    for annotation in read_json(path)["annotations"]:
        table.setdefault(annotation["image_id"], []).append(annotation["caption"].strip())
    return {image: tuple(texts) for image, texts in table.items()}


def class_names(categories: list[dict[str, Any]]) -> list[str]:
    return [clean_name(c["name"]) for c in categories]


def _instance(category: dict[str, Any]) -> InstanceLabel:
    name = clean_name(category["name"])
    return InstanceLabel(name, frozenset([name]), None, name, "coco", not category["isthing"])


def _record(
    key: str, read: Any, instances: tuple[InstanceLabel, ...], captions: tuple[str, ...],
    exhaustive: bool,
) -> Record:  # fmt: skip
    groups: dict[str, list[int]] = {}
    for k, instance in enumerate(instances):
        groups.setdefault(instance.name, []).append(k)
    phrases = tuple(PhraseLabel(name, tuple(members)) for name, members in groups.items())
    sentences: tuple[SentenceLabel, ...] = ()
    if len(groups) > 1:
        markup = ", ".join(f"a <{name}>" for name in list(groups)[:4])
        sentences = (
            SentenceLabel(f"a photo with {markup}", tuple(map(tuple, list(groups.values())[:4]))),
        )
    if not captions and groups:
        captions = ("a photo of " + ", ".join(groups),)
    return Record(key, read, instances, phrases, sentences, captions, (), exhaustive, "coco")


def _read_panoptic(
    image_path: Path, png: Path, ids: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    image = read_image(image_path)
    color = read_image(png).astype(np.int64)
    full = color[..., 0] + 256 * color[..., 1] + 256 * 256 * color[..., 2]
    numbers = np.zeros(full.shape, np.uint8)
    for k, segment in enumerate(ids[:254]):
        numbers[full == segment] = k + 1
    return image, numbers


def _read_instances(
    image_path: Path, size: tuple[int, int], shapes: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    image = read_image(image_path)
    masks = [decode_segmentation(json.loads(s), *size) for s in shapes[:254]]
    numbers = np.zeros(size, np.uint8)
    # Small instances on top of large ones, where masks overlap.
    for k in sorted(range(len(masks)), key=lambda k: -int(masks[k].sum())):
        numbers[masks[k]] = k + 1
    return image, numbers


def decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
    """(H, W) bool mask of COCO polygons, uncompressed or compressed RLE."""
    from pycocotools import mask as coco

    if isinstance(segmentation, list):
        canvas = np.zeros((height, width), np.uint8)
        for polygon in segmentation:
            points = np.round(np.asarray(polygon, np.float64).reshape(-1, 2)).astype(np.int32)
            cv2.fillPoly(canvas, [points], [1])
        return canvas.astype(bool)
    if isinstance(segmentation["counts"], list):
        segmentation = coco.frPyObjects(segmentation, height, width)
    return coco.decode(segmentation).astype(bool)
