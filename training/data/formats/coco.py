"""COCO as records: panoptic segments, captions, instances (published layout).

ROOT/annotations/panoptic_<split>.json, ROOT/annotations/panoptic_<split>/*.png, ROOT/<split>/*.jpg
ROOT/annotations/captions_<split>.json, ROOT/annotations/instances_<split>.json
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.errors import FindError, ImageError
from find_core.images import measure_image, read_bytes, read_image, read_image_of_size
from find_core.masks import rle_to_mask
from find_core.printable import quoted, shown
from training.data.formats.records import InstanceLabel, PhraseLabel, Record, SentenceLabel

MIN_AREA_PX = 200
MAX_COORDINATE_PX = 1e6  # of a polygon: farther is no place in any picture


def clean_name(name: str) -> str:
    """COCO panoptic class names as people say them (docs/spec.md 2.8)."""
    return re.sub(r"-(other|merged|stuff)", "", name)


def read_json(path: Path) -> dict[str, Any]:
    """A COCO annotation file, its optional keys filled in.

    Annotations get `iscrowd` (0), categories `isthing` (1).

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
    data["images"] = _entries(data["images"], ("id", "file_name"), path, "images")
    data["annotations"] = _entries(data["annotations"], ("image_id",), path, "annotations")
    categories = _entries(data.get("categories", []), ("id", "name"), path, "categories")
    data["categories"] = [{"isthing": 1, **category} for category in categories]
    return data


def _entries(given: Any, keys: tuple[str, ...], path: Path, name: str) -> list[dict[str, Any]]:
    if not isinstance(given, list):
        raise ImageError(f"{path}: {name!r} is no list.")
    for number, entry in enumerate(given):
        missing = [k for k in keys if not isinstance(entry, dict) or k not in entry]
        if missing or not all(isinstance(entry[k], str | int) for k in keys):
            raise ImageError(f"{path}: {name}[{number}] has no usable {(missing or keys)[0]!r}.")
    return given


def panoptic_records(root: str | Path, split: str = "train2017") -> list[Record]:
    """One record per picture with panoptic segments; class names are its phrases.

    Raises:
        ImageError: an annotation contradicts its file; says which.
    """
    root = Path(root)
    data = read_json(root / "annotations" / f"panoptic_{split}.json")
    categories = {c["id"]: c for c in data["categories"]}
    names = {i["id"]: i["file_name"] for i in data["images"]}
    captions = captions_by_image(root, split)
    every = sorted(set(class_names(data["categories"])))
    records = []
    for annotation in data["annotations"]:
        image_id = annotation["image_id"]
        if image_id not in names:
            continue  # of a picture that is not in this file
        what = f"annotation of image {shown(image_id)}"
        segments = _segments(annotation, categories, what)
        large = [s for s in segments if not s.get("iscrowd") and s["area"] >= MIN_AREA_PX]
        picture = root / split / names[image_id]
        png = root / "annotations" / f"panoptic_{split}" / annotation["file_name"]
        instances = tuple(_instance(categories[s["category_id"]]) for s in large)
        ids = tuple(s["id"] for s in large)
        read = functools.partial(_read_panoptic, picture, png, ids)
        texts = captions.get(image_id, ())
        record = _record(
            _key("coco_panoptic", split, image_id), read, instances, texts, exhaustive=True
        )
        labelled = {clean_name(categories[s["category_id"]]["name"]) for s in segments}
        absent = tuple(name for name in every if name not in labelled)
        records.append(dataclasses.replace(record, absent=absent, source_ids=ids))
    return records


def _segments(
    annotation: dict[str, Any], categories: dict[Any, dict[str, Any]], what: str
) -> list[dict[str, Any]]:
    """The segments of one panoptic annotation; one without an area counts as large enough."""
    given = annotation.get("segments_info")
    if not isinstance(given, list) or not isinstance(annotation.get("file_name"), str):
        raise ImageError(f"{what} has no list of segments or no file name.")
    out = []
    for segment in given:
        if not isinstance(segment, dict) or not isinstance(segment.get("id"), int):
            raise ImageError(f"{what} has a segment without an id.")
        if segment.get("category_id") not in categories:
            raise ImageError(
                f"{what} has a segment of the category {quoted(segment.get('category_id'))}, which the "
                "file does not name."
            )
        area = segment.get("area")
        out.append({**segment, "area": area if _is_number(area) else MIN_AREA_PX})
    return out


