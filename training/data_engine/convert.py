"""Other labels as COCO panoptic, so that engine, suites and training read one form.

    ROOT/<split>/...                          links to the images
    ROOT/annotations/panoptic_<split>.json    classes, segments
    ROOT/annotations/panoptic_<split>/*.png   segment ids
    ROOT/annotations/captions_<split>.json    captions, where there are any

Takes photographs (`training.data.formats.photos`), rendered scenes and COCO instances. Only masks go
over: boxes and names of whole images say of no pixel what it is. A region for all things of a class is
marked "merged". Unlabelled pixels stay 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.errors import FindError
from find_core.support.files import replace_file, write_text
from find_core.support.json_text import json_text
from training.data.formats import coco, photos, tabletop
from training.data.formats.records import IGNORED, LabelKind, Record
from training.data_engine.images import extents
from training.engine.spread import HERE, Spread, each_done, open_workers

MOST_ID = 1 << 24
"""A PNG's three bytes."""
Progress = Callable[[int, int], None]


def photographs(root: Path, sets: Sequence[str], split: str) -> list[tuple[Record, Path]]:
    """Photographs with masks, of the held-out tenth ("val...") or of the others."""
    found = photos.read_photos(root, sets or None)
    held = split.startswith("val")
    return [(p.record, _image_of(p.record)) for p in found if p.held_out == held and _has_masks(p.record)]  # fmt: skip


def scenes(root: Path, split: str) -> list[tuple[Record, Path]]:
    """Rendered scenes of ROOT/<split>."""
    rows = tabletop.read_split(root, split)
    return [(tabletop.record_of(s), Path(s["folder"]) / f"{s['index']:06d}.jpg") for s in rows]


def instances(root: Path, split: str) -> list[tuple[Record, Path]]:
    """COCO instances with captions; where masks overlap the smaller is on top."""
    return [(r, _image_of(r)) for r in coco.instance_records(root, split) if r.instances]


def _image_of(record: Record) -> Path:
    read = record.read
    assert isinstance(read, functools.partial), "records of files read them by a partial"
    return Path(read.args[0])


def _has_masks(record: Record) -> bool:
    return any(i.label_kind is not LabelKind.BOX for i in record.instances)


def convert(
    members: Sequence[tuple[Record, Path]], out: Path, split: str, spread: Spread = HERE,
    progress: Progress = lambda done, total: None,
) -> int:  # fmt: skip
    """Write the folder; gives the number of images. Image ids count from 1 in the order given.

    Raises:
        FindError: nothing to write, or the folder has that split already.
    """
    path = out / "annotations" / f"panoptic_{split}.json"
    if path.exists():
        raise FindError(f"{path} is there already: give another --out or --split.")
    if not members:
        raise FindError(
            "No images with masks were found: check the folder, its split and its sets."
        )
    names = {i.name: not i.stuff for r, _ in members for i in r.instances}
    categories = [{"id": k, "name": n, "isthing": int(names[n])} for k, n in enumerate(sorted(names), 1)]  # fmt: skip
    ids = {c["name"]: c["id"] for c in categories}
    pngs = out / "annotations" / f"panoptic_{split}"
    pngs.mkdir(parents=True, exist_ok=True)
    (out / split).mkdir(parents=True, exist_ok=True)
    tasks = [(n, r, p) for n, (r, p) in enumerate(members, 1)]
    rows: dict[int, Any] = {}
    make = functools.partial(functools.partial, _convert_one, out / split, pngs, ids)
    with open_workers(make, spread) as workers:
        for place, row in each_done(workers, tasks, progress):
            rows[place] = row
    made = [rows[k] for k in sorted(rows)]
    _write_captions(out / "annotations" / f"captions_{split}.json", members, made)
    data = {"images": [m[0] for m in made], "annotations": [m[1] for m in made], "categories": categories}  # fmt: skip
    write_text(path, json_text(data))
    return len(made)


def _convert_one(
    images: Path, pngs: Path, categories: dict[str, int], number: int, record: Record, source: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """COCO's entries of an image and of its annotation; writes the PNG and links the image."""
    _, numbers = record.read()
    segment_ids = _ids_of(record)
    table = np.zeros(256, np.int64)
    table[1 : len(segment_ids) + 1] = segment_ids
    table[IGNORED] = 0
    labels = table[numbers]
    measured = extents(labels)
    segments = []
    for segment, instance in zip(segment_ids, record.instances, strict=True):
        if segment in measured:
            area, (x1, y1, x2, y2) = measured[segment]
            entry = {"id": segment, "category_id": categories[instance.name], "iscrowd": 0,
                     "area": area, "bbox": [x1, y1, x2 - x1, y2 - y1]}  # fmt: skip
            merged = instance.label_kind is LabelKind.MERGED
            segments.append({**entry, "merged": True} if merged else entry)
    name = f"{number:06d}_{source.stem}"
    colors = np.stack([labels // 65536, labels // 256 % 256, labels % 256], -1).astype(np.uint8)
    replace_file(pngs / f"{name}.png", lambda file: cv2.imwrite(str(file), colors))
    link = images / f"{name}{source.suffix}"
    if not link.exists():
        link.symlink_to(source.resolve())
    height, width = labels.shape
    image = {"id": number, "file_name": link.name, "height": height, "width": width, "key": record.key}  # fmt: skip
    return image, {"image_id": number, "file_name": f"{name}.png", "segments_info": segments}


def _ids_of(record: Record) -> list[int]:
    """Numbers of the segments: those of the data set where they fit, else 1, 2, ... Boxes have 0."""
    own = record.source_ids
    fits = len(own) == len(record.instances) and len(set(own)) == len(own)
    fits = fits and all(0 < n < MOST_ID for n in own)
    numbers = own if fits else range(1, len(record.instances) + 1)
    boxes = [i.label_kind is LabelKind.BOX for i in record.instances]
    return [0 if box else int(n) for n, box in zip(numbers, boxes, strict=True)]


def _write_captions(
    path: Path, members: Iterable[tuple[Record, Path]], made: Sequence[Any]
) -> None:
    entries = [
        {"id": 0, "image_id": image["id"], "caption": text}
        for (record, _), (image, _) in zip(members, made, strict=True) for text in record.captions
    ]  # fmt: skip
    if entries:
        for k, entry in enumerate(entries, 1):
            entry["id"] = k
        images = [image for image, _ in made]
        write_text(path, json_text({"images": images, "annotations": entries}))
