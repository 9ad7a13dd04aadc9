"""References in the forms people have: pictures of the thing alone, made of labelled images.

Tight crops; cut-outs on plain, odd and photographic grounds; at other scales and sharpness. Each is
framed as `find_core` frames a whole-image reference, so that what is learnt is what is asked.
References in other scenes (by box, mask or stroke) need no image of their own.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from find_core.prompts.framing import framed
from training.data.formats.records import InstanceLabel, LabelKind, Record

PREFIX = "reference/"
FORMS = ("crop", "plain", "odd", "photo")
WHOLE = "whole"
"""Form of an image of which only the name is known: all of it is the reference."""
LEAST_SHARE = 0.005
"""Of its image that an object covers; smaller ones make no reference."""
SMALLEST_SIDE_PX = 40
"""To which the sharpness of a reference may fall."""

Pixels = tuple[np.ndarray, np.ndarray]


def is_reference(key: str) -> bool:
    """Is a record of that key only there to be referred to?"""
    return key.startswith(PREFIX)


def references(
    records: Sequence[Record], count: int, canvas: tuple[int, int], seed: int = 0
) -> list[Record]:
    """Up to `count` reference images; the first n are the same for any count.

    Names that few records show come as often as others.

    Args:
        canvas: (height, width) pixels of the framed picture.
    """
    by_name: dict[str, list[tuple[Record, int]]] = {}
    for record in records:
        for k, instance in enumerate(record.instances):
            if not instance.stuff:
                by_name.setdefault(instance.asset or instance.name, []).append((record, k))
        if record.image_labels and not record.instances:
            by_name.setdefault(record.image_labels[0], []).append((record, -1))
    names = sorted(by_name)
    grounds = [r for r in records if r.is_photograph]
    made: dict[str, Record] = {}
    for n in range(count if names else 0):
        rng = np.random.default_rng((seed, n))
        shown = by_name[names[int(rng.integers(len(names)))]]
        record, k = shown[int(rng.integers(len(shown)))]
        ground = grounds[int(rng.integers(len(grounds)))] if grounds else None
        made_of = reference_of(record, k, _form(record, k, ground, rng), ground, canvas)
        made[made_of.key] = made_of
    return list(made.values())


def _form(record: Record, k: int, ground: Record | None, rng: np.random.Generator) -> str:
    if k < 0:
        return WHOLE
    if record.instances[k].label_kind is not LabelKind.MASK:
        return "crop"  # whose pixels are whose is not known
    return str(rng.choice(FORMS if ground is not None else FORMS[:-1]))


def reference_of(
    record: Record, k: int, form: str, ground: Record | None, canvas: tuple[int, int]
) -> Record:
    """A picture of the k-th instance alone, as a record of one instance; -1 is the whole image."""
    key = f"{PREFIX}{form}/{record.key}/{k}"
    if k < 0:
        name = record.image_labels[0]
        label = InstanceLabel(name, frozenset(record.image_labels), None, name, record.source)
    else:
        label = record.instances[k]
    read = functools.partial(
        _read, record.read, k, form, None if ground is None else ground.read, canvas,
        zlib.crc32(key.encode()),
    )  # fmt: skip
    return Record(key=key, read=read, instances=(label,), source=record.source)


def _read(
    source: Callable[[], Pixels], k: int, form: str, ground: Callable[[], Pixels] | None,
    canvas: tuple[int, int], seed: int,
) -> Pixels:  # fmt: skip
    """The framed picture and where it lies (1); all 0 where the object is too small."""
    rng = np.random.default_rng(seed)
    image, numbers = source()
    mask = numbers == k + 1 if k >= 0 else np.ones(numbers.shape, bool)
    if mask.mean() < LEAST_SHARE:
        return np.zeros((*canvas, 3), np.uint8), np.zeros(canvas, np.uint8)
    picture = alone(image, mask, form, None if ground is None else ground()[0], rng)
    whole = np.ones(picture.shape[:2], bool)
    height, width = canvas
    shown, where = framed(_less_sharp(picture, rng), whole, height, width)
    return shown, where.astype(np.uint8)


def alone(
    image: np.ndarray, mask: np.ndarray, form: str, ground: np.ndarray | None,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """(h, w, 3) uint8: the object cut out with some margin, on a ground of that form."""
    margin = 0.12 if form == "crop" else 0.35
    rows, columns = _window(mask, float(rng.uniform(0.0, margin)))
    crop, inside = image[rows, columns], mask[rows, columns]
    if form in ("crop", WHOLE):
        return crop
    size = crop.shape[0], crop.shape[1]
    if form == "photo" and ground is not None:
        back = _patch(ground, size, rng)
    elif form == "odd":
        back = _odd(size, rng)
    else:
        back = np.full((*size, 3), rng.choice([255, 245, 230, 128, 20]), np.uint8)
    soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.7)[..., None]
    return np.round(crop * soft + back * (1.0 - soft)).astype(np.uint8)


def _window(mask: np.ndarray, margin: float) -> tuple[slice, slice]:
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    reach = round(margin * max(w, h))
    height, width = mask.shape
    return (
        slice(max(0, y - reach), min(height, y + h + reach)),
        slice(max(0, x - reach), min(width, x + w + reach)),
    )


def _patch(image: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A random piece of an image in that size."""
    h, w = (max(1, round(side * rng.uniform(0.3, 1.0))) for side in image.shape[:2])
    y, x = int(rng.integers(image.shape[0] - h + 1)), int(rng.integers(image.shape[1] - w + 1))
    return cv2.resize(image[y : y + h, x : x + w], size[::-1], interpolation=cv2.INTER_AREA)


def _odd(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Coloured blotches: a few random colours, smoothly mixed."""
    coarse = rng.integers(0, 256, (int(rng.integers(1, 7)), int(rng.integers(1, 7)), 3))
    return cv2.resize(coarse.astype(np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)


def _less_sharp(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At times as small as a thumbnail."""
    longest = max(picture.shape[:2])
    if rng.random() < 0.5 or longest <= SMALLEST_SIDE_PX:
        return picture
    scale = rng.uniform(SMALLEST_SIDE_PX, longest) / longest
    small = max(2, round(picture.shape[1] * scale)), max(2, round(picture.shape[0] * scale))
    return cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
