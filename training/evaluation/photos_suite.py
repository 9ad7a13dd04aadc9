"""Photographs asked as users ask: by name, by a box in another image, by one click, and for what is
not there.

Asked of the held-out tenth of each set and of the sets that never train
(`training.data.formats.photos`). A question needs exactly one object of its class in view, of at
least 1 % of the image; a region that merges all of a class counts as one object where it is in one
piece. Intervals resample images.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.errors import ImageError
from find_core.predictor import Find
from find_core.prompts.prompt import Prompt, PromptEntity, Reference
from find_core.prompts.region import Region
from find_core.scene import Scene
from training.data.formats.photos import COCO_IDS, Photo, is_for_evaluation, read_photos
from training.data.formats.records import LabelKind
from training.data.queries.strokes import click
from training.evaluation.metrics import DetectionAuc, IoUMeter, ScoreSeries, share_over_half
from training.evaluation.tabletop_suite import Progress, best_of, upsampled_objects

MIN_AREA_SHARE = 0.01
ONE_PIECE = 0.9
"""Share of a merged region that must be connected for it to count as one object."""
MAX_ABSENT = 3
"""Names of things that are not there, asked of one image."""
SEEN_KEYS = ("panoptic", "instances_and_captions", "val2017_seen")


@dataclass(frozen=True, eq=False)
class Target:
    """One object that a question is about: the k-th instance of a photograph."""

    photo: Photo
    index: int
    truth: np.ndarray
    """(H, W) bool; the filled box where only that is known."""

    @property
    def name(self) -> str:
        return self.photo.record.instances[self.index].name

    @property
    def is_box(self) -> bool:
        return self.photo.record.instances[self.index].label_kind is LabelKind.BOX

    def box_xyxy(self) -> tuple[float, float, float, float]:
        """Pixel edges around the object."""
        known = self.photo.record.instances[self.index].box_xyxy
        if known is not None:
            return known
        x, y, width, height = cv2.boundingRect(self.truth.astype(np.uint8))
        return x, y, x + width, y + height


@dataclass
class SetReport:
    """The answers on one set."""

    names: IoUMeter = field(default_factory=IoUMeter)
    references: IoUMeter = field(default_factory=IoUMeter)
    clicks: IoUMeter = field(default_factory=IoUMeter)
    boxes: ScoreSeries = field(default_factory=ScoreSeries)
    """IoU of the answer's box with the true one, where only boxes are labelled."""
    presence: DetectionAuc = field(default_factory=DetectionAuc)
    image_labels: ScoreSeries = field(default_factory=ScoreSeries)
    """Scores of the names of images of which only the name is known."""
    images: int = 0

    def metrics(self) -> dict[str, Any]:
        """What was asked of the set; a kind of question that it cannot answer is left out."""
        out: dict[str, Any] = {"images": self.images}
        for key, meter in (("names", self.names), ("references", self.references),
                           ("clicks", self.clicks)):  # fmt: skip
            if meter.chosen.values:
                out[key] = meter.metrics()
        if self.boxes.values:
            out["name_boxes"] = {"miou": self.boxes.summary(),
                                 "p50": self.boxes.summary(share_over_half)}  # fmt: skip
        if self.presence.absent.values:
            out["presence"] = self.presence.metrics()
        if self.image_labels.values:
            found = ScoreSeries(
                [float(v >= 0.5) for v in self.image_labels.values], self.image_labels.units
            )
            out["image_label_found_at_0.5"] = found.summary()
        return out


