"""A user's own labelled images as records: images, label masks, names.

IMAGES/anything.jpg   MASKS/anything.png (0 nothing, k = object k)   NAMES.json {"1": "my mug", ...}
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from find_core.errors import ImageError
from find_core.images import measure_image, read_bytes
from find_core.support.printable import quoted, shown
from find_core.support.strict_json import parse_json
from training.data.formats.oriented import read_as_labelled
from training.data.formats.records import InstanceLabel, PhraseLabel, Record
from training.data.queries.label_knowledge import LabelKnowledge

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
MAX_LABEL = 254
MAX_NAME_CHARS = 200
WHITE = 255
"""What tools write for "object" in a mask of one object, and for "nobody knows" in VOC's palette
masks (the rim around each object)."""


def read_names(path: str | Path) -> dict[int, tuple[str, ...]]:
    """Label -> what the object may be called; a value is a name or a list of names.

    Raises:
        ImageError: not such a JSON object.
    """
    try:
        data = parse_json(Path(path).read_bytes(), shown(path, 200), ImageError)
        names = {int(k): _words(v) for k, v in data.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ImageError(f'{path} must be JSON like {{"1": "my mug"}} ({error}).') from None
    bad = [k for k, v in names.items() if not 1 <= k <= MAX_LABEL or not v]
    if not names or bad:
        white = " 255 is white: call it 1 here, a mask of one object may stay 0 and 255."
        raise ImageError(
            f"{path}: labels are 1 to {MAX_LABEL}, each with a name; check {bad[:3]}."
            + white * (WHITE in bad)
        )
    for label, words in names.items():
        for word in words:
            plain = isinstance(word, str) and word.strip() and word.isprintable()
            if not plain or len(word) > MAX_NAME_CHARS or set(word) & set("<>"):
                raise ImageError(
                    f"{path}: label {label} has the name {quoted(word)}: give at most "
                    f"{MAX_NAME_CHARS} plain characters without < and >."
                )
    return names


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is neither a name nor a list of names")
    return tuple(value)


def user_records(
    images: str | Path, masks: str | Path, names: Mapping[int, tuple[str, ...]]
) -> list[Record]:
    """One record per image that has a mask of the same file name.

    Raises:
        ImageError: no image has a mask, or a mask has a label without a name.
    """
    for folder in (images, masks):
        if not Path(folder).is_dir():
            raise ImageError(f"There is no folder {folder}: check the path.")
    by_stem = {p.stem: p for p in sorted(Path(masks).iterdir()) if p.suffix.lower() == ".png"}
    records: dict[str, Record] = {}
    for path in sorted(Path(images).iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.stem not in by_stem:
            continue
        record = _record(path, by_stem[path.stem], names)
        if record.key in records:
            raise ImageError(f"Two images in {images} are called {path.stem}: rename one of them.")
        records[record.key] = record
    if not records:
        raise ImageError(f"No image in {images} has a PNG of the same name in {masks}.")
    return list(records.values())


def read_labels(path: Path, names: Mapping[int, tuple[str, ...]]) -> np.ndarray:
    """(H, W) uint8 labels of a mask, as common tools write it.

    Plain and 1-bit grey, 16-bit grey, grey written as colour, and palette images, whose index is the
    label. A mask of 0 and 255 (or 1 bit) is that of the one object there is a name for; 255 in a
    palette image is VOC's rim and belongs to nothing.

    Raises:
        ImageError: no such image, or a label without a name; the sentence says what to do.
    """
    raw, palette = _raw_labels(path)
    values = {int(v) for v in np.unique(raw)} - {0}
    if palette and WHITE in values and WHITE not in names:
        raw, values = np.where(raw == WHITE, 0, raw), values - {WHITE}
    if len(names) == 1 and values == {WHITE}:
        raw, values = np.where(raw == WHITE, next(iter(names)), 0), set(names)
    unknown = sorted(values - set(names))
    if WHITE in unknown:
        raise ImageError(
            f"{path} has label 255, which is white: with several names paint object k with the "
            "grey value k."
        )
    if unknown:
        raise ImageError(f"{path} has label {unknown[0]}, which has no name: add it to the names.")
    return raw.astype(np.uint8)


def _raw_labels(path: Path) -> tuple[np.ndarray, bool]:
    """(H, W) numbers as stored, and whether they index a palette."""
    data = read_bytes(path)
    measure_image(data, shown(path, 200))
    try:
        with Image.open(
            io.BytesIO(data.tobytes())
        ) as file:  # OpenCV would turn a palette's indices into colours
            mode, raw = file.mode, np.asarray(file)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(
            f"Cannot decode {path} ({shown(error)}): save the mask as PNG again."
        ) from None
    if raw.dtype == bool:
        raw = np.where(raw, WHITE, 0)
    if raw.ndim == 3:
        colors = raw[..., :1] if raw.shape[2] == 2 else raw[..., :3]
        if (colors != colors[..., :1]).any():
            raise ImageError(
                f"{path} is a coloured mask: save a grey or palette PNG, 0 nothing, k = object k."
            )
        raw = colors[..., 0]
    return raw.astype(np.int64), mode == "P"


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
    labels = read_labels(mask, names)
    present = [int(k) for k in np.unique(labels) if k]
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


def _read(
    path: Path, mask: Path, names: Mapping[int, tuple[str, ...]], present: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    labels = read_labels(mask, names)
    image = read_as_labelled(path, *labels.shape)
    numbers = np.zeros(labels.shape, np.uint8)
    for n, k in enumerate(present):
        numbers[labels == k] = n + 1
    return image, numbers
