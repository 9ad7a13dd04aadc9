"""A user's own labelled images as records: images, label masks, names.

IMAGES/anything.jpg   MASKS/anything.png (0 nothing, k = object k)   NAMES.json {"1": "my mug", ...}
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import ImageError
from find_core.images import measure_image, read_bytes, read_image_of_size
from find_core.printable import shown
from training.data.formats.records import InstanceLabel, PhraseLabel, Record
from training.data.queries.label_knowledge import LabelKnowledge

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
MAX_LABEL = 254


def read_names(path: str | Path) -> dict[int, tuple[str, ...]]:
    """Label -> what the object may be called; a value is a name or a list of names.

    Raises:
        ImageError: not such a JSON object.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        names = {int(k): tuple([v] if isinstance(v, str) else map(str, v)) for k, v in data.items()}
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ImageError(
            f'{shown(path, 200)} must be JSON like {{"1": "my mug"}} ({shown(error)}).'
        ) from None
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
    for folder in (images, masks):
        if not Path(folder).is_dir():
            raise ImageError(f"No folder {shown(folder, 200)}: check the path.")
    pngs = {p.stem: p for p in sorted(Path(masks).iterdir()) if p.suffix.lower() == ".png"}
    records: list[Record] = []
    for path in sorted(Path(images).iterdir()):
        if path.suffix.lower() in SUFFIXES and path.stem in pngs:
            record = _record(path, pngs[path.stem], names)
            if any(r.key == record.key for r in records):
                raise ImageError(f"Two images are called {shown(path.stem)}: rename one of them.")
            records.append(record)
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
    labels = read_mask(mask, names)
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
    read = functools.partial(_read, path, mask, dict(names), tuple(present))
    caption = ("a picture of " + " and ".join(i.name for i in instances),) if instances else ()
    # Not everything in a user's image is labelled.
    return Record(f"user/{path.stem}", read, instances, phrases, (), caption, absent, False, "user")


def read_mask(mask: Path, names: Mapping[int, Any]) -> np.ndarray:
    """(H, W) labels of a mask as common tools write it, 0 where there is nothing.

    A palette's indices are the labels (255, the rim of VOC's masks, is nothing). In a black and
    white mask, white is the only name that there is.

    Raises:
        ImageError: no such image, or its values cannot be labels.
    """
    from PIL import Image  # OpenCV gives a palette's colours, not its indices

    what = shown(mask, 200)
    data = read_bytes(mask)
    measure_image(data, what)
    try:
        with Image.open(io.BytesIO(data.tobytes())) as image:
            mode, labels = image.mode, np.array(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise ImageError(f"Cannot decode {what}: give a whole PNG.") from None
    if mode == "P":
        return np.where(labels == 255, 0, labels)
    if labels.ndim == 3 and mode == "RGB" and (labels == labels[..., :1]).all():
        labels = labels[..., 0]  # grey, written as colour
    if labels.ndim != 2 or labels.dtype.kind not in "bui":
        raise ImageError(f"{what} is no single-channel label image: 0 nothing, k = object k.")
    labels = labels.astype(np.int64)
    if len(names) == 1 and set(np.unique(labels)) <= {0, 1, 255} and labels.max() in (1, 255):
        return (
            np.where(labels > 0, next(iter(names)), 0)
            if mode == "1" or labels.max() == 255
            else labels
        )
    if labels.max() > MAX_LABEL:
        raise ImageError(
            f"{what} has the value {labels.max()}: labels are 1 to {MAX_LABEL}, 0 is nothing; 255 is "
            "white, not a label."
        )
    return labels


def _read(
    path: Path, mask: Path, names: Mapping[int, Any], present: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    labels = read_mask(mask, names)
    image = read_image_of_size(path, labels.shape, f"its mask {shown(mask.name)} is")
    numbers = np.zeros(labels.shape, np.uint8)
    for n, k in enumerate(present):
        numbers[labels == k] = n + 1
    return image, numbers
