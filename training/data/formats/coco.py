"""COCO as records: panoptic segments, captions, instances (published layout).

ROOT/annotations/panoptic_<split>.json, ROOT/annotations/panoptic_<split>/*.png, ROOT/<split>/*.jpg
ROOT/annotations/captions_<split>.json, ROOT/annotations/instances_<split>.json
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import ImageError
from find_core.images import MAX_SIDE_PX, read_image
from find_core.support.json_text import json_text
from find_core.support.printable import shown
from training.data.formats.coco_masks import decode_segmentation, usable_segmentation
from training.data.formats.oriented import read_as_labelled
from training.data.formats.records import InstanceLabel, PhraseLabel, Record, SentenceLabel

MIN_AREA_PX = 200
"""Smaller objects are not asked for."""
MAX_INSTANCES = 254
"""Instance numbers are one byte."""


def clean_name(name: str) -> str:
    """COCO panoptic class names as people say them (docs/spec.md 2.8)."""
    return re.sub(r"-(other|merged|stuff)", "", name)


def read_json(path: Path) -> dict[str, Any]:
    """A COCO annotation file.

    Raises:
        ImageError: it is missing or is not COCO JSON.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ImageError(
            f"Cannot read {path} ({type(error).__name__}): download COCO's annotations there."
        ) from None
    if not isinstance(data, dict) or "images" not in data or "annotations" not in data:
        raise ImageError(f"{path} is no COCO annotation file: it has no images or annotations.")
    for name in ("images", "annotations"):
        if not isinstance(data[name], list) or not all(isinstance(x, dict) for x in data[name]):
            raise ImageError(f"{path} is no COCO annotation file: {name} is no list of objects.")
    return data


@contextlib.contextmanager
def _speaking_of(what: str) -> Iterator[None]:
    """Errors inside are of that entry of an annotation file, in one sentence.

    Raises:
        ImageError: in place of what goes wrong where a key is missing or of another type.
    """
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{what}: {error}.".replace("..", ".")) from None
    except KeyError as error:
        raise ImageError(f"{what} has no {error}: it is not in COCO's form.") from None
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise ImageError(f"{what} is not in COCO's form ({shown(error)}).") from None


def _categories(path: Path, data: dict[str, Any]) -> dict[Any, dict[str, Any]]:
    """Categories by id; what says nothing of it is countable."""
    with _speaking_of(f"A category of {path}"):
        return {c["id"]: {"isthing": 1, "name": str(c["name"])} | c for c in data["categories"]}


def _category(categories: dict[Any, dict[str, Any]], number: Any) -> dict[str, Any]:
    if number not in categories:
        raise ImageError(f"category {number} is not among the file's categories")
    return categories[number]


def _key(kind: str, split: str, image_id: Any) -> str:
    return f"{kind}/{split}/{int(image_id):012d}"


def panoptic_records(root: str | Path, split: str = "train2017") -> list[Record]:
    """One record per image with panoptic segments; class names are its phrases.

    Keys that tools leave out have defaults: iscrowd 0, isthing 1, area that of the PNG.

    Raises:
        ImageError: a file is missing or an annotation is not in COCO's form.
    """
    root = Path(root)
    path = root / "annotations" / f"panoptic_{split}.json"
    data = read_json(path)
    categories = _categories(path, data)
    every = sorted(set(class_names(list(categories.values()))))
    captions = captions_by_image(root, split)
    with _speaking_of(f"An image of {path}"):
        names = {i["id"]: i["file_name"] for i in data["images"]}
    records = []
    for annotation in data["annotations"]:
        with _speaking_of(f"{path}: the annotation of image {annotation.get('image_id')}"):
            image_id = annotation["image_id"]
            if image_id not in names:
                raise ImageError("the file lists no such image")
            png = root / "annotations" / f"panoptic_{split}" / annotation["file_name"]
            labelled = [
                (s, _category(categories, s["category_id"])) for s in annotation["segments_info"]
            ]
            areas = _segment_areas([s for s, _ in labelled], png)
            kept = [
                (s, category) for (s, category), area in zip(labelled, areas, strict=True)
                if not s.get("iscrowd", 0) and area >= MIN_AREA_PX
            ]  # fmt: skip
            ids = tuple(int(s["id"]) for s, _ in kept)
            read = functools.partial(_read_panoptic, root / split / names[image_id], png, ids)
            instances = tuple(_instance(category) for _, category in kept)
            texts = captions.get(image_id, ())
            key = _key("coco_panoptic", split, image_id)
            record = _record(key, read, instances, texts, exhaustive=True)
            here = {clean_name(category["name"]) for _, category in labelled}
            absent = tuple(name for name in every if name not in here)
            records.append(dataclasses.replace(record, absent=absent, source_ids=ids))
    return records


