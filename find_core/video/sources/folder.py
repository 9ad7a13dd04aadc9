"""Folders of images, played at a given rate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from find_core.images import read_image
from find_core.video.sources.base import SourceError, SourceFrame, file_identity

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


class FolderSource:
    """Images of a folder in natural order (2 before 10), at a given rate."""

    is_live = False

    def __init__(self, path: Path, fps: float) -> None:
        self.name, self.fps = path.name, fps
        self.paths = sorted(
            (p for p in path.iterdir() if p.suffix.lower() in PICTURES), key=_natural
        )
        if not self.paths:
            raise SourceError(f"{path} holds no images ({', '.join(PICTURES)}).")
        if not fps > 0:
            raise SourceError(f"fps is {fps}: give the images' rate, e.g. --fps 10.")
        self.frame_count, self.duration_s = len(self.paths), len(self.paths) / fps
        self.identity = f"{path.name}:{len(self.paths)}:{fps}:{file_identity(self.paths[-1])}"

    def frames(
        self, start_s: float = 0.0, stop_s: float = float("inf"), first_index: int = 0
    ) -> Iterator[SourceFrame]:
        for n, index in enumerate(self._indices(start_s, stop_s, 1)):
            yield self._frame(index, first_index + n)

    def sample(self, period_s: float) -> Iterator[SourceFrame]:
        for index in self._indices(0.0, float("inf"), max(1, round(period_s * self.fps))):
            yield self._frame(index, index)

    def _indices(self, start_s: float, stop_s: float, step: int) -> range:
        first = max(0, int(np.ceil((start_s - 1e-6) * self.fps)))
        last = int(min(len(self.paths), np.ceil((stop_s - 1e-6) * self.fps)))
        return range(first, last, step)

    def _frame(self, index: int, number: int) -> SourceFrame:
        time_s = index / self.fps
        return SourceFrame(number, time_s, round(time_s * 1e9), read_image(self.paths[index]))


def _natural(path: Path) -> list[Any]:
    """Sort key in which frame_2 comes before frame_10."""
    return [int(t) if t.isdigit() else t.lower() for t in re.split(r"(\d+)", path.name)]
