"""SAM 3 of transformers: masks of a phrase, or of what looks like a box of the same image.

A phrase is answered by the instance with the best score; where the phrase names several, that is the
one that counts here. Boxes of the same image are its exemplars. The model asks for the torchvision
package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from find_core.errors import FindError
from find_core.masks import box_of_mask
from find_core.prompts.prompt import Prompt
from find_core.results import InstanceSegmentation, Segment
from training.evaluation.bench.model import ClassQuery, SegmentAnswer
from training.evaluation.bench.models.hub import HubModel, as_pil, load_pair, resized, to_bool

INSTANCE_SCORE = 0.05
MOST_INSTANCES = 100


class Sam3(HubModel):
    """`Sam3Model`."""

    class_prompts = ("name", "description")

    def __init__(self, model: Any, processor: Any, path: str = "") -> None:
        super().__init__("SAM 3", path, model)
        self.model, self.processor = model, processor
        self._last: tuple[np.ndarray, Any] | None = None

    @classmethod
    def load(cls, path: str) -> Sam3:
        return cls(*load_pair("Sam3Model", path, "Sam3Processor"), path)

    def ground(self, image: np.ndarray, phrases: Sequence[str]) -> np.ndarray:
        return np.stack([self._best(image, text=phrase) for phrase in phrases])

    def localize(self, image: np.ndarray, prompt: Prompt) -> np.ndarray:
        """References into the image itself are exemplars.

        Raises:
            FindError: a reference shows another image.
        """
        masks = []
        for entity in prompt.entities:
            if entity.reference is None:
                masks.append(self._best(image, text=entity.label))
            elif entity.reference.image is image:
                masks.append(self._best(image, box_xyxy=box_of_mask(entity.reference.mask)))
            else:
                raise FindError(f"{self.name} takes exemplars of the image itself, not of another.")
        return np.stack(masks)

    def segment(self, image: np.ndarray, classes: Sequence[ClassQuery]) -> SegmentAnswer:
        """Countable classes, asked one by one over an image that is encoded once."""
        found: list[tuple[float, int, np.ndarray]] = []
        for k, asked in enumerate(classes):
            if asked.stuff:
                continue
            text = asked.prompt if isinstance(asked.prompt, str) else asked.prompt.text
            scores, masks = self._answers(image, text=text)
            for n in torch.nonzero(scores >= INSTANCE_SCORE)[:, 0].tolist():
                mask = to_bool(resized(masks[n : n + 1], (image.shape[0], image.shape[1])) > 0)[0]
                if mask.any():
                    found.append((float(scores[n]), k, mask))
        found.sort(key=lambda item: -item[0])
        segments = tuple(
            Segment(n, k, classes[k].name, True, score, mask, box_of_mask(mask))
            for n, (score, k, mask) in enumerate(found[:MOST_INSTANCES], 1)
        )
        return SegmentAnswer(instances=InstanceSegmentation(segments))

    def _best(self, image: np.ndarray, **asked: Any) -> np.ndarray:
        scores, masks = self._answers(image, **asked)
        best = int(scores.argmax())
        return to_bool(resized(masks[best : best + 1], (image.shape[0], image.shape[1])) > 0)[0]

    @torch.inference_mode()
    def _answers(
        self, image: np.ndarray, text: str | None = None, box_xyxy: np.ndarray | None = None
    ) -> tuple[Tensor, Tensor]:
        """(N,) scores and (N, h, w) mask logits of all candidates."""
        boxes = {} if box_xyxy is None else {"input_boxes": [[box_xyxy.tolist()]], "input_boxes_labels": [[1]]}  # fmt: skip
        inputs = self.processor(
            images=as_pil(image), text=text or "visual", return_tensors="pt", **boxes
        ).to(self.device)
        pixels = inputs.pop("pixel_values")
        if self._last is None or self._last[0] is not image:
            self._last = image, self.model.get_vision_features(pixel_values=pixels)
        inputs.pop("original_sizes", None)
        outputs = self.model(vision_embeds=self._last[1], **inputs)
        scores = outputs.pred_logits[0].sigmoid()
        if outputs.presence_logits is not None:
            scores = scores * outputs.presence_logits[0].sigmoid()
        return scores, outputs.pred_masks[0]