def _segment_areas(segments: Sequence[dict[str, Any]], png: Path) -> list[int]:
    """Pixels of each segment, as the file says or, where it does not, as the PNG has them."""
    if all("area" in s for s in segments):
        return [int(s["area"]) for s in segments]
    ids, counts = np.unique(_segment_ids(png), return_counts=True)
    found = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    return [int(s["area"] if "area" in s else found.get(s["id"], 0)) for s in segments]


def instance_records(root: str | Path, split: str = "train2017") -> list[Record]:
    """One record per captioned image with instance masks: stuff is unlabelled there.

    Keys that tools leave out have defaults: iscrowd 0, area that of the mask, width and height those
    of the image. Annotations without a mask are left out.

    Raises:
        ImageError: a file is missing or an annotation is not in COCO's form.
    """
    root = Path(root)
    path = root / "annotations" / f"instances_{split}.json"
    data = read_json(path)
    categories = _categories(path, data)
    captions = captions_by_image(root, split)
    of_image: dict[Any, list[dict[str, Any]]] = {}
    for annotation in data["annotations"]:
        with _speaking_of(f"{path}: annotation {annotation.get('id')}"):
            of_image.setdefault(annotation["image_id"], []).append(annotation)
    records = []
    for image in data["images"]:
        with _speaking_of(f"{path}: image {image.get('id')}"):
            key = _key("coco_captions", split, image["id"])
            image_path = root / split / image["file_name"]
            size = _size(image, image_path)
        wanted: list[tuple[int, dict[str, Any], str]] = []
        for a in of_image.get(image["id"], ()):
            with _speaking_of(f"{path}: annotation {a.get('id')}"):
                category = _category(categories, a["category_id"])
                shape = usable_segmentation(a.get("segmentation"))
                if shape is not None and not a.get("iscrowd", 0) and _large_enough(a, shape, size):
                    wanted.append((a.get("id", 0), category, json_text(shape)))
        instances = tuple(_instance(category) for _, category, _ in wanted)
        shapes = tuple((number, shape) for number, _, shape in wanted)
        read = functools.partial(_read_instances, image_path, size, shapes)
        record = _record(key, read, instances, captions.get(image["id"], ()), exhaustive=False)
        records.append(dataclasses.replace(record, source_ids=tuple(n for n, *_ in wanted)))
    return records


def _size(image: dict[str, Any], path: Path) -> tuple[int, int]:
    """(height, width) that the masks are of: the file's own, or the image's where it has none."""
    height, width = image.get("height") or 0, image.get("width") or 0
    if height > 0 and width > 0:
        if max(height, width) > MAX_SIDE_PX:
            raise ImageError(f"it claims {width}x{height} pixels: no image has that size")
        return int(height), int(width)
    upright = read_image(path)
    return upright.shape[0], upright.shape[1]


def _large_enough(annotation: dict[str, Any], shape: Any, size: tuple[int, int]) -> bool:
    """Is the object large enough, as the file says or, where it does not, as its mask is?"""
    area = annotation.get("area")
    if area is None:
        area = int(decode_segmentation(shape, *size).sum())
    return area >= MIN_AREA_PX


def captions_by_image(root: Path, split: str) -> dict[int, tuple[str, ...]]:
    """Captions per image id; none where the file is missing."""
    path = root / "annotations" / f"captions_{split}.json"
    if not path.is_file():
        return {}
    table: dict[int, list[str]] = {}
    for annotation in read_json(path)["annotations"]:
        with _speaking_of(f"{path}: caption {annotation.get('id')}"):
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


def _segment_ids(png: Path) -> np.ndarray:
    """(H, W) int64 segment ids of a panoptic PNG."""
    color = read_image(png).astype(np.int64)
    return color[..., 0] + 256 * color[..., 1] + 256 * 256 * color[..., 2]


def _read_panoptic(
    image_path: Path, png: Path, ids: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    full = _segment_ids(png)
    image = read_as_labelled(image_path, *full.shape)
    numbers = np.zeros(full.shape, np.uint8)
    for k, segment in enumerate(ids[:MAX_INSTANCES]):
        numbers[full == segment] = k + 1
    return image, numbers


def _read_instances(
    image_path: Path, size: tuple[int, int], shapes: tuple[tuple[int, str], ...]
) -> tuple[np.ndarray, np.ndarray]:
    image = read_as_labelled(image_path, *size)
    masks = []
    for number, shape in shapes[:MAX_INSTANCES]:
        with _speaking_of(f"{image_path.name}, annotation {number}"):
            masks.append(decode_segmentation(json.loads(shape), *size))
    numbers = np.zeros(size, np.uint8)
    # Small instances on top of large ones, where masks overlap.
    for k in sorted(range(len(masks)), key=lambda k: -int(masks[k].sum())):
        numbers[masks[k]] = k + 1
    return image, numbers
