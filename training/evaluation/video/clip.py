"""A rendered clip on disk: its frames, its labels and its prompt."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from find_core.images import read_image, read_labels
from find_core.prompts.prompt import Prompt, Reference

VISIBLE_PX = 80
"""Of 384 x 288 pixels: frames with fewer pixels of the target count as neither shown nor hidden."""


@dataclass(frozen=True)
class Clip:
    """A rendered clip. description: its clip.json; folder: where its frames and ids lie."""

    folder: Path
    description: dict[str, Any]

    @property
    def count(self) -> int:
        return len(list((self.folder / "frames").iterdir()))

    def frame(self, n: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return read_image(self.folder / "frames" / f"{n:06d}.jpg")

    def truth(self, n: int) -> dict[int, np.ndarray]:
        """Object number -> (H, W) bool mask, for the targets that show."""
        ids = read_labels(self.folder / "ids" / f"{n:06d}.png")
        masks = {t: ids == t for t in self.description["targets"]}
        return {t: m for t, m in masks.items() if np.count_nonzero(m) >= VISIBLE_PX}

    def prompt(self) -> Prompt:
        if "<this>" not in self.description["prompt"]:
            return Prompt.parse(self.description["prompt"])
        mask = read_image(self.folder / "reference_mask.png")[..., 0] > 127
        photo = Reference(read_image(self.folder / "reference.png"), mask=mask)
        return Prompt.parse(self.description["prompt"], this=photo)


def read_clips(folder: Path) -> list[Clip]:
    """The finished clips of a folder, by name."""
    found = sorted(folder.glob("*/clip.json"))
    if not found:
        raise FileNotFoundError(
            f"No clips in {folder}: python -m training.evaluation.video.render --out {folder}"
        )
    return [Clip(path.parent, json.loads(path.read_text())) for path in found]
