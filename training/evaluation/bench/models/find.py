"""find_core's model as the suites ask it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from find_core.predictor import Find
from find_core.prompts.compiled import to_unit
from find_core.prompts.prompt import Prompt
from find_core.prompts.region import Region
from find_core.results import InteractiveSegmentation
from find_core.scene import Scene
from find_core.tasks.retrieve import paper_query
from training.evaluation.bench.model import ClassQuery, SegmentAnswer, Vectors


class FindAdapter:
    """Every method; an image is encoded once for all that is asked of it in a row."""

    class_prompts = ("name", "description", "visual")

    def __init__(self, find: Find) -> None:
        self.find = find
        self._last: tuple[np.ndarray, Scene] | None = None

    @property
    def name(self) -> str:
        return self.find.name

    @property
    def fingerprint(self) -> str:
        return self.find.fingerprint

    @property
    def input_px(self) -> list[int]:
        """Short and longest side of the model's input."""
        return [self.find.config.vision.short_side_px, self.find.config.vision.max_side_px]

    def scene(self, image: np.ndarray) -> Scene:
        if self._last is None or self._last[0] is not image:
            self._last = image, self.find.encode(image)
        return self._last[1]

    def segment(self, image: np.ndarray, classes: Sequence[ClassQuery]) -> SegmentAnswer:
        scene = self.scene(image)
        prompts = [c.prompt for c in classes]
        stuff = [
            c.prompt if isinstance(c.prompt, str) else c.prompt.text for c in classes if c.stuff
        ]
        return SegmentAnswer(
            panoptic=scene.segment(prompts, "panoptic", stuff=stuff),
            instances=scene.segment(prompts, "instance", stuff=stuff),
            class_map=scene.segment(prompts, "semantic", stuff=stuff).class_map,
        )

    def ground(self, image: np.ndarray, phrases: Sequence[str]) -> np.ndarray:
        return np.stack([e.mask for e in self.scene(image).ground(phrases)])

    def localize(self, image: np.ndarray, prompt: Prompt) -> np.ndarray:
        return np.stack([e.mask for e in self.scene(image).localize(prompt)])

    def interact(
        self, image: np.ndarray, objects: Sequence[Sequence[Region]],
        state: InteractiveSegmentation | None = None,
    ) -> tuple[np.ndarray, Any]:  # fmt: skip
        answer = self.scene(image).interact(*objects, previous=state)
        return answer.masks, answer

    def embed_image(self, image: np.ndarray) -> Vectors:
        scene = self.scene(image)
        return Vectors(scene.embedding, scene.object_embeddings)

    def embed_text(self, text: str) -> Vectors:
        return Vectors(self.find.embed_caption(text))

    def embed_interleaved(self, prompt: Prompt) -> Vectors:
        """The published protocol's vectors where the model chooses as published, else those that a
        compiled prompt has."""
        if self.find.config.selection == "paper":
            query = paper_query(self.find, prompt)
            return Vectors(query.embedding, query.entities)
        compiled = self.find.compile(prompt)
        return Vectors(compiled.embedding, compiled.entity_embeddings)

    def embed_region(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return to_unit(self.scene(image).object_row_at(mask)[None])[0]
