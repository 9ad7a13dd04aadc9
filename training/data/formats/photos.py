"""A folder of photographs of many sets in one form, as records.

ROOT/sets.json        a list: what each set is, and what its labels say
ROOT/records.jsonl    one image a line: image, set, size [width, height], and what is labelled of it:
                      segments [{id, name, thing, box_xyxy, merged?, crowd?}] with a mask (PNG of
                      ids, 0 unlabelled), boxes [{name, box_xyxy}], image_label, captions

A tenth of every set, chosen by the hash of the file name, never trains.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import ImageError
from find_core.images import read_labels
from training.data.formats.oriented import read_as_labelled
from training.data.formats.records import (
    IGNORED,
    InstanceLabel,
    LabelKind,
    PhraseLabel,
    Record,
)

SHIPPABLE_SETS = frozenset(
    [
        "coco_panoptic",
        "coco_things",
        "epicure",
        "grocery_store_labels",
        "plate_food",
        "tools",
        "voc_animals",
    ]
)
"""Sets whose terms let them feed weights that are given away (the model card names each). All others
are for evaluation only, whatever a data folder says of them."""
COCO_IDS = Path(__file__).parents[2] / "results" / "coco_ids.json"
"""Which images of COCO the packaged default has seen, and which it is measured on."""
HELD_OUT_SHARE = 10
"""One in so many images is held out."""
CALIBRATION_SHARE = 20
"""One in so many of the others trains nothing but the scale of the relevance."""
MAX_INSTANCES = IGNORED - 1


@dataclass(frozen=True)
class PhotoSet:
    """What one set is.

    Attributes:
        exhaustive: pixels and images without a label of a class hold nothing of it.
        stuff: surfaces are labelled too, so that an exhaustive set leaves no pixel unlabelled.
        instances: regions are single objects; else one region holds all of a class.
        shippable: may feed weights that are given away.
        classes: names that its labellers looked for.
        licence, source: as the set states them.
    """

    name: str
    exhaustive: bool
    stuff: bool
    instances: bool
    shippable: bool
    classes: tuple[str, ...]
    licence: str = ""
    source: str = ""


@dataclass(frozen=True)
class Photo:
    """One image: its record, its set, and the class names that a crowd of it stands for."""

    record: Record
    set: PhotoSet
    file_name: str
    crowds: frozenset[str] = frozenset()

    @property
    def held_out(self) -> bool:
        coco = self.set.name.startswith("coco")
        return is_held_out(self.file_name) or (coco and self.file_name in coco_val_names())


def is_held_out(file_name: str) -> bool:
    """Is an image of that name (without its folder) in the tenth that never trains?"""
    digest = hashlib.sha256(file_name.encode()).hexdigest()
    return int(digest[:8], 16) % HELD_OUT_SHARE == 0


@functools.cache
def coco_val_names() -> frozenset[str]:
    """Images of COCO's val split that models are measured on, and that the photographs hold too."""
    return frozenset(f"{n:012d}.jpg" for n in json.loads(COCO_IDS.read_text())["val2017"])


def is_for_calibration(file_name: str) -> bool:
    """Is an image of that name in the twentieth that the relevance is calibrated on?"""
    digest = hashlib.sha256(file_name.encode()).hexdigest()
    return not is_held_out(file_name) and int(digest[8:16], 16) % CALIBRATION_SHARE == 0


def read_sets(root: str | Path) -> dict[str, PhotoSet]:
    """The sets of ROOT/sets.json by name.

    A set is `shippable` only where the file and `SHIPPABLE_SETS` both say so.

    Raises:
        ImageError: no such file, or not of that form.
    """
    path = Path(root) / "sets.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        sets = [_set_of(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageError(f"{path} is no list of photograph sets ({error!r}).") from None
    return {s.name: s for s in sets}


def _set_of(row: dict[str, Any]) -> PhotoSet:
    name = str(row["set"])
    return PhotoSet(
        name=name,
        exhaustive=bool(row["exhaustive"]),
        stuff=bool(row.get("stuff", False)),
        instances=bool(row.get("instances", True)),
        shippable=bool(row.get("may_feed_shipped_weights", False)) and name in SHIPPABLE_SETS,
        classes=tuple(sorted(row.get("classes", ()))),
        licence=str(row.get("licence", "")),
        source=str(row.get("source", "")),
    )


def read_photos(root: str | Path, sets: Iterable[str] | None = None) -> list[Photo]:
    """All images of ROOT/records.jsonl, of some sets or of all.

    Raises:
        ImageError: a file is missing, or a line is not of that form (its number is named).
    """
    root, known = Path(root), read_sets(root)
    wanted = set(known) if sets is None else set(sets)
    if unknown := sorted(wanted - set(known)):
        raise ImageError(f"{root}/sets.json has no set {unknown[0]!r}: it has {sorted(known)}.")
    path = root / "records.jsonl"
    if not path.is_file():
        raise ImageError(f"No photographs at {path}: check the path.")
    photos = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            photo_set = known[row["set"]]
            if photo_set.name in wanted:
                photos.append(_photo(root, row, photo_set))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ImageError(f"{path}, line {number} is no photograph ({error!r}).") from None
    return photos


