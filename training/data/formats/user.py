"""A user's own labelled images as records: images, label masks, names.

IMAGES/anything.jpg   MASKS/anything.png (0 nothing, k = object k)   NAMES.json {"1": "my mug", ...}
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from find_core.errors import ImageError
from find_core.images import read_image
from training.data.formats.records import InstanceLabel, PhraseLabel, Record
from training.data.queries.label_knowledge import LabelKnowledge

SUFFIXES = (".jpg", ".jpeg", ".png")
MAX_LABEL = 254


def read_names(path: str | Path) -> dict[int, tuple[str, ...]]:
    """Label -> what the object may be called; a value is a name or a list of names.

    Raises:
        ImageError: not such a JSON object.
    """
    try:
        data = json.loads(Path(path).read_text())
        names = {int(k): tuple([v] if isinstance(v, str) else map(str, v)) for k, v in data.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ImageError(f'{path} must be JSON like {{"1": "my mug"}} ({error}).') from None
    bad = [k for k, v in names.items() if not 1 <= k <= MAX_LABEL or not v or not all(v)]
    if not names or bad:
        raise ImageError(f"{path}: labels are 1 to {MAX_LABEL}, each with a name; check {bad[:3]}.")
    return names


def user_records(
    images: str | Path, masks: str | Path, names: Mapping[int, tuple[str, ...]]
) -> list[Record]:
    """One record per image that has a mask of the same file name.

    Raises:
        ImageError: no image has a mask, or a mask has a label without a name.
    """
    records = []
    for path in sorted(Path(images).iterdir()):
        mask = Path(masks) / f"{path.stem}.png"
        if path.suffix.lower() in SUFFIXES and mask.is_file():
            records.append(_record(path, mask, names))
    if not records:
        raise ImageError(f"No picture in {images} has a PNG of the same name in {masks}.")
    return records


def user_knowledge(
    names: Mapping[int, tuple[str, ...]], known: LabelKnowledge | None = None
) -> LabelKnowledge:
    """Which of the user's words are true of which of the user's objects, beside what was known."""
    matches: dict[str, set[str]] = {k: set(v) for k, v in known.matches.items()} if known else {}
    for label, words in names.items():
        for word in words:
            matches.setdefault(word, set()).add(asset_of(label))
    own = frozenset(word for words in names.values() for word in words)
    coco = known.coco if known else frozenset()
    return LabelKnowledge({k: frozenset(v) for k, v in matches.items()}, coco, own)


def asset_of(label: int) -> str:
    return f"user/{label}"


def _record(path: Path, mask: Path, names: Mapping[int, tuple[str, ...]]) -> Record:
    labels = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2:
        raise ImageError(f"{mask} is no single-channel label image: 0 nothing, k = object k.")
    present = [int(k) for k in np.unique(labels) if k]
    if unknown := sorted(set(present) - set(names)):
        raise ImageError(f"{mask} has label {unknown[0]}, which has no name: add it to the names.")
    instances = tuple(
        InstanceLabel(names[k][0], frozenset(names[k]), asset_of(k), names[k][0], "user")
        for k in present
    )
    phrases = tuple(PhraseLabel(w, (n,)) for n, k in enumerate(present) for w in names[k])
    here = {w for k in present for w in names[k]}
    absent = tuple(sorted({w for words in names.values() for w in words} - here))
    read = functools.partial(_read, path, mask, tuple(present))
    caption = ("a picture of " + " and ".join(i.name for i in instances),) if instances else ()
    # Not everything in a user's image is labelled.
    return Record(f"user/{path.stem}", read, instances, phrases, (), caption, absent, False, "user")


def _read(path: Path, mask: Path, present: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    image = read_image(path)
    labels = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    if labels.shape != image.shape[:2]:
        raise ImageError(f"{mask.name} is not of its picture's size: label the picture itself.")
    numbers = np.zeros(labels.shape, np.uint8)
    for n, k in enumerate(present):
        numbers[labels == k] = n + 1
    return image, numbers
