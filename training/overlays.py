"""Pictures of what a model answers: masks over the image, one colour per entity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from find_core.predictor import Find
from find_core.prompts import Prompt

COLORS = (
    (230, 60, 60),
    (60, 120, 230),
    (60, 180, 75),
    (240, 170, 30),
    (170, 70, 200),
    (70, 200, 200),
)


def overlay(find: Find, image: np.ndarray, prompt: Prompt | str) -> np.ndarray:
    """(H + 22, W, 3) uint8 RGB: the best candidate of every entity, and its score below.

    Found entities are filled, others only outlined.
    """
    answer = find.encode(image).localize(prompt)
    out = image.copy()
    words = []
    for k, entity in enumerate(answer.entities):
        color = COLORS[k % len(COLORS)]
        if entity.found:
            out[entity.mask] = (0.45 * out[entity.mask] + 0.55 * np.array(color)).astype(np.uint8)
        edges, _ = cv2.findContours(entity.mask.astype(np.uint8), cv2.RETR_EXTERNAL,
                                    cv2.CHAIN_APPROX_NONE)  # fmt: skip
        cv2.drawContours(out, edges, -1, color, 1 + entity.found)
        words.append((f"{entity.label} {entity.score:.2f}", color))
    return np.vstack([out, _footer(words, image.shape[1])])


def _footer(words: Sequence[tuple[str, tuple[int, int, int]]], width: int) -> np.ndarray:
    strip = np.full((22, width, 3), 255, np.uint8)
    x = 4
    for text, color in words:
        cv2.putText(strip, text, (x, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, color, 1, cv2.LINE_AA)
        x += 8 * len(text) + 10
    return strip


def sheet(pictures: Sequence[np.ndarray], path: Path, columns: int = 3) -> None:
    """Write a contact sheet PNG; all pictures must have one size."""
    blank = np.full_like(pictures[0], 255)
    cells = [*pictures, *[blank] * (-len(pictures) % columns)]
    rows = [np.hstack(cells[n : n + columns]) for n in range(0, len(cells), columns)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])
