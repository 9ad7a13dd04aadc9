"""The worst and the best answers of a suite, as pictures: truth on the left, answer on the right."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from find_core.drawing.contact_sheet import resize_to_width
from find_core.drawing.overlay import draw_localization
from find_core.masks import box_of_mask
from find_core.results import Entity, Localization, PanopticSegmentation
from training.evaluation.bench.quality import PanopticTruth

WIDTH_PX = 360
KEPT = 6


@dataclass(frozen=True)
class Case:
    """A picture, (H, W, 3) uint8 RGB, and what is to be said of it."""

    score: float
    caption: str
    picture: np.ndarray


@dataclass
class Cases:
    """Keeps the `kept` worst and best; a picture is drawn only if it is kept."""

    kept: int = KEPT
    _worst: list[tuple[float, int, Case]] = field(default_factory=list)
    _best: list[tuple[float, int, Case]] = field(default_factory=list)
    _count: int = 0

    def add(self, score: float, caption: str, draw: Callable[[], np.ndarray]) -> None:
        self._count += 1
        case = None
        for heap, key in ((self._worst, -score), (self._best, score)):
            if len(heap) < self.kept or key > heap[0][0]:
                case = case or Case(score, caption, resize_to_width(draw(), 2 * WIDTH_PX))
                heapq.heappush(heap, (key, -self._count, case))  # of equals the first stays
                if len(heap) > self.kept:
                    heapq.heappop(heap)

    def worst(self) -> list[Case]:
        return [case for _, _, case in sorted(self._worst, key=lambda c: (-c[0], -c[1]))]

    def best(self) -> list[Case]:
        """Best first, without those that are among the worst too."""
        ordered = sorted(self._best, key=lambda c: (-c[0], -c[1]))
        bad = {id(case) for _, _, case in self._worst}
        return [case for _, _, case in ordered if id(case) not in bad]


def truth_and_answer(
    image: np.ndarray, labels: Sequence[str], truth: Sequence[np.ndarray],
    found: Sequence[np.ndarray], strokes: Sequence[np.ndarray] = (),
) -> np.ndarray:  # fmt: skip
    """(H, 2W, 3) uint8 RGB: masks of one image beside each other, strokes in white on the left."""
    left = _drawn(image, labels, truth, "truth")
    for stroke in strokes:
        contours, _ = cv2.findContours(stroke.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)  # fmt: skip
        cv2.drawContours(left, contours, -1, (255, 255, 255), 2)
    return np.hstack([left, _drawn(image, labels, found, "answer")])


def _drawn(
    image: np.ndarray, labels: Sequence[str], masks: Sequence[np.ndarray], header: str
) -> np.ndarray:
    entities = tuple(
        Entity(1.0, mask, box_of_mask(mask), np.zeros(1, np.float32), label=label, found=bool(mask.any()))
        for label, mask in zip(labels, masks, strict=True)
    )  # fmt: skip
    height, width = image.shape[:2]
    return draw_localization(image, Localization(1.0, entities, height, width), header=header)


def panoptic_picture(
    image: np.ndarray, names: Sequence[str], truth: PanopticTruth, found: PanopticSegmentation
) -> np.ndarray:
    """(H, 2W, 3) uint8 RGB: true segments and the answered ones, by the names of their classes."""
    shown = [truth.id_map == number for number in truth.ids]
    left = _drawn(image, [names[k] for k in truth.classes], shown, "truth")
    answered = [s for s in found.segments if s.mask.any()]
    labels = [names[s.class_index] for s in answered]
    right = _drawn(image, labels, [s.mask for s in answered], "answer")
    return np.hstack([left, right])
