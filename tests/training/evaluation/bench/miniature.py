"""Miniature data sets in the published forms: coloured rectangles, files as COCO and others have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HEIGHT, WIDTH = 48, 64
CATEGORIES = [
    {"id": 1, "name": "person", "isthing": 1, "supercategory": "person"},
    {"id": 47, "name": "cup", "isthing": 1, "supercategory": "kitchen"},
    {"id": 193, "name": "grass-merged", "isthing": 0, "supercategory": "plant"},
    {"id": 187, "name": "sky-other-merged", "isthing": 0, "supercategory": "sky"},
]
COLORS = {1: (200, 60, 60), 47: (60, 60, 200), 193: (60, 160, 60), 187: (150, 200, 240)}


def layout(n: int) -> list[tuple[int, tuple[int, int, int, int], bool]]:
    """(category, box x1 y1 x2 y2, crowd) of image n, later ones on top."""
    shift = 3 * (n % 5)
    boxes = [(187, (0, 0, WIDTH, 20), False), (193, (0, 20, WIDTH, HEIGHT), False),
             (1, (4 + shift, 8, 20 + shift, 40), False)]  # fmt: skip
    if n % 2 == 0:
        boxes.append((47, (44, 24, 58, 40), False))
    if n == 3:
        boxes.append((1, (44, 24, 60, 44), True))
    return boxes


def image_of(n: int) -> tuple[np.ndarray, np.ndarray, list[dict[str, Any]]]:
    """RGB image, segment ids, segments of image n."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    ids = np.zeros((HEIGHT, WIDTH), np.int64)
    segments = []
    for k, (category, (x1, y1, x2, y2), crowd) in enumerate(layout(n)):
        number = 1000 * (n + 1) + 7 * k
        image[y1:y2, x1:x2] = np.array(COLORS[category]) - 3 * n
        ids[y1:y2, x1:x2] = number
        segments.append({"id": number, "category_id": category, "iscrowd": int(crowd)})
    ids[:2, :2] = 0
    for s in segments:
        s["area"] = int((ids == s["id"]).sum())
    return image, ids, segments


def write_panoptic(root: Path, split: str, numbers: range) -> Path:
    """ROOT/annotations/panoptic_<split>.json, its PNGs, and the images."""
    folder = root / "annotations" / f"panoptic_{split}"
    folder.mkdir(parents=True, exist_ok=True)
    (root / split).mkdir(exist_ok=True)
    images, annotations = [], []
    for n in numbers:
        image, ids, segments = image_of(n)
        name = f"{n + 1:012d}"
        cv2.imwrite(str(root / split / f"{name}.png"), image[..., ::-1])
        png = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
        cv2.imwrite(str(folder / f"{name}.png"), png[..., ::-1])
        images.append({"id": n + 1, "file_name": f"{name}.png", "height": HEIGHT, "width": WIDTH})
        annotations.append(
            {"image_id": n + 1, "file_name": f"{name}.png", "segments_info": segments}
        )
    data = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    (root / "annotations" / f"panoptic_{split}.json").write_text(json.dumps(data))
    return root