def instance_records(root: str | Path, split: str = "train2017") -> list[Record]:
    """One record per captioned picture with instance masks: stuff is unlabelled there.

    Instances without a mask (null, [], fewer than three points) are left out.

    Raises:
        ImageError: an annotation contradicts its file; says which.
    """
    root = Path(root)
    data = read_json(root / "annotations" / f"instances_{split}.json")
    categories = {c["id"]: c | {"isthing": 1} for c in data["categories"]}
    captions = captions_by_image(root, split)
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for annotation in data["annotations"]:
        if not annotation.get("iscrowd") and has_mask(annotation.get("segmentation")):
            by_image.setdefault(annotation["image_id"], []).append(annotation)
    records = []
    for image in {i["id"]: i for i in data["images"]}.values():
        picture = root / split / image["file_name"]
        size = _size(image, picture)
        wanted = [a for a in by_image.get(image["id"], []) if _area(a, size) >= MIN_AREA_PX]
        for a in wanted:
            if a.get("category_id") not in categories:
                raise ImageError(
                    f"annotation {shown(a.get('id'))} has the category {quoted(a.get('category_id'))}, "
                    "which the file does not name."
                )
        instances = tuple(_instance(categories[a["category_id"]]) for a in wanted)
        shapes = tuple((a.get("id"), json.dumps(a["segmentation"])) for a in wanted)
        read = functools.partial(_read_instances, picture, size, shapes)
        texts = captions.get(image["id"], ())
        record = _record(
            _key("coco_captions", split, image["id"]), read, instances, texts, exhaustive=False
        )
        source_ids = tuple(a.get("id", n) for n, a in enumerate(wanted))
        records.append(dataclasses.replace(record, source_ids=source_ids))
    return records


def _key(kind: str, split: str, image_id: int | str) -> str:
    return (
        f"{kind}/{split}/{image_id:012d}"
        if isinstance(image_id, int)
        else (f"{kind}/{split}/{image_id}")
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _size(image: dict[str, Any], picture: Path) -> tuple[int, int]:
    """(H, W) of the annotations: as the file says, else the stored picture's."""
    size = image.get("height"), image.get("width")
    if all(isinstance(s, int) and s > 0 for s in size):
        return size  # type: ignore[return-value]
    try:
        header = measure_image(read_bytes(picture), shown(picture, 200))
    except ImageError:  # it will be said when the picture is read
        return 1, 1
    return header.height, header.width


def _area(annotation: dict[str, Any], size: tuple[int, int]) -> float:
    """Pixels of an instance: as the file says, else counted."""
    if _is_number(annotation.get("area")):
        return float(annotation["area"])
    return float(decode_annotation(annotation, *size).sum())


def captions_by_image(root: Path, split: str) -> dict[int, tuple[str, ...]]:
    """Captions per image id; none where the file is missing."""
    path = root / "annotations" / f"captions_{split}.json"
    if not path.is_file():
        return {}
    table: dict[int, list[str]] = {}
    for annotation in read_json(path)["annotations"]:
        if isinstance(annotation.get("caption"), str):
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


def _read_panoptic(picture: Path, png: Path, ids: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    color = read_image(png, upright=False).astype(np.int64)
    full = color[..., 0] + 256 * color[..., 1] + 256 * 256 * color[..., 2]
    image = read_image_of_size(picture, full.shape, "its annotations are")
    numbers = np.zeros(full.shape, np.uint8)
    for k, segment in enumerate(ids[:254]):
        numbers[full == segment] = k + 1
    return image, numbers


def _read_instances(
    picture: Path, size: tuple[int, int], shapes: tuple[tuple[Any, str], ...]
) -> tuple[np.ndarray, np.ndarray]:
    image = read_image_of_size(picture, size, "its annotations are")
    masks = [
        decode_annotation({"id": key, "segmentation": json.loads(shape)}, *size)
        for key, shape in shapes[:254]
    ]
    numbers = np.zeros(size, np.uint8)
    # Small instances on top of large ones, where masks overlap.
    for k in sorted(range(len(masks)), key=lambda k: -int(masks[k].sum())):
        numbers[masks[k]] = k + 1
    return image, numbers


def has_mask(segmentation: Any) -> bool:
    """Whether there is anything to decode: many files list instances as boxes alone."""
    if isinstance(segmentation, dict):
        return True
    polygons = _polygons(segmentation) if isinstance(segmentation, list) else []
    return any(
        sum(len(v) if isinstance(v, list) else 1 for v in p) >= 6
        for p in polygons
        if isinstance(p, list)
    )


def decode_annotation(annotation: dict[str, Any], height: int, width: int) -> np.ndarray:
    """`decode_segmentation` of an annotation, which errors name.

    Raises:
        ImageError: with the annotation's id.
    """
    try:
        return decode_segmentation(annotation["segmentation"], height, width)
    except FindError as error:
        raise ImageError(f"annotation {shown(annotation.get('id'))}: {error}") from None


def decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
    """(H, W) bool mask of COCO polygons, uncompressed or compressed RLE.

    Raises:
        FindError: it is none of these, or of another size.
    """
    if not isinstance(segmentation, list):
        return rle_to_mask(segmentation, (height, width))
    canvas = np.zeros((height, width), np.uint8)
    for polygon in _polygons(segmentation):
        try:
            points = np.asarray(polygon, np.float64).reshape(-1, 2)
        except (ValueError, TypeError, OverflowError):
            raise ImageError(f"A polygon is pairs x, y, got {quoted(polygon)}.") from None
        if len(points) < 3:
            continue
        if not np.isfinite(points).all() or np.abs(points).max() > MAX_COORDINATE_PX:
            raise ImageError(f"A polygon's numbers are no pixels: {quoted(polygon)}.")
        cv2.fillPoly(canvas, [np.round(points).astype(np.int32)], [1])
    return canvas.astype(bool)


def _polygons(segmentation: list[Any]) -> list[Any]:
    """A list of polygons; some tools write the only one without a list around it."""
    flat = segmentation and not isinstance(segmentation[0], list)
    return [segmentation] if flat else segmentation