def training_photos(root: str | Path, sets: Iterable[str] | None = None) -> list[Photo]:
    """The images that may feed weights that are given away: of shippable sets, none held out.

    Raises:
        ImageError: a set was named that is for evaluation only.
    """
    known = read_sets(root)
    chosen = {n for n, s in known.items() if s.shippable} if sets is None else set(sets)
    barred = sorted(n for n in chosen if n in known and not known[n].shippable)
    if barred:
        raise ImageError(
            f"The set {barred[0]} is for evaluation only: weights that learn from it must not be "
            "given away."
        )
    return [photo for photo in read_photos(root, chosen) if not photo.held_out]


def is_for_evaluation(photo: Photo) -> bool:
    """Is it of the held-out tenth of a shippable set, of COCO's val split, or of a set that never trains?"""
    return photo.held_out or not photo.set.shippable


def _photo(root: Path, row: dict[str, Any], photo_set: PhotoSet) -> Photo:
    width, height = (int(v) for v in row["size"])
    path = root / row["image"]
    segments = [s for s in row.get("segments", ()) if not s.get("crowd")][:MAX_INSTANCES]
    crowds = [s for s in row.get("segments", ()) if s.get("crowd")]
    boxes = row.get("boxes", ())[: MAX_INSTANCES - len(segments)]
    instances = tuple(
        [_segment(s, photo_set) for s in segments] + [_box(b, photo_set) for b in boxes]
    )
    mask = root / row["mask"] if "mask" in row else None
    read = functools.partial(
        _read, path, mask, (height, width), tuple(int(s["id"]) for s in segments),
        tuple(int(s["id"]) for s in crowds), tuple(_corners(b) for b in boxes),
    )  # fmt: skip
    crowd_names = frozenset(str(s["name"]) for s in crowds)
    labels = tuple(dict.fromkeys(str(row[k]) for k in IMAGE_LABELS if row.get(k)))
    record = Record(
        key=f"photos/{photo_set.name}/{path.stem}",
        read=read,
        instances=instances,
        phrases=_phrases(instances),
        captions=tuple(str(c).strip() for c in row.get("captions", ())),
        absent=_absent(photo_set, {i.name for i in instances} | crowd_names | set(labels)),
        exhaustive=photo_set.exhaustive and photo_set.stuff,
        names_exhaustive=photo_set.exhaustive,
        source="photos",
        source_ids=tuple(int(s["id"]) for s in segments),
        image_labels=labels,
    )
    return Photo(record, photo_set, path.name, crowd_names)


IMAGE_LABELS = ("image_label", "image_label_coarse")


def _segment(segment: dict[str, Any], photo_set: PhotoSet) -> InstanceLabel:
    merged = bool(segment.get("merged")) or not photo_set.instances
    kind = LabelKind.MERGED if merged else LabelKind.MASK
    name = str(segment["name"])
    stuff = not segment.get("thing", True)
    return InstanceLabel(name, frozenset([name]), None, name, "photos", stuff, kind)


def _box(box: dict[str, Any], photo_set: PhotoSet) -> InstanceLabel:
    name = str(box["name"])
    return InstanceLabel(
        name, frozenset([name]), None, name, "photos", False, LabelKind.BOX, _corners(box)
    )


def _corners(box: dict[str, Any]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(v) for v in box["box_xyxy"])
    if not (x1 < x2 and y1 < y2):
        raise ValueError(f"box_xyxy {box['box_xyxy']} is empty")
    return x1, y1, x2, y2


def _phrases(instances: Sequence[InstanceLabel]) -> tuple[PhraseLabel, ...]:
    """Class names, each with all its instances."""
    members: dict[str, list[int]] = {}
    for k, instance in enumerate(instances):
        members.setdefault(instance.name, []).append(k)
    return tuple(PhraseLabel(name, tuple(indices)) for name, indices in members.items())


def _absent(photo_set: PhotoSet, here: set[str]) -> tuple[str, ...]:
    """Classes that are certainly not there: only an exhaustive set can say so.

    Names that share their noun with one that is there ("dining table", "table") may be true of it.
    """
    if not photo_set.exhaustive:
        return ()
    words = {word for name in here for word in name.split()}
    return tuple(
        name for name in photo_set.classes
        if name not in here and not set(name.split()) & words
    )  # fmt: skip


def _read(
    path: Path, mask: Path | None, size: tuple[int, int], ids: tuple[int, ...],
    crowds: tuple[int, ...], boxes: tuple[tuple[float, float, float, float], ...],
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Image and instance numbers; boxes are filled, small ones on top of large ones."""
    image = read_as_labelled(path, *size)
    numbers = np.zeros(size, np.uint8)
    if mask is not None:
        full = read_labels(mask)
        if full.shape != size:
            raise ImageError(f"{mask} has the shape {full.shape}, its image {size}.")
        for k, number in enumerate(ids):
            numbers[full == number] = k + 1
        numbers[np.isin(full, crowds)] = IGNORED
    area = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes]
    for k in sorted(range(len(boxes)), key=lambda k: -area[k]):
        x1, y1, x2, y2 = (round(v) for v in boxes[k])
        numbers[max(0, y1) : y2, max(0, x1) : x2] = len(ids) + k + 1
    return image, numbers
