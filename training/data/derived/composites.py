"""Rendered things in photographs: photographs behind rendered tables, rendered things on real ones.

Rendered objects have exact outlines and rich names, photographs have the variety of the world. A
composite has the instances of both, and only such words as are surely untrue of the other's.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from training.data.formats.records import (
    IGNORED,
    InstanceLabel,
    LabelKind,
    PhraseLabel,
    Record,
)
from training.data.queries.name_groups import group_of, surely_not

BACKGROUND = frozenset(["wall", "floor"])
"""Rendered surfaces that a photograph replaces."""
SUPPORTS = frozenset(
    ["table", "dining table", "counter", "floor", "wooden floor", "rug", "bed", "bench", "shelf",
     "cabinet", "pavement", "platform"]
)  # fmt: skip
"""Labels of photographs that rendered things are put on."""
MAX_INSTANCES = IGNORED - 1
MOST_THINGS = 3
SIZES = (0.12, 0.3)
"""Height of a pasted thing as a share of the photograph's."""
LEAST_THING_PX = 400
PLAIN_PHRASES = frozenset(["name", "attribute", "category"])

Pixels = tuple[np.ndarray, np.ndarray]


def composites(
    rendered: Sequence[Record], photographs: Sequence[Record], count: int, seed: int = 0
) -> list[Record]:
    """Half photographs behind rendered tables, half rendered things on photographed ones.

    Which images meet follows from the seed and the number; the first n are the same for any count.
    """
    scenes = [r for r in rendered if any(i.name == "table" for i in r.instances)]
    hosts = [r for r in photographs if _may_host(r)]
    grounds = [r for r in hosts if SUPPORTS & {i.name for i in r.instances}]
    made: dict[str, Record] = {}
    for n in range(count):
        rng = np.random.default_rng((seed, n))
        if n % 2 == 0 and scenes and hosts:
            guest, host, make = _pick(scenes, rng), _pick(hosts, rng), behind
        elif rendered and grounds:
            guest, host, make = _pick(rendered, rng), _pick(grounds, rng), on_top
        else:
            continue
        record = make(host, guest)
        made[record.key] = record
    return list(made.values())


def _pick(records: Sequence[Record], rng: np.random.Generator) -> Record:
    return records[int(rng.integers(len(records)))]


def _may_host(record: Record) -> bool:
    """Masks only: a box would be covered in part, and a name of the whole image may be hidden."""
    kinds = {i.label_kind for i in record.instances}
    return bool(record.instances) and kinds <= {LabelKind.MASK, LabelKind.MERGED}


def behind(host: Record, guest: Record) -> Record:
    """A rendered scene whose walls and floor are the photograph."""
    kept = tuple(k for k, i in enumerate(guest.instances) if i.name not in BACKGROUND)
    read = functools.partial(_read_behind, host.read, guest.read, kept, len(host.instances))
    return _joined(host, guest, kept, read, "behind")


def on_top(host: Record, guest: Record) -> Record:
    """A photograph with some of a rendered scene's things on its table."""
    things = [k for k, i in enumerate(guest.instances) if not i.stuff and group_of(i.name)]
    rng = np.random.default_rng(zlib.crc32(f"{host.key} {guest.key}".encode()))
    kept = tuple(int(k) for k in rng.permutation(things)[:MOST_THINGS])
    supports = tuple(k + 1 for k, i in enumerate(host.instances) if i.name in SUPPORTS)
    read = functools.partial(
        _read_on_top, host.read, guest.read, kept, len(host.instances), supports
    )
    return _joined(host, guest, kept, read, "on")


def _joined(
    host: Record, guest: Record, kept: Sequence[int], read: Callable[[], Pixels], how: str
) -> Record:
    """Labels of both; words of the one that may be true of the other's objects are left out."""
    added = tuple(guest.instances[k] for k in kept)
    room = MAX_INSTANCES - len(host.instances)
    added, place = added[:room], {k: len(host.instances) + n for n, k in enumerate(kept[:room])}
    phrases = [p for p in host.phrases if _surely_not(p.text, added)]
    phrases += [
        PhraseLabel(p.text, tuple(place[k] for k in p.instances), p.kind)
        for p in guest.phrases
        if p.kind in PLAIN_PHRASES and all(k in place for k in p.instances)
        and _surely_not(p.text, host.instances)
    ]  # fmt: skip
    return Record(
        key=f"composite/{how}/{host.key}+{guest.key}",
        read=read,
        instances=host.instances + added,
        phrases=tuple(phrases),
        absent=tuple(name for name in host.absent if _surely_not(name, added)),
        exhaustive=host.exhaustive,
        names_exhaustive=host.names_exhaustive,
        source=host.source,
        source_ids=host.source_ids,
    )


