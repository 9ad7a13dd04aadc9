"""Labelled images as the engine sees them: segments with their pixels counted, and captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import ImageError
from training.data.formats import coco
from training.evaluation.bench import sources

MIN_AREA_PX = 200
"""Smaller segments are not offered to writers, as they stand in for none (`bench.interleave`)."""


@dataclass(frozen=True)
class Segment:
    """One labelled region.

    Attributes:
        name: its class, cleaned. thing: countable. crowd: COCO's `iscrowd`, several things in one.
        merged: one region for all things of its class, be they one or several.
        area_px: pixels that the label image has. box_xyxy: pixel edges of them, all 0 where it has none.
    """

    id: int
    name: str
    thing: bool
    crowd: bool
    merged: bool
    area_px: int
    box_xyxy: tuple[int, int, int, int]

    @property
    def offered(self) -> bool:
        """May sentences speak of it?"""
        return not self.crowd and self.area_px >= MIN_AREA_PX

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) of its box's middle, in pixel edges."""
        x1, y1, x2, y2 = self.box_xyxy
        return (x1 + x2) / 2, (y1 + y2) / 2


@dataclass(frozen=True)
class LabelledImage:
    """What a writer is told of an image. `captions` are people's, `pseudo` a model's."""

    image_id: int
    file_name: str
    height: int
    width: int
    segments: tuple[Segment, ...]
    captions: tuple[str, ...] = ()
    pseudo: tuple[str, ...] = ()

    @property
    def offered(self) -> tuple[Segment, ...]:
        """Segments that sentences may speak of, largest first."""
        return tuple(
            sorted((s for s in self.segments if s.offered), key=lambda s: (-s.area_px, s.id))
        )

    def segment(self, number: int) -> Segment | None:
        return next((s for s in self.segments if s.id == number), None)


@dataclass(frozen=True, eq=False)
class Item:
    """One image that waits: everything but its pixels, so that it travels to other processes."""

    image: sources.PanopticImage
    names: tuple[str, ...]
    things: tuple[bool, ...]
    captions: tuple[str, ...] = ()
    pseudo: tuple[str, ...] = ()

    @property
    def image_id(self) -> int:
        return self.image.image_id

    def read(self) -> LabelledImage:
        """The segments, measured in the label image.

        Raises:
            ImageError: the label image is missing or damaged.
        """
        ids = self.image.read_ids()
        measured = extents(ids)
        segments = tuple(
            _segment(s, name, thing, measured)
            for s, name, thing in zip(self.image.segments, self.names, self.things, strict=True)
        )  # fmt: skip
        height, width = ids.shape
        return LabelledImage(
            self.image_id, self.image.key, height, width, segments, self.captions,
            self.pseudo,
        )  # fmt: skip


def _segment(
    row: Mapping[str, Any], name: str, thing: bool,
    measured: Mapping[int, tuple[int, tuple[int, int, int, int]]],
) -> Segment:  # fmt: skip
    area, box = measured.get(int(row["id"]), (0, (0, 0, 0, 0)))
    crowd, merged = bool(row.get("iscrowd", 0)), bool(row.get("merged", False))
    return Segment(int(row["id"]), name, thing, crowd, merged, area, box)


def extents(ids: np.ndarray) -> dict[int, tuple[int, tuple[int, int, int, int]]]:
    """Segment id -> (pixels, box_xyxy in pixel edges) of an (H, W) int id map; 0 is left out."""
    numbers, flat = np.unique(ids, return_inverse=True)
    flat = flat.reshape(ids.shape)
    areas = np.bincount(flat.ravel(), minlength=len(numbers))
    out = {}
    for k, number in enumerate(numbers.tolist()):
        if number:
            rows, columns = np.nonzero(flat == k)
            box = int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
            out[number] = int(areas[k]), box
    return out


def read_items(
    root: Path,
    split: str,
    captions: Sequence[Path] = (),
    pseudo: Sequence[Path] = (),
    limit: int | None = None,
) -> list[Item]:
    """The images of a COCO panoptic folder, in the file's order.

    Args:
        captions: files in COCO's form, besides ROOT/annotations/captions_<split>.json where it is.
        pseudo: the same of a model (`captions` of this package). limit: only the first images.

    Raises:
        ImageError: a file is missing or not in COCO's form.
    """
    labelled = sources.panoptic_set(root, split)
    own = root / "annotations" / f"captions_{split}.json"
    said = _texts([*([own] if own.is_file() else []), *captions])
    guessed = _texts(pseudo)
    return [
        Item(
            image, tuple(labelled.names[k] for k in image.classes),
            tuple(not labelled.stuff[k] for k in image.classes),
            said.get(image.image_id, ()), guessed.get(image.image_id, ()),
        )
        for image in labelled.images[:limit]
    ]  # fmt: skip


def _texts(files: Sequence[Path]) -> Mapping[int, tuple[str, ...]]:
    table: dict[int, tuple[str, ...]] = {}
    for path in files:
        for annotation in coco.read_json(path)["annotations"]:
            try:
                image, text = int(annotation["image_id"]), " ".join(annotation["caption"].split())
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ImageError(f"{path} is not in COCO's captions form ({error!r}).") from None
            table[image] = (*table.get(image, ()), text)
    return table
