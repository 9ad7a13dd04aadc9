"""Real images, on which nothing is tuned: COCO val segmentation and clicks, caption retrieval.

Floors are computed here on the same images, from the same frozen encoders: a linear probe on
COCO's classes and a closed-form ridge from pooled vision to pooled text features.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from find_core.images import read_image
from find_core.predictor import Find
from find_core.preprocess import Geometry, plan, prepare
from find_core.prompts.prompt import Prompt, Reference
from find_core.prompts.region import Region
from find_core.scene import Scene
from training.data.formats import coco
from training.data.formats.records import Record
from training.data.queries.strokes import click
from training.evaluation.metrics import IoUMeter, ScoreSeries
from training.evaluation.photos_suite import seen_images
from training.evaluation.segmentation import AveragePrecisionMeter, PanopticMeter

Progress = Callable[[int, int], None]
MIN_AREA_SHARE = 0.005


def run_real(find: Find, root: str | Path, limit: int | None, progress: Progress) -> dict[str, Any]:
    """Everything that the folder holds; a missing set is left out.

    `coco_val_unseen` is of those images alone that the packaged default was not trained on.
    """
    root, metrics = Path(root), {}
    panoptic = root / "coco_panoptic_mini"
    if panoptic.is_dir():
        val = coco.panoptic_records(panoptic, "val2017")[:limit]
        train = coco.panoptic_records(panoptic, "train2017")[:limit]
        data = coco.read_json(panoptic / "annotations" / "panoptic_val2017.json")
        metrics["coco_val"] = segmentation(find, val, data["categories"], progress)
        metrics["coco_val"]["linear_probe"] = linear_probe(find, train, val)
        unseen = [r for r in val if f"{r.key.split('/')[-1]}.jpg" not in seen_images()]
        if unseen and len(unseen) < len(val):
            clean = segmentation(find, unseen, data["categories"], progress)
            metrics["coco_val_unseen"] = {"images": len(unseen), **clean}
    captions = root / "flickr_captions_mini"
    if captions.is_dir():
        seen = root / "coco_captions_mini"
        photographs = coco.instance_records(seen)[:limit] if seen.is_dir() else []
        metrics["flickr_captions"] = caption_retrieval(find, captions, limit, photographs)
    return metrics


LabelledImages = Sequence[tuple[Record, np.ndarray, np.ndarray]]
"""(record, (H, W, 3) uint8 RGB, (H, W) uint8 instance numbers) of each image."""


def segmentation(
    find: Find, records: Sequence[Record], categories: Sequence[dict[str, Any]], progress: Progress
) -> dict[str, Any]:
    """Segmentation over all classes: semantic mIoU and pixel accuracy, panoptic quality, mask AP of
    countable objects; one click; references between images.

    Labelled are the segments of `coco.panoptic_records`: crowds and segments below its least area
    are void.
    """
    names = coco.class_names(list(categories))
    stuff = [coco.clean_name(c["name"]) for c in categories if not c.get("isthing", 1)]
    column = {name: k for k, name in enumerate(names)}
    confusion = np.zeros((len(names), len(names)), np.int64)
    panoptic = PanopticMeter(len(names), [column[name] for name in stuff])
    precision = AveragePrecisionMeter()
    clicks, references = IoUMeter(), IoUMeter()
    images = [(r, *r.read()) for r in records]
    for n, (record, image, numbers) in enumerate(images):
        scene = find.encode(image)
        found = scene.segment(names, "semantic", stuff=stuff).class_map
        add_confusion(confusion, record, numbers, found, names)
        classes = [column[i.name] for i in record.instances]
        panoptic.add(scene.segment(names, "panoptic", stuff=stuff), numbers, classes)
        countable = [k for k, i in enumerate(record.instances) if not i.stuff]
        masks = [numbers == k + 1 for k in countable]
        objects = scene.segment(names, "instance", stuff=stuff)
        precision.add(objects, masks, [classes[k] for k in countable])
        measure_objects(scene, record, numbers, images, clicks, references)
        progress(n + 1, len(records))
    metrics: dict[str, Any] = semantic_metrics(confusion)
    metrics |= panoptic.metrics() | precision.metrics()
    metrics["one_click_miou"] = clicks.chosen.summary()
    metrics["reference_same_class_miou"] = references.chosen.summary()
    return metrics


def measure_objects(
    scene: Scene, record: Record, numbers: np.ndarray, images: LabelledImages, clicks: IoUMeter,
    references: IoUMeter,
) -> None:  # fmt: skip
    """One click on each countable object; a reference to the same class in another image for each
    that is alone of its class."""
    for k, instance in enumerate(record.instances):
        truth = numbers == k + 1
        if instance.stuff or truth.mean() < MIN_AREA_SHARE:
            continue
        answer = scene.interact(Region.mask(click(truth)))
        clicks.add(answer.mask, truth, 0.0, record.key)
        other = next(
            ((i, x == j + 1) for r, i, x in images if r.key != record.key
             for j, o in enumerate(r.instances)
             if o.name == instance.name and (x == j + 1).mean() > 2 * MIN_AREA_SHARE), None,
        )  # fmt: skip
        alone = sum(o.name == instance.name for o in record.instances) == 1
        if other is not None and alone:
            prompt = Prompt.parse("the <thing>", thing=Reference(other[0], mask=other[1]))
            entity = scene.localize(prompt).entities[0]
            references.add(entity.mask, truth, 0.0, record.key)


def add_confusion(
    confusion: np.ndarray,
    record: Record,
    numbers: np.ndarray,
    found: np.ndarray,
    names: Sequence[str],
) -> None:
    """Count (true class, answered class) over labelled pixels."""
    column = {name: k for k, name in enumerate(names)}
    for k, instance in enumerate(record.instances):
        answered = found[numbers == k + 1]
        confusion[column[instance.name]] += np.bincount(answered, minlength=len(names))


def semantic_metrics(confusion: np.ndarray) -> dict[str, float]:
    """mIoU over classes that are there, and pixel accuracy."""
    hit = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - hit
    there = confusion.sum(1) > 0
    return {
        "semantic_miou": round(float((hit[there] / np.maximum(union[there], 1)).mean()), 4),
        "pixel_accuracy": round(float(hit.sum() / max(1, confusion.sum())), 4),
        "classes": int(there.sum()),
    }


def linear_probe(find: Find, train: Sequence[Record], val: Sequence[Record]) -> dict[str, float]:
    """Ridge classifier from frozen 1/16 features to classes: what the backbone alone knows."""
    names = sorted({i.name for r in [*train, *val] for i in r.instances})
    features, labels = zip(*(cell_features(find, r, names) for r in train), strict=True)
    x, y = np.concatenate(features), np.concatenate(labels)
    x, y = x[y >= 0], y[y >= 0]
    mean, std = x.mean(0), x.std(0) + 1e-6
    weights = ridge((x - mean) / std, np.eye(len(names), dtype=np.float32)[y], 100.0)
    confusion = np.zeros((len(names), len(names)), np.int64)
    for record in val:
        cells, truth = cell_features(find, record, names)
        scores = add_ones((cells - mean) / std) @ weights
        answered = scores.argmax(1)[truth >= 0]
        np.add.at(confusion, (truth[truth >= 0], answered), 1)
    return semantic_metrics(confusion)


def frozen_maps(find: Find, image: np.ndarray) -> tuple[Geometry, list[torch.Tensor]]:
    """How the image was scaled, and the four maps of the vision encoder, (1, C, h, w) each."""
    geometry = plan(image.shape[0], image.shape[1], find.config.vision)
    with torch.inference_mode():
        return geometry, find.vision(
            prepare(image, geometry, find.config.vision)[None].to(find.device)
        )


def cell_features(
    find: Find, record: Record, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """(N, C) frozen features of 1/16 cells (1/32 ones appended), (N,) class or -1."""
    image, numbers = record.read()
    geometry, maps = frozen_maps(find, image)
    fine = maps[2]
    coarse = torch.nn.functional.interpolate(maps[3], fine.shape[-2:], mode="bilinear")
    cells = torch.cat([fine, coarse], 1)[0].flatten(1).T.float().cpu().numpy()
    height, width = fine.shape[-2:]
    rows = (np.arange(height) + 0.5) * 16 * image.shape[0] / geometry.resized[0]
    cols = (np.arange(width) + 0.5) * 16 * image.shape[1] / geometry.resized[1]
    inside = (rows[:, None] < image.shape[0]) & (cols[None] < image.shape[1])
    picked = numbers[np.minimum(rows.astype(int), image.shape[0] - 1)][
        :, np.minimum(cols.astype(int), image.shape[1] - 1)
    ]
    table = np.array([-1] + [names.index(i.name) for i in record.instances])
    return cells, np.where(inside, table[picked], -1).ravel()


def ridge(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
    """Closed-form ridge regression with a free constant: (C + 1, K) weights."""
    x = add_ones(x).astype(np.float64)
    penalty = strength * np.eye(x.shape[1])
    penalty[-1, -1] = 0.0
    return np.linalg.solve(x.T @ x + penalty, x.T @ y)


def add_ones(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((len(x), 1), x.dtype)], axis=1)


def caption_retrieval(
    find: Find, folder: Path, limit: int | None, photographs: Sequence[Record] = ()
) -> dict[str, Any]:
    """Caption -> image on the last 200 images, and two floors of the frozen encoders.

    One is fitted on the folder's other images, which no shipped weights may see; the other on
    `photographs`, captioned ones that they do see.
    """
    rows = read_captions(folder)[:limit]
    count = min(200, len(rows) // 3)
    test = rows[-count:]
    scenes = [find.encode(read_image(path)) for path, _ in test]
    images = np.stack([s.embedding for s in scenes])
    texts = [captions[0] for _, captions in test]
    queries = np.stack([find.embed_caption(t) for t in texts])
    pooled = [
        (pooled_image(find, read_image(path)), pooled_text(find, captions[0]))
        for path, captions in rows
    ]
    metrics = {
        "pictures": count,
        "caption_to_image": recalls(queries @ images.T),
        "ridge_floor": ridge_floor(pooled[:-count], pooled[-count:]),
        "chance_r1": round(1 / count, 4),
    }
    own = [
        (image, pooled_text(find, text))
        for record in photographs
        for image in [pooled_image(find, record.read()[0])]
        for text in record.captions
    ]
    if own:
        metrics["ridge_floor_on_own_photographs"] = ridge_floor(own, pooled[-count:])
    return metrics


Pooled = tuple[np.ndarray, np.ndarray]


def ridge_floor(fitted: Sequence[Pooled], queried: Sequence[Pooled]) -> dict[str, Any]:
    """Recalls of a closed-form ridge from images to captions, fitted on some pairs."""
    x, y = (np.stack(split_name) for split_name in zip(*fitted, strict=True))
    images, texts = (np.stack(split_name) for split_name in zip(*queried, strict=True))
    mean, std = x.mean(0), x.std(0) + 1e-6
    weights = ridge((x - mean) / std, y, 300.0)
    floor = unit_rows(add_ones((images - mean) / std) @ weights) @ unit_rows(texts).T
    return recalls(floor.T) | {"fitted_on": len(fitted)}


def read_captions(folder: Path) -> list[tuple[Path, list[str]]]:
    """(image, captions) from the CSV of the folder (columns image, caption)."""
    table: dict[str, list[str]] = {}
    (path, *_) = sorted(folder.glob("*.csv"))
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            name = next((c for c in row if c.lower().endswith((".jpg", ".png"))), None)
            if name is not None:
                table.setdefault(name, []).extend(c.strip() for c in row if c != name and " " in c)
    found = {p.name: p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".png")}
    return [
        (found[Path(n).name], c) for n, c in sorted(table.items()) if Path(n).name in found and c
    ]


def pooled_image(find: Find, image: np.ndarray) -> np.ndarray:
    """Mean of the coarsest frozen map."""
    _, maps = frozen_maps(find, image)
    return maps[3].mean((0, 2, 3)).float().cpu().numpy()


def pooled_text(find: Find, text: str) -> np.ndarray:
    """Mean of the frozen token states."""
    return find.language.encode([text])[0].states.mean(0).float().cpu().numpy()


def unit_rows(x: np.ndarray) -> np.ndarray:
    return x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-9)


def recalls(scores: np.ndarray) -> dict[str, Any]:
    """R@1, R@5, R@10 of (texts, images) scores whose diagonal is right."""
    ranks = (scores > np.diag(scores)[:, None]).sum(1)
    out = {}
    for k in (1, 5, 10):
        answers = ScoreSeries()
        for n, rank in enumerate(ranks):
            answers.add(rank < k, str(n))
        out[f"r{k}"] = answers.summary()
    return out