def _surely_not(text: str, instances: Sequence[InstanceLabel]) -> bool:
    return all(surely_not(text, i.name, i.source == "tabletop") for i in instances)


def _read_behind(
    host: Callable[[], Pixels], guest: Callable[[], Pixels], kept: Sequence[int], shift: int
) -> Pixels:
    image, numbers = (m.copy() for m in guest())
    height, width = numbers.shape
    ground, ground_numbers = _cover(*host(), height, width)
    out = ground_numbers.copy()
    shown = np.zeros((height, width), np.float32)
    for n, k in enumerate(kept):
        if shift + n < MAX_INSTANCES:
            out[numbers == k + 1] = shift + n + 1
            shown[numbers == k + 1] = 1.0
    return _blend(ground, image, shown), out


def _read_on_top(
    host: Callable[[], Pixels], guest: Callable[[], Pixels], kept: Sequence[int], shift: int,
    supports: Sequence[int],
) -> Pixels:  # fmt: skip
    image, numbers = (m.copy() for m in host())
    scene, scene_numbers = guest()
    height, width = numbers.shape
    rng = np.random.default_rng((height, width, *(int(k) for k in kept)))
    rows, columns = np.nonzero(np.isin(numbers, supports))
    if not len(rows):
        return image, numbers
    placed = []
    for n, k in enumerate(kept):
        mask = scene_numbers == k + 1
        if mask.sum() >= LEAST_THING_PX and shift + n < MAX_INSTANCES:
            spot = int(rng.integers(len(rows)))
            placed.append((int(rows[spot]), int(columns[spot]), n, mask))
    for bottom, middle, n, mask in sorted(placed, key=lambda p: p[0]):  # the nearest last
        _paste(image, numbers, scene, mask, (bottom, middle), shift + n + 1, rng)
    return image, numbers


def _paste(
    image: np.ndarray, numbers: np.ndarray, scene: np.ndarray, mask: np.ndarray,
    foot: tuple[int, int], number: int, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Draw a thing with the middle of its lower edge at (row, column) `foot`."""
    height, width = numbers.shape
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    scale = float(rng.uniform(*SIZES)) * height / h
    size = max(4, round(w * scale)), max(4, round(h * scale))
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    thing = cv2.resize(scene[y : y + h, x : x + w], size, interpolation=shrink)
    shape = cv2.resize(mask[y : y + h, x : x + w].astype(np.float32), size, interpolation=shrink)
    top, left = foot[0] - size[1] + 1, foot[1] - size[0] // 2
    rows = slice(max(0, top), min(height, top + size[1]))
    columns = slice(max(0, left), min(width, left + size[0]))
    inner = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    image[rows, columns] = _blend(image[rows, columns], thing[inner], shape[inner])
    numbers[rows, columns][shape[inner] > 0.5] = number


def _cover(image: np.ndarray, numbers: np.ndarray, height: int, width: int) -> Pixels:
    """The middle of an image in another size and proportion."""
    rows, columns = numbers.shape
    scale = max(height / rows, width / columns)
    h, w = min(rows, round(height / scale)), min(columns, round(width / scale))
    y, x = (rows - h) // 2, (columns - w) // 2
    crop = slice(y, y + h), slice(x, x + w)
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return (
        cv2.resize(image[crop], (width, height), interpolation=shrink),
        cv2.resize(numbers[crop], (width, height), interpolation=cv2.INTER_NEAREST_EXACT),
    )


def _blend(below: np.ndarray, above: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8, with soft edges where `above` ends."""
    soft = cv2.GaussianBlur(share, (0, 0), 0.7)[..., None]
    return np.round(below * (1.0 - soft) + above * soft).astype(np.uint8)
