"""A model that finds the colour it is shown: names of colours, and references by their pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np

from find_core.prompts.prompt import Prompt, as_prompt
from tests.find_core.video.fakes import COLORS, ColorFind, ColorPrompt, ColorScene

SIZE = 240, 320  # rows, columns of a frame: room for labels


@dataclass(eq=False)
class ShownPrompt:
    prompt: Prompt
    by_color: ColorPrompt

    @property
    def entity_embeddings(self) -> np.ndarray:
        return self.by_color.entity_embeddings


class ShownFind(ColorFind):
    def compile(self, prompt):
        prompt = as_prompt(prompt)
        colors = [_color_of(e) for e in prompt.entities]
        by_color = super().compile(" ".join(f"<{color}>" for color in colors))
        return ShownPrompt(prompt, by_color)

    def encode(self, image):
        return ShownScene(image, self)


class SizedFind(ShownFind):
    """Of an input size that changes nothing of what it finds."""

    OWN_PX = 128

    def __init__(self, input_px: int = OWN_PX) -> None:
        super().__init__()
        self.config = SimpleNamespace(threshold=0.5, vision=SimpleNamespace(short_side_px=input_px))

    def at_input_px(self, input_px):
        return type(self)(input_px or self.OWN_PX)

    def encode(self, image):
        self.encoded += 1
        return super().encode(image)


class ShownScene(ColorScene):
    def localize(self, compiled, *, threshold=None, fast=False):
        found = super().localize(compiled.by_color, threshold=threshold)
        labels = [e.label for e in compiled.prompt.entities]
        named = tuple(replace(e, label=name) for e, name in zip(found.entities, labels))
        return replace(found, entities=named)


def _color_of(entity) -> str:
    """The known colour nearest to the reference's middle pixel value; a name as it is."""
    if entity.reference is None:
        return entity.label if entity.label in COLORS else "green"
    seen = np.median(entity.reference.image[entity.reference.mask], axis=0)
    return min(COLORS, key=lambda name: np.abs(seen - COLORS[name]).max())
