"""Records and images of a pack: JSON for the labels, one file for the pixels."""

from __future__ import annotations

import dataclasses
import functools
import json
import lzma
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.data.augment import ViewConfig
from training.data.formats.records import (
    InstanceLabel,
    LabelKind,
    PhraseLabel,
    Record,
    SentenceLabel,
)
from training.data.store import RowShape, StoredView
from training.data.views import view_of
from training.pack.codec import decode_image, decode_numbers

ROWS, LABELS = "rows.bin", "labels.json.xz"
VIEWS = 10_000
"""Different random views of one image."""


def record_to_json(record: Record) -> dict[str, Any]:
    """Everything but how its pixels are read."""
    data = {f.name: getattr(record, f.name) for f in dataclasses.fields(record) if f.name != "read"}
    data["instances"] = [
        dataclasses.asdict(i) | {"names": sorted(i.names), "label_kind": i.label_kind.value}
        for i in record.instances
    ]
    data["phrases"] = [dataclasses.astuple(p) for p in record.phrases]
    data["sentences"] = [dataclasses.astuple(s) for s in record.sentences]
    return data


def record_from_json(data: dict[str, Any], path: str, place: Sequence[int]) -> Record:
    """A record whose pixels are at (start, image bytes, label bytes) of a pack's file."""
    instances = tuple(
        InstanceLabel(**{
            **i, "names": frozenset(i["names"]), "label_kind": LabelKind(i["label_kind"]),
            "box_xyxy": None if i["box_xyxy"] is None else tuple(i["box_xyxy"]),
        })
        for i in data["instances"]
    )  # fmt: skip
    phrases = tuple(PhraseLabel(text, tuple(of), kind) for text, of, kind in data["phrases"])
    sentences = tuple(
        SentenceLabel(markup, tuple(tuple(e) for e in entities))
        for markup, entities in data["sentences"]
    )
    made: dict[str, Any] = {"instances": instances, "phrases": phrases, "sentences": sentences}
    rest: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k not in made
    }
    return Record(read=functools.partial(read_row, path, *place), **made, **rest)


def read_row(
    path: str, start: int, image_bytes: int, label_bytes: int
) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 RGB and (H, W) uint8 instance numbers."""
    with Path(path).open("rb") as file:
        file.seek(start)
        data = file.read(image_bytes + label_bytes)
    return decode_image(data[:image_bytes]), decode_numbers(data[image_bytes:])


def read_parts(parts: Iterable[Path]) -> dict[str, Record]:
    """All records of a pack's folders by key."""
    records: dict[str, Record] = {}
    for part in parts:
        path = part / LABELS
        if path.is_file():
            for row in json.loads(lzma.decompress(path.read_bytes())):
                record = record_from_json(row["record"], str(part / ROWS), row["place"])
                records[record.key] = record
    return records


class PixelStore:
    """Reads like a feature store, but a view's only "feature map" is its image: a GPU encodes it.

    Args:
        min_crop: smallest side of a crop, for each part of the recipe's data.
    """

    def __init__(
        self,
        records: dict[str, Record],
        view: ViewConfig,
        min_crop: Mapping[str, float] | None = None,
    ) -> None:
        self.records, self.view, self.min_crop = records, view, min_crop or {}
        self.shape = RowShape((3,), view.height, view.width)
        self._keys = list(records)
        self.views = {key: _Variants(n) for n, key in enumerate(self._keys)}

    def refresh(self) -> int:
        return len(self._keys)

    def load(self, view: StoredView) -> tuple[list[np.ndarray], np.ndarray, StoredView]:
        """One (3, H, W) uint8 map, the (H, W) instance numbers, and the view as made."""
        record = self.records[self._keys[view.row]]
        least = self.min_crop.get(part_of(record), self.view.min_crop)
        made = view_of(record, view.variant, dataclasses.replace(self.view, min_crop=least))
        as_made = dataclasses.replace(view, mirrored=made.mirrored, cropped=made.cropped)
        return [made.image.transpose(2, 0, 1)], made.numbers, as_made


def part_of(record: Record) -> str:
    """Which part of a recipe's data a record belongs to."""
    for what in ("composite", "reference"):
        if record.key.startswith(f"{what}/"):
            return f"{what}s"
    return "photographs" if record.is_photograph else "rendered"


class _Variants(Sequence[StoredView]):
    """All views of one image, made when they are asked for."""

    def __init__(self, row: int) -> None:
        self.row = row

    def __len__(self) -> int:
        return VIEWS

    def __getitem__(self, n: Any) -> Any:
        if not 0 <= n < VIEWS:
            raise IndexError(n)
        return StoredView("pack", self.row, n + 1, False, False)


def pixels_to_float(maps: Sequence[Tensor], mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(B, 3, H, W) float32 as the encoder reads it."""
    image = maps[0].float()
    shift = torch.tensor(mean, device=image.device)[:, None, None]
    return (image - shift) / torch.tensor(std, device=image.device)[:, None, None]