def run_photos(
    find: Find, root: str | Path, limit: int | None, progress: Progress, seed: int = 0
) -> dict[str, Any]:
    """All questions on the evaluation photographs of a folder.

    Args:
        limit: at most so many images of each set, chosen by hash.

    Returns:
        {"all": metrics, "by_set": {set: metrics}, "left_out_as_seen": images the packaged default
        was trained on}.
    """
    photographs = read_photos(root)
    every = [p for p in photographs if is_for_evaluation(p)]
    if not every:
        raise ImageError(f"{root} holds no photographs to evaluate on.")
    seen = seen_images()
    unseen = [p for p in every if not (p.set.name.startswith("coco") and p.file_name in seen)]
    photos = chosen(unseen, limit)
    thing_names = names_of_things(photographs)
    holders = holders_by_name(unseen)
    total = SetReport()
    by_set: dict[str, SetReport] = defaultdict(SetReport)
    for n, photo in enumerate(photos):
        image, numbers = photo.record.read()
        scene = find.encode(image)
        rng = np.random.default_rng((seed, _number(photo.file_name)))
        reports = (total, by_set[photo.set.name])
        for report in reports:
            report.images += 1
        measure_targets(reports, scene, targets_of(photo, numbers), holders, rng)
        measure_absent(reports, scene, photo, thing_names, rng)
        measure_image_labels(reports, scene, photo)
        progress(n + 1, len(photos))
    return {
        "all": total.metrics(),
        "by_set": {name: by_set[name].metrics() for name in sorted(by_set)},
        "left_out_as_seen": len(every) - len(unseen),
    }


def seen_images(path: Path = COCO_IDS) -> frozenset[str]:
    """File names of COCO images that the packaged default was trained on though they are for evaluation
    now. The 40 of the val split came in by the photographs (stages 6 and 7), which was seen too late."""
    data = json.loads(path.read_text())
    return frozenset(f"{n:012d}.jpg" for key in SEEN_KEYS for n in data.get(key, ()))


def chosen(photos: Sequence[Photo], limit: int | None) -> list[Photo]:
    """The first `limit` images of each set in the order of their hashes, set by set."""
    of_set: dict[str, list[Photo]] = defaultdict(list)
    for photo in sorted(photos, key=lambda p: (p.set.name, _number(p.file_name), p.file_name)):
        of_set[photo.set.name].append(photo)
    return [photo for members in of_set.values() for photo in members[:limit]]


def _number(file_name: str) -> int:
    return int(hashlib.sha256(file_name.encode()).hexdigest()[8:16], 16)


def names_of_things(photos: Sequence[Photo]) -> dict[str, frozenset[str]]:
    """Set -> names of its countable classes: "is there a wall" is no question of this suite."""
    stuff: dict[str, set[str]] = defaultdict(set)
    for photo in photos:
        stuff[photo.set.name] |= {i.name for i in photo.record.instances if i.stuff}
    return {p.set.name: frozenset(p.set.classes) - stuff[p.set.name] for p in photos}


def holders_by_name(photos: Sequence[Photo]) -> dict[str, list[Photo]]:
    """Class name -> the images that show it, in a fixed order."""
    table: dict[str, list[Photo]] = defaultdict(list)
    for photo in sorted(photos, key=lambda p: p.record.key):
        for name in sorted({i.name for i in photo.record.instances if not i.stuff}):
            table[name].append(photo)
    return table


def targets_of(photo: Photo, numbers: np.ndarray) -> list[Target]:
    """The objects of an image that are alone of their class and large enough.

    Args:
        numbers: (H, W) uint8 instance numbers, as `photo.record.read()` gives them.
    """
    instances = photo.record.instances
    found = []
    for k, instance in enumerate(instances):
        alone = sum(other.name == instance.name for other in instances) == 1
        if instance.stuff or not alone or instance.name in photo.crowds:
            continue
        truth = numbers == k + 1
        if instance.box_xyxy is not None:  # numbers hold the box less what lies on top of it
            truth = filled_box(instance.box_xyxy, numbers.shape)
        if truth.mean() < MIN_AREA_SHARE:
            continue
        if instance.label_kind is LabelKind.MERGED and largest_piece(truth) < ONE_PIECE:
            continue
        found.append(Target(photo, k, truth))
    return found


