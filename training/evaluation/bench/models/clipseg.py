"""CLIPSeg of transformers: a mask for a phrase, or for a visual example.

Visual examples are shown as its paper found best: cropped to the object, the rest darkened and
blurred (Lueddecke and Ecker 2022, arXiv 2112.10003, 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from find_core.prompts.prompt import Prompt, Reference
from training.evaluation.bench.model import ClassQuery, SegmentAnswer
from training.evaluation.bench.models.hub import HubModel, as_pil, load_pair, resized, to_bool

THRESHOLD = 0.5
AT_ONCE = 16
MARGIN = 0.25
"""Of the object's box, left around it."""
DARK = 0.1


class ClipSeg(HubModel):
    """`CLIPSegForImageSegmentation`."""

    class_prompts = ("name", "description", "visual")
    notes = (f"A pixel is the phrase's where its sigmoid is above {THRESHOLD}.",)

    def __init__(self, model: Any, processor: Any, path: str = "") -> None:
        super().__init__("CLIPSeg", path, model)
        self.model, self.processor = model, processor

    @classmethod
    def load(cls, path: str) -> ClipSeg:
        return cls(*load_pair("CLIPSegForImageSegmentation", path), path)

    def segment(self, image: np.ndarray, classes: Sequence[ClassQuery]) -> SegmentAnswer:
        queries = [c.prompt if isinstance(c.prompt, str) else _query(c.prompt) for c in classes]
        logits = self.logits(image, queries)
        return SegmentAnswer(
            class_map=resized(logits, (image.shape[0], image.shape[1]))
            .argmax(0)
            .int()
            .cpu()
            .numpy()
        )

    def ground(self, image: np.ndarray, phrases: Sequence[str]) -> np.ndarray:
        return self._masks(image, list(phrases))

    def localize(self, image: np.ndarray, prompt: Prompt) -> np.ndarray:
        return self._masks(image, [e.reference or e.label for e in prompt.entities])

    def _masks(self, image: np.ndarray, queries: Sequence[str | Reference]) -> np.ndarray:
        probability = self.logits(image, queries).sigmoid()
        return to_bool(resized(probability, (image.shape[0], image.shape[1])) > THRESHOLD)

    @torch.inference_mode()
    def logits(self, image: np.ndarray, queries: Sequence[str | Reference]) -> Tensor:
        """(N, h, w) for each phrase or example."""
        pixels = self._pixels(image)
        conditions = torch.stack([self._condition(query) for query in queries])
        out = []
        for part in conditions.split(AT_ONCE):
            answer = self.model(
                pixel_values=pixels.expand(len(part), -1, -1, -1), conditional_embeddings=part
            )
            out.append(answer.logits.reshape(len(part), *answer.logits.shape[-2:]))
        return torch.cat(out)

    def _condition(self, query: str | Reference) -> Tensor:
        """(D,) the vector that stands for a phrase or an example."""
        if isinstance(query, str):
            tokens = self.processor.tokenizer([query], padding=True, truncation=True, return_tensors="pt")  # fmt: skip
            return self.model.get_conditional_embeddings(batch_size=1, **tokens.to(self.device))[0]
        shown = self._pixels(highlighted(query.image, query.mask))
        return self.model.get_conditional_embeddings(batch_size=1, conditional_pixel_values=shown)[
            0
        ]

    def _pixels(self, image: np.ndarray) -> Tensor:
        inputs = self.processor.image_processor(as_pil(image), return_tensors="pt")
        return inputs["pixel_values"].to(self.device)


def _query(prompt: Prompt) -> str | Reference:
    return prompt.entities[0].reference or prompt.text


def highlighted(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 RGB: the object's surroundings, what is not it darkened and blurred."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    high, wide = (round(MARGIN * (v[-1] + 1 - v[0])) for v in (rows, cols))
    window = np.s_[max(0, rows[0] - high) : rows[-1] + 1 + high, max(0, cols[0] - wide) : cols[-1] + 1 + wide]  # fmt: skip
    dim = (cv2.GaussianBlur(image[window], (0, 0), 10) * DARK).astype(np.uint8)
    return np.where(mask[window][..., None], image[window], dim)