def write_entities(root: Path, numbers: range, name: str = "entity_val2017.json") -> Path:
    """FIND-Bench: a sentence about person and grass of each image; offsets given that are wrong."""
    images, annotations = [], []
    for n in numbers:
        person, grass = 1000 * (n + 1) + 14, 1000 * (n + 1) + 7
        images.append({"id": n + 1, "file_name": f"{n + 1:012d}.png"})
        annotations.append({
            "image_id": n + 1, "sentence": "A person stands on the grass.",
            "sentence_raw": f"[{person}]<A person> stands on [{grass}]<the grass>.",
            "phrase": [
                {"annotation_id": str(person), "phrase": "A person", "start_idx": 9, "_start_idx": 8, "end_idx": 17},
                {"annotation_id": str(grass), "phrase": "the grass", "start_idx": 1, "_start_idx": 0, "end_idx": 5},
            ],
        })  # fmt: skip
    path = root / "annotations" / name
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def write_captions(root: Path, split: str, numbers: range, karpathy: bool = False) -> None:
    """COCO captions, or Karpathy's one file of all splits; two texts an image."""
    texts = [[f"a person at {3 * (n % 5)}", f"number {n}"] for n in numbers]
    if karpathy:
        images = [
            {"filepath": split, "filename": f"{n + 1:012d}.png", "cocoid": n + 1, "imgid": n,
             "split": "test" if n % 2 else "restval", "sentences": [{"raw": t, "imgid": n} for t in both]}
            for n, both in zip(numbers, texts, strict=True)
        ]  # fmt: skip
        (root / "dataset_coco.json").write_text(json.dumps({"images": images, "dataset": "coco"}))
        return
    images = [{"id": n + 1, "file_name": f"{n + 1:012d}.png"} for n in numbers]
    captions = [{"id": 10 * n + k, "image_id": n + 1, "caption": t}
                for n, both in zip(numbers, texts, strict=True) for k, t in enumerate(both)]  # fmt: skip
    path = root / "annotations" / f"captions_{split}.json"
    path.write_text(json.dumps({"images": images, "annotations": captions}))


def write_referring(root: Path, numbers: range) -> None:
    """RefCOCO: refs.json and instances.json; person and, where there is one, cup."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    images, annotations, refs = [], [], []
    for n in numbers:
        image, _, _ = image_of(n)
        name = f"COCO_train2014_{n + 1:012d}.png"
        cv2.imwrite(str(root / "images" / name), image[..., ::-1])
        images.append({"id": n + 1, "file_name": name, "height": HEIGHT, "width": WIDTH})
        for category, (x1, y1, x2, y2), crowd in layout(n)[2:]:
            if crowd:
                continue
            number = 100 * (n + 1) + category
            polygon = [x1, y1, x2 - 1, y1, x2 - 1, y2 - 1, x1, y2 - 1]
            annotations.append({"id": number, "image_id": n + 1, "category_id": category, "iscrowd": 0,
                                "segmentation": [polygon], "bbox": [x1, y1, x2 - x1, y2 - y1]})  # fmt: skip
            refs.append({
                "ref_id": number, "ann_id": number, "image_id": n + 1, "category_id": category,
                "split": "val" if n < 3 else "testA", "sent_ids": [1, 2],
                "sentences": [{"sent": "left one", "raw": "Left one", "sent_id": 1, "tokens": ["left"]},
                              {"sent": "the other words", "sent_id": 2}],
            })  # fmt: skip
    (root / "instances.json").write_text(json.dumps(
        {"images": images, "annotations": annotations, "categories": CATEGORIES[:2]}))  # fmt: skip
    (root / "refs.json").write_text(json.dumps(refs))


def voc_palette() -> np.ndarray:
    """(256, 3) uint8 RGB, as VOC's development kit makes it."""
    palette = np.zeros((256, 3), np.uint8)
    for index in range(256):
        rest = index
        for level in range(8):
            for k in range(3):
                palette[index, k] |= (rest >> k & 1) << (7 - level)
            rest >>= 3
    return palette


def write_voc(root: Path) -> Path:
    """Two images; the first has three objects and a band, masks are palette PNGs."""
    from PIL import Image

    for folder in ("JPEGImages", "SegmentationObject", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for name, boxes in (("2007_1", [(2, 2, 12, 20), (20, 4, 40, 30), (44, 8, 60, 40)]), ("2007_2", [(8, 8, 40, 40)])):  # fmt: skip
        labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        for k, (x1, y1, x2, y2) in enumerate(boxes, 1):
            labels[y1:y2, x1:x2] = 255
            labels[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1] = k
            image[y1:y2, x1:x2] = 60 * k
        Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg")
        mask = Image.fromarray(labels, "P")
        mask.putpalette(voc_palette().ravel().tolist())
        mask.save(root / "SegmentationObject" / f"{name}.png")
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("2007_1\n2007_2\n")
    return root
