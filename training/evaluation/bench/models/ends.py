"""The two ends of the scale: an oracle that is told the answers, and a model that never looks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from find_core.masks import box_of_mask
from find_core.prompts.prompt import Prompt
from find_core.prompts.region import Region
from find_core.results import InstanceSegmentation, PanopticSegmentation, Segment
from training.evaluation.bench.model import ClassQuery, Hint, SegmentAnswer, Vectors, unit_rows

DIM = 64


class Oracle:
    """Answers what it was told: a suite that gives it less than 1 asks for what nobody can answer."""

    name, fingerprint = "oracle", "oracle"
    class_prompts = ("name", "description", "visual")

    def __init__(self) -> None:
        self._hint = Hint()

    def tell(self, hint: Hint) -> None:
        self._hint = hint

    def segment(self, image: np.ndarray, classes: Sequence[ClassQuery]) -> SegmentAnswer:
        id_map = np.zeros(image.shape[:2], np.int32)
        segments = []
        for n, (mask, kind) in enumerate(zip(self._hint.masks, self._hint.classes, strict=True), 1):
            id_map[mask] = n
            thing = not classes[kind].stuff
            segments.append(
                Segment(n, kind, classes[kind].name, thing, 1.0, mask, box_of_mask(mask))
            )
        things = tuple(s for s in segments if s.is_thing)
        return SegmentAnswer(
            PanopticSegmentation(id_map, tuple(segments)), InstanceSegmentation(things)
        )

    def ground(self, image: np.ndarray, phrases: Sequence[str]) -> np.ndarray:
        return np.stack(self._hint.masks)

    def localize(self, image: np.ndarray, prompt: Prompt) -> np.ndarray:
        return np.stack(self._hint.masks)

    def interact(
        self, image: np.ndarray, objects: Sequence[Sequence[Region]], state: Any = None
    ) -> tuple[np.ndarray, Any]:
        return np.stack(self._hint.masks), None

    def embed_image(self, image: np.ndarray) -> Vectors:
        return Vectors(self._vector())

    def embed_text(self, text: str) -> Vectors:
        return Vectors(self._vector())

    def embed_interleaved(self, prompt: Prompt) -> Vectors:
        return Vectors(self._vector())

    def _vector(self) -> np.ndarray:
        """One direction for each key."""
        seed = int(hashlib.sha256(self._hint.key.encode()).hexdigest()[:16], 16)
        return unit_rows(np.random.default_rng(seed).standard_normal((1, DIM)))[0]


class Blind:
    """Answers from the question alone: the first class everywhere, the middle of the image for a
    phrase, a disc around a stroke, one vector for everything."""

    name, fingerprint = "blind", "blind"
    class_prompts = ("name", "description", "visual")

    def segment(self, image: np.ndarray, classes: Sequence[ClassQuery]) -> SegmentAnswer:
        every = np.ones(image.shape[:2], bool)
        segment = Segment(
            1, 0, classes[0].name, not classes[0].stuff, 1.0, every, box_of_mask(every)
        )
        things = (segment,) if segment.is_thing else ()
        panoptic = PanopticSegmentation(every.astype(np.int32), (segment,))
        return SegmentAnswer(panoptic, InstanceSegmentation(things))

    def ground(self, image: np.ndarray, phrases: Sequence[str]) -> np.ndarray:
        height, width = image.shape[:2]
        middle = np.zeros((height, width), bool)
        middle[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
        return np.repeat(middle[None], len(phrases), axis=0)

    def localize(self, image: np.ndarray, prompt: Prompt) -> np.ndarray:
        return self.ground(image, [e.label for e in prompt.entities])

    def interact(
        self, image: np.ndarray, objects: Sequence[Sequence[Region]], state: Any = None
    ) -> tuple[np.ndarray, Any]:
        height, width = image.shape[:2]
        masks = []
        for regions in objects:
            mask = np.zeros((height, width), bool)
            for region in regions:
                stroke = region.to_mask(height, width)
                rows, cols = np.nonzero(stroke)
                radius = max(min(height, width) / 8, np.sqrt(len(rows) / np.pi))
                disc = Region.circle(float(cols.mean()), float(rows.mean()), radius).to_mask(height, width)  # fmt: skip
                mask = mask | disc if region.positive else mask & ~disc
            masks.append(mask)
        return np.stack(masks), None

    def embed_image(self, image: np.ndarray) -> Vectors:
        return Vectors(np.ones(1, np.float32))

    def embed_text(self, text: str) -> Vectors:
        return Vectors(np.ones(1, np.float32))

    def embed_interleaved(self, prompt: Prompt) -> Vectors:
        return Vectors(np.ones(1, np.float32))
