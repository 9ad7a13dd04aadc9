"""Folders of images, played at a given rate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import ImageError
from find_core.images import read_image
from find_core.support.printable import shown
from find_core.video.sources.base import SourceError, SourceFrame, file_identity, log

MAX_FPS = 1000.0
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


class FolderSource:
    """Images of a folder in natural order (2 before 10), at a given rate."""

    is_live = False

    def __init__(self, path: Path, fps: float) -> None:
        self.name, self.fps = path.name, fps
        self.paths = sorted(
            # "._" files are macOS's notes on files, not images.
            (p for p in path.iterdir() if p.suffix.lower() in PICTURES and p.name[:2] != "._"),
            key=_natural,
        )
        if not self.paths:
            raise SourceError(f"{path} holds no images ({', '.join(PICTURES)}).")
        if not 0 < fps <= MAX_FPS:
            raise SourceError(f"fps is {fps}: give the images' rate, e.g. --fps 10.")
        self.frame_count, self.duration_s = len(self.paths), len(self.paths) / fps
        self.identity = f"{path.name}:{len(self.paths)}:{fps}:{file_identity(self.paths[-1])}"

    def frames(
        self, start_s: float = 0.0, stop_s: float = float("inf"), first_index: int = 0
    ) -> Iterator[SourceFrame]:
        indices = self._indices(start_s, stop_s, 1)
        yield from self._read((index, first_index + n) for n, index in enumerate(indices))

    def sample(self, period_s: float) -> Iterator[SourceFrame]:
        indices = self._indices(0.0, float("inf"), max(1, round(period_s * self.fps)))
        yield from self._read((index, index) for index in indices)

    def _read(self, wanted: Iterable[tuple[int, int]]) -> Iterator[SourceFrame]:
        """Images by position, with their numbers; one that cannot be read is left out and named."""
        left_out = read = 0
        for index, number in wanted:
            time_s = index / self.fps
            try:
                image = read_image(self.paths[index])
            except ImageError as error:
                left_out += 1
                log.warning("Left out: %s", shown(error, 300))
                continue
            read += 1
            yield SourceFrame(number, time_s, round(time_s * 1e9), image)
        if left_out and not read:
            raise SourceError(f"Not one of {left_out} images of {shown(self.name)} can be read.")

    def _indices(self, start_s: float, stop_s: float, step: int) -> range:
        first = max(0, int(np.ceil((start_s - 1e-6) * self.fps)))
        last = int(min(len(self.paths), np.ceil((stop_s - 1e-6) * self.fps)))
        return range(first, last, step)


def _natural(path: Path) -> list[Any]:
    """Sort key in which frame_2 comes before frame_10."""
    return [int(t) if n % 2 else t.lower() for n, t in enumerate(re.split(r"([0-9]+)", path.name))]