def filled_box(box_xyxy: tuple[float, float, float, float], shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) bool mask of a box of pixel edges."""
    mask = np.zeros(shape[:2], bool)
    x1, y1, x2, y2 = (round(v) for v in box_xyxy)
    mask[max(0, y1) : y2, max(0, x1) : x2] = True
    return mask


def largest_piece(mask: np.ndarray) -> float:
    """Share of a (H, W) bool mask that its largest connected piece has."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return float(stats[1:, cv2.CC_STAT_AREA].max() / mask.sum())


def measure_targets(
    reports: Sequence[SetReport], scene: Scene, targets: Sequence[Target],
    holders: dict[str, list[Photo]], rng: np.random.Generator,
) -> None:  # fmt: skip
    """Each target by its name, by a box in another image and by one click."""
    masked = [t for t in targets if not t.is_box]
    objects = upsampled_objects(scene) if masked else np.zeros((0, 1, 1), bool)
    answers = scene.localize_many([Prompt((PromptEntity(t.name),)) for t in targets])
    for target, answer in zip(targets, answers, strict=True):
        entity, unit = answer.entities[0], target.photo.record.key
        for report in reports:
            if target.photo.set.exhaustive:
                report.presence.present.add(entity.score, unit)
            if target.is_box:
                report.boxes.add(iou_of_boxes(target.box_xyxy(), entity.box_xyxy), unit)
            else:
                report.names.add(entity.mask, target.truth, best_of(objects, target.truth), unit)
    if not masked:
        return
    clicked = scene.interact(*([Region.mask(click(t.truth))] for t in masked))
    for target, mask in zip(masked, clicked.masks, strict=True):
        oracle, unit = best_of(objects, target.truth), target.photo.record.key
        reference = reference_to(target, holders, rng)
        for report in reports:
            report.clicks.add(mask, target.truth, oracle, unit)
        if reference is not None:
            entity = scene.localize(Prompt.parse("the <this>", this=reference)).entities[0]
            for report in reports:
                report.references.add(entity.mask, target.truth, oracle, unit)


def reference_to(
    target: Target, holders: dict[str, list[Photo]], rng: np.random.Generator
) -> Reference | None:
    """A box around one object of the class in another image, where it is large enough."""
    others = [p for p in holders.get(target.name, ()) if p is not target.photo]
    for n in rng.permutation(len(others))[:8]:
        image, numbers = others[n].record.read()
        shown = [t for t in targets_of(others[n], numbers) if t.name == target.name]
        if shown:
            return Reference(image, box=shown[0].box_xyxy())
    return None


def measure_absent(
    reports: Sequence[SetReport], scene: Scene, photo: Photo,
    thing_names: dict[str, frozenset[str]], rng: np.random.Generator,
) -> None:  # fmt: skip
    """Some classes that an exhaustive set says are not there."""
    names = [n for n in photo.record.absent if n in thing_names[photo.set.name]]
    picked = [names[k] for k in rng.permutation(len(names))[:MAX_ABSENT]]
    answers = scene.localize_many([Prompt((PromptEntity(name),)) for name in picked])
    for answer in answers:
        for report in reports:
            report.presence.absent.add(answer.entities[0].score, photo.record.key)


def measure_image_labels(reports: Sequence[SetReport], scene: Scene, photo: Photo) -> None:
    """The finest name of an image of which only the name is known."""
    if photo.record.image_labels and not photo.record.instances:
        prompt = Prompt((PromptEntity(photo.record.image_labels[0]),))
        score = scene.localize(prompt).entities[0].score
        for report in reports:
            report.image_labels.add(score, photo.record.key)


def iou_of_boxes(a: Sequence[float], b: Sequence[float] | np.ndarray) -> float:
    """IoU of two boxes (x1, y1, x2, y2) of pixel edges; 0 where both are empty."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    either = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return float(both / either) if either > 0 else 0.0
