"""Miniature photograph sets for tests, one of every kind of label, with shapes of the test world."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from tests.training.worlds import COLORS, HEIGHT, WIDTH
from training.data.formats.photos import is_for_calibration, is_held_out

CLASSES = {"dog": 1, "cat": 1, "car": 1, "hammer": 1}
SETS = {
    "coco_panoptic": {"exhaustive": True, "stuff": True, "instances": True},
    "coco_things": {"exhaustive": True, "stuff": False, "instances": True},
    "voc_animals": {"exhaustive": True, "stuff": False, "instances": False},
    "epicure": {"exhaustive": False, "stuff": False, "instances": True},
    "tools": {"exhaustive": False, "stuff": False, "instances": True},
    "grocery_store_labels": {"exhaustive": False, "stuff": False, "instances": True},
}
LOOKS = dict(zip(CLASSES, COLORS.values(), strict=True))


def write_photos(
    root: Path, count: int = 3, held_out: int = 1, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> Path:
    """`count` training images of every set, and some of the held-out tenth."""
    rows = []
    for n, name in enumerate(SETS):
        names = _file_names(name, count, False) + _file_names(name, held_out, True)
        rows += [
            _photo(root, name, f, np.random.default_rng((n, k)), size) for k, f in enumerate(names)
        ]
    (root / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    sets = [{"set": name, "classes": CLASSES, "licence": "x", "source": "x",
             "may_feed_shipped_weights": True, **what} for name, what in SETS.items()]  # fmt: skip
    (root / "sets.json").write_text(json.dumps(sets))
    return root


def _file_names(set_name: str, count: int, held_out: bool) -> list[str]:
    names = (f"{set_name}_{k}.png" for k in range(10_000))
    fit = (n for n in names if is_held_out(n) == held_out and not is_for_calibration(n))
    return list(islice(fit, count))


def _photo(
    root: Path, set_name: str, file_name: str, rng: np.random.Generator, size: tuple[int, int]
) -> dict:
    height, width = size
    image = np.full((height, width, 3), 120, np.uint8)
    image += rng.integers(0, 12, image.shape, dtype=np.uint8)
    ids = np.full((height, width), 99 if set_name == "coco_panoptic" else 0, np.uint8)
    segments, boxes = [], []
    picked = [str(c) for c in rng.choice(list(CLASSES), 2, replace=False)]
    for n, name in enumerate(picked):
        x, y = width // 4 + n * width // 2, int(rng.integers(height // 3, 2 * height // 3))
        canvas = np.zeros((height, width), np.uint8)
        cv2.circle(canvas, (x, y), height // 6, 1, -1)
        image[canvas > 0], ids[canvas > 0] = LOOKS[name], n + 1
        r = height // 6
        box = [x - r, y - r, x + r + 1, y + r + 1]
        segments.append({"id": n + 1, "name": name, "thing": True, "box_xyxy": box})
        boxes.append({"name": name, "box_xyxy": box})
    if set_name == "coco_panoptic":
        segments.append({"id": 99, "name": "grass", "thing": False, "box_xyxy": [0, 0, 1, 1]})
    row = {"image": f"images/{set_name}/{file_name}", "set": set_name, "size": [width, height]}
    path = root / row["image"]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1])
    if set_name == "grocery_store_labels":
        return row | {"image_label": picked[0], "image_label_coarse": picked[0]}
    if set_name == "epicure":
        return row | {"boxes": boxes}
    mask = root / "masks" / set_name / file_name
    mask.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(mask), ids)
    if set_name == "coco_things":
        row["captions"] = [f"A {picked[0]} and a red {picked[1]} on a lawn."]
    return row | {"segments": segments, "mask": str(mask.relative_to(root))}
