"""Frozen features, computed once and memory-mapped.

A store is a folder of parts. A part is a table of fixed-size rows (`<part>.bin`: the four feature
maps as float16, then the view's instance numbers as uint8) and one JSON line per finished row
(`<part>.jsonl`), written after the row itself: a process killed in between loses that row only.
Rows are keyed by content: image bytes, view and encoder. Several processes may fill one store,
each its own part, while others read it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from find_core.errors import CheckpointError
from find_core.support.files import open_own, write_text
from find_core.support.json_text import json_text
from find_core.support.printable import shown
from training.data.augment import View

STRIDES = (4, 8, 16, 32)
PLAIN_NAME = re.compile(r"\w[\w-]*")


@dataclass(frozen=True)
class RowShape:
    """Layout of one row: channels of res2..res5 and the view's size in pixels."""

    channels: tuple[int, ...]
    height: int
    width: int

    @property
    def maps(self) -> list[tuple[int, int, int]]:
        return [
            (c, self.height // s, self.width // s)
            for c, s in zip(self.channels, STRIDES, strict=True)
        ]

    @property
    def num_bytes(self) -> int:
        return sum(2 * c * h * w for c, h, w in self.maps) + self.height * self.width


def content_key(image: np.ndarray, numbers: np.ndarray, encoder: str) -> str:
    """Hash of a view's pixels and labels and of the encoder that reads it."""
    digest = hashlib.sha256(encoder.encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    digest.update(np.ascontiguousarray(numbers).tobytes())
    return digest.hexdigest()[:32]


class StoreWriter:
    """Appends rows to one part of a store; a part belongs to one process.

    Raises:
        CheckpointError: the part is no plain name, or the store is of another encoder or size.
    """

    def __init__(self, folder: str | Path, part: str, shape: RowShape, encoder: str) -> None:
        if not PLAIN_NAME.fullmatch(part):
            raise CheckpointError(f"A part is named by letters, digits, '_' and '-', not {shown(part, 40)!r}.")  # fmt: skip
        self.folder, self.shape, self.encoder = Path(folder), shape, encoder
        self.folder.mkdir(parents=True, exist_ok=True)
        _check_layout(self.folder, shape, encoder)
        self._rows = _read_lines(self.folder / f"{part}.jsonl")
        path = self.folder / f"{part}.bin"
        self._bin = open_own(path, "r+b" if self._rows else "w+b", CheckpointError)
        self._log = open_own(path.with_suffix(".jsonl"), "a+b", CheckpointError)
        self._log.truncate(_finished_bytes(self.folder / f"{part}.jsonl"))
        self._bin.truncate(len(self._rows) * shape.num_bytes)
        self._done = {(r["record"], r["variant"]) for r in self._rows}
        self._row = len(self._rows)

    def has(self, record: str, variant: int) -> bool:
        return (record, variant) in self._done

    def append(self, record: str, variant: int, view: View, maps: Sequence[Tensor]) -> None:
        """Add one view: `maps` are its four (C, h, w) feature maps."""
        parts = [m.to(torch.float16).cpu().numpy().tobytes() for m in maps]
        row = b"".join(parts) + view.numbers.tobytes()
        if len(row) != self.shape.num_bytes:
            raise CheckpointError(
                f"A row of the store has {self.shape.num_bytes} bytes, got {len(row)}: the view or "
                "the encoder has another size, use another folder."
            )
        self._bin.seek(self._row * len(row))
        self._bin.write(row)
        self._bin.flush()
        line = {"record": record, "variant": variant, "row": self._row}
        line |= {"mirrored": view.mirrored, "cropped": view.cropped}
        line["content"] = content_key(view.image, view.numbers, self.encoder)
        self._log.write(json_text(line).encode() + b"\n")
        self._log.flush()
        self._done.add((record, variant))
        self._row += 1

    def close(self) -> None:
        self._bin.close()
        self._log.close()


@dataclass(frozen=True)
class StoredView:
    """Where one view lies, and how it was made."""

    part: str
    row: int
    variant: int
    mirrored: bool
    cropped: bool


class FeatureStore:
    """Read side: views by record key."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        layout = json.loads((self.folder / "layout.json").read_text())
        self.shape = RowShape(tuple(layout["channels"]), layout["height"], layout["width"])
        self.encoder: str = layout["encoder"]
        self._maps: dict[str, np.ndarray] = {}
        self.views: dict[str, list[StoredView]] = {}
        self.refresh()

    def refresh(self) -> int:
        """Look for rows that writers have finished since; returns how many views there are."""
        views: dict[str, list[StoredView]] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            for r in _read_lines(path):
                view = StoredView(path.stem, r["row"], r["variant"], r["mirrored"], r["cropped"])
                views.setdefault(r["record"], []).append(view)
        self.views = views
        self._maps.clear()
        return sum(map(len, views.values()))

    def load(self, view: StoredView) -> tuple[list[np.ndarray], np.ndarray, StoredView]:
        """Four float16 maps (C, h, w), the (H, W) uint8 instance numbers, and the view as made."""
        row = self._table(view.part)[view.row]
        maps, start = [], 0
        for shape in self.shape.maps:
            size = 2 * int(np.prod(shape))
            maps.append(row[start : start + size].view(np.float16).reshape(shape))
            start += size
        return maps, row[start:].reshape(self.shape.height, self.shape.width), view

    def _table(self, part: str) -> np.ndarray:
        if part not in self._maps:
            raw = np.memmap(self.folder / f"{part}.bin", np.uint8, "r")
            rows = len(raw) // self.shape.num_bytes
            self._maps[part] = raw[: rows * self.shape.num_bytes].reshape(rows, -1)
        return self._maps[part]


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Finished lines of a part; a half-written last line is not one."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_bytes()[: _finished_bytes(path)].splitlines()]


def _finished_bytes(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1 if path.is_file() else 0


def _check_layout(folder: Path, shape: RowShape, encoder: str) -> None:
    layout = {"channels": list(shape.channels), "height": shape.height, "width": shape.width}
    layout["encoder"] = encoder
    path = folder / "layout.json"
    if not path.is_file():
        write_text(path, json_text(layout), CheckpointError)
    elif json.loads(path.read_text()) != layout:
        raise CheckpointError(
            f"The feature store {folder} was made with other sizes or another encoder: "
            "delete it or choose another --store."
        )
