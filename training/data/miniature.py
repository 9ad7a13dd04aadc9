"""A miniature COCO for dry runs: coloured shapes, in the published forms of all files a recipe reads.

    ROOT/<split>/*.png, ROOT/annotations/panoptic_<split>.json and its PNGs, instances_<split>.json,
    captions_<split>.json, ROOT/refs/{refs,instances}.json (RefCOCO), ROOT/dataset_coco.json (Karpathy)

FIND-Bench's entity file is the data engine's work (`python -m training.data_engine sentences`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.support.files import write_text
from find_core.support.json_text import json_text

HEIGHT, WIDTH = 96, 128
THINGS = {"cup": (47, (200, 60, 60)), "bowl": (51, (60, 60, 200)), "book": (84, (210, 180, 60))}
SURFACES = {"wall-other-merged": (199, (190, 190, 170)), "floor-other-merged": (190, (120, 90, 70))}
CATEGORIES = [
    *({"id": n, "name": name, "isthing": 1, "supercategory": "object"} for name, (n, _) in THINGS.items()),
    *({"id": n, "name": name, "isthing": 0, "supercategory": "surface"} for name, (n, _) in SURFACES.items()),
]  # fmt: skip


def write_coco(root: Path, split: str, count: int, seed: int = 0) -> Path:
    """Write one split; gives ROOT. Each image has a wall, a floor, and two different things."""
    folder = root / "annotations" / f"panoptic_{split}"
    folder.mkdir(parents=True, exist_ok=True)
    (root / split).mkdir(parents=True, exist_ok=True)
    rows = [_image(root, split, n, np.random.default_rng((seed, n))) for n in range(1, count + 1)]
    images = [r["image"] for r in rows]
    captions = [{"id": 2 * n + k, "image_id": n, "caption": text}
                for n, r in enumerate(rows, 1) for k, text in enumerate(r["captions"])]  # fmt: skip
    instances = [a for r in rows for a in r["instances"]]
    _write(root / "annotations" / f"panoptic_{split}.json", images, [r["panoptic"] for r in rows])
    _write(root / "annotations" / f"captions_{split}.json", images, captions)
    _write(root / "annotations" / f"instances_{split}.json", images, instances)
    _write(root / "refs" / "instances.json", images, instances)
    write_text(root / "refs" / "refs.json", json_text([s for r in rows for s in r["refs"]]))
    karpathy = [{"cocoid": 10**6 + n, "split": "test", "sentences": [{"raw": "a thing"}]} for n in range(2)]  # fmt: skip
    write_text(root / "dataset_coco.json", json_text({"images": karpathy, "dataset": "coco"}))
    return root


def _image(root: Path, split: str, number: int, rng: np.random.Generator) -> Mapping[str, Any]:
    """Writes the image and its labels; gives its entries in every file."""
    name = f"{number:012d}.png"
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.int64)
    ids = np.zeros((HEIGHT, WIDTH), np.int64)
    horizon = int(rng.integers(30, 50))
    chosen = [str(x) for x in rng.permutation(list(THINGS))[:2]]
    boxes = {
        "wall-other-merged": (0, 0, WIDTH, horizon), "floor-other-merged": (0, horizon, WIDTH, HEIGHT),
        **{x: _box(k, rng) for k, x in enumerate(chosen)},
    }  # fmt: skip
    segments, instances, refs = [], [], []
    for k, (kind, (x1, y1, x2, y2)) in enumerate(boxes.items()):
        category, color = (THINGS | SURFACES)[kind]
        number_of = 1000 * number + k + 1
        pixels[y1:y2, x1:x2] = color
        ids[y1:y2, x1:x2] = number_of
        box = [x1, y1, x2 - x1, y2 - y1]
        entry = {"id": number_of, "category_id": category, "iscrowd": 0, "bbox": box}
        segments.append(entry)
        if kind in THINGS:
            polygon = [x1, y1, x2, y1, x2, y2, x1, y2]
            instances.append({**entry, "image_id": number, "segmentation": [polygon], "area": box[2] * box[3]})  # fmt: skip
            side = "left" if k == 2 else "right"
            refs.append({"ref_id": number_of, "ann_id": number_of, "image_id": number, "split": "train",
                         "sentences": [{"sent": f"the {kind} on the {side}"}]})  # fmt: skip
    for s in segments:
        s["area"] = int((ids == s["id"]).sum())
    pixels += rng.integers(-12, 13, pixels.shape)
    cv2.imwrite(str(root / split / name), np.clip(pixels, 0, 255).astype(np.uint8)[..., ::-1])
    png = np.stack([ids // 65536, ids // 256 % 256, ids % 256], -1).astype(np.uint8)
    cv2.imwrite(str(root / "annotations" / f"panoptic_{split}" / name), png)
    return {
        "image": {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH},
        "panoptic": {"image_id": number, "file_name": name, "segments_info": segments},
        "instances": instances, "refs": refs,
        "captions": [f"A {chosen[0]} next to a {chosen[1]} on the floor.", f"a {chosen[1]} and a {chosen[0]}"],
    }  # fmt: skip


def _box(side: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A box in the left (0) or right (1) half, in pixel edges."""
    width, height = (int(v) for v in rng.integers(20, 40, 2))
    x1 = int(rng.integers(4, 20)) + side * WIDTH // 2
    y1 = int(rng.integers(20, HEIGHT - height))
    return x1, y1, x1 + width, y1 + height


def _write(path: Path, images: Any, annotations: Any) -> None:
    data = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    write_text(path, json_text(data))
