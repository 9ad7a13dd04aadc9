"""Detectors by phrase, with SAM for the masks: Grounding DINO and OWLv2 of transformers.

For a phrase the box with the best score is taken, whatever the score is, because every phrase of
these suites names something that is there; SAM turns the box into a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from find_core.masks import box_of_mask
from find_core.prompts.prompt import Prompt
from find_core.prompts.region import Region
from find_core.results import InstanceSegmentation, Segment
from training.data.queries.strokes import click
from training.evaluation.bench.model import ClassQuery, SegmentAnswer, crop
from training.evaluation.bench.models.hub import HubModel, as_pil, load_pair, to_bool

INSTANCE_SCORE = 0.05
MOST_INSTANCES = 100
POINTS = 5
"""Points that a stroke becomes."""
PHRASES_AT_ONCE = 16


class Sam:
    """`SamModel`: masks of boxes and of points."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model, processor
        self._last: tuple[np.ndarray, Tensor] | None = None

    @classmethod
    def load(cls, path: str) -> Sam:
        return cls(*load_pair("SamModel", path, "SamProcessor"))

    @torch.inference_mode()
    def masks(self, image: np.ndarray, **prompts: Any) -> np.ndarray:
        """(N, H, W) bool: for each prompt the mask that the model thinks best.

        Args:
            prompts: `input_boxes` or `input_points` and `input_labels` as the processor takes them.
        """
        device = self.model.device
        inputs = self.processor(as_pil(image), return_tensors="pt", **prompts).to(device)
        sizes = inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")
        pixels = inputs.pop("pixel_values")
        if self._last is None or self._last[0] is not image:
            self._last = image, self.model.get_image_embeddings(pixels)
        inputs = {k: v.float() if v.is_floating_point() else v for k, v in inputs.items()}
        outputs = self.model(image_embeddings=self._last[1], **inputs)
        every = self.processor.image_processor.post_process_masks(outputs.pred_masks.cpu(), *sizes)[
            0
        ]
        best = outputs.iou_scores[0].argmax(-1).cpu()
        return to_bool(every[torch.arange(len(every)), best])

    def of_boxes(self, image: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
        """(N, H, W) bool of (N, 4) pixel edges."""
        if not len(boxes_xyxy):
            return np.zeros((0, *image.shape[:2]), bool)
        return self.masks(image, input_boxes=[np.asarray(boxes_xyxy, float).tolist()])

    def of_strokes(self, image: np.ndarray, objects: Sequence[Sequence[Region]]) -> np.ndarray:
        """(N, H, W) bool: a box alone as a box, other strokes as points."""
        out = []
        for regions in objects:
            if len(regions) == 1 and regions[0].kind == "box":
                out.append(self.of_boxes(image, regions[0].data[None])[0])
                continue
            points, labels = [], []
            for region in regions:
                found = points_of(region.to_mask(*image.shape[:2]))
                points += found
                labels += [int(region.positive)] * len(found)
            out.append(self.masks(image, input_points=[[points]], input_labels=[[labels]])[0])
        return np.stack(out)


def points_of(stroke: np.ndarray) -> list[list[float]]:
    """The deepest point of a (H, W) bool stroke, and others spread over it, as x, y pixels."""
    rows, cols = np.nonzero(click(stroke))
    points = [[float(cols.mean()), float(rows.mean())]]
    rows, cols = np.nonzero(stroke)
    if len(rows) > 9:  # more than a dot
        picked = np.linspace(0, len(rows) - 1, POINTS).astype(int)
        points += [[float(cols[k]), float(rows[k])] for k in picked[1:-1]]
    return points


class BoxModel(HubModel):
    """Phrases to boxes to masks. `best_boxes` is the detector's own."""

    class_prompts: tuple[str, ...] = ("name", "description")

    def __init__(self, kind: str, path: str, detector: Any, processor: Any, sam: Sam) -> None:
        super().__init__(kind, path, detector, sam.model)
        self.detector, self.processor, self.sam = detector, processor, sam

    def boxes(self, image: np.ndarray, phrases: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(N, P) scores of N boxes for P phrases and (P, N, 4) boxes in pixel edges."""
        raise NotImplementedError

    def ground(self, image: np.ndarray, phrases: Sequence[str]) -> np.ndarray:
        scores, boxes = self.boxes(image, phrases)
        best = scores.argmax(0)
        chosen = boxes[torch.arange(len(phrases)), best]
        return self.sam.of_boxes(image, chosen.cpu().numpy())

    def interact(
        self, image: np.ndarray, objects: Sequence[Sequence[Region]], state: Any = None
    ) -> tuple[np.ndarray, Any]:
        return self.sam.of_strokes(image, objects), None

    def segment(self, image: np.ndarray, classes: Sequence[ClassQuery]) -> SegmentAnswer:
        """Countable classes alone: a detector has no regions."""
        things = [k for k, c in enumerate(classes) if not c.stuff]
        texts = [c.prompt if isinstance(c.prompt, str) else c.prompt.text for c in classes]
        scores, boxes = self.boxes(image, [texts[k] for k in things])
        flat = scores.flatten()
        order = flat.argsort(descending=True)[:MOST_INSTANCES]
        order = order[flat[order] >= INSTANCE_SCORE]
        rows, columns = order // scores.shape[1], order % scores.shape[1]
        masks = self.sam.of_boxes(image, boxes[columns, rows].cpu().numpy())
        segments = tuple(
            Segment(n, things[k], classes[things[k]].name, True, score, mask, box_of_mask(mask))
            for n, (k, score, mask) in enumerate(
                zip(columns.tolist(), flat[order].tolist(), masks, strict=True), 1)
        )  # fmt: skip
        return SegmentAnswer(instances=InstanceSegmentation(segments))


class GroundingDinoSam(BoxModel):
    """`GroundingDinoForObjectDetection`: a box's score for a phrase is its best token's."""

    @classmethod
    def load(cls, path: str, sam: str) -> GroundingDinoSam:
        pair = load_pair("GroundingDinoForObjectDetection", path)
        return cls("Grounding DINO + SAM", path, *pair, Sam.load(sam))

    @torch.inference_mode()
    def boxes(self, image: np.ndarray, phrases: Sequence[str]) -> tuple[Tensor, Tensor]:
        columns, boxes = [], []
        for first in range(0, len(phrases), PHRASES_AT_ONCE):
            some = [p.lower().replace(".", " ").strip() for p in phrases[first : first + PHRASES_AT_ONCE]]  # fmt: skip
            text = ". ".join(some) + "."
            inputs = self.processor(images=as_pil(image), text=text, return_tensors="pt").to(self.device)  # fmt: skip
            outputs = self.detector(**inputs)
            tokens = outputs.logits[0].sigmoid()
            for members in phrase_tokens(self.processor.tokenizer, some):
                inside = [t for t in members if t < tokens.shape[1]]
                columns.append(tokens[:, inside].max(1).values)
                boxes.append(_edges(outputs.pred_boxes[0], image.shape[1], image.shape[0]))
        return torch.stack(columns, 1), torch.stack(boxes)


def phrase_tokens(tokenizer: Any, phrases: Sequence[str]) -> list[list[int]]:
    """Places of each phrase's tokens in "[CLS] first. second. [SEP]"."""
    at, out = 1, []
    for phrase in phrases:
        count = len(tokenizer(phrase, add_special_tokens=False)["input_ids"])
        out.append(list(range(at, at + max(1, count))))
        at += count + 1  # the full stop
    return out


class Owlv2Sam(BoxModel):
    """`Owlv2ForObjectDetection`; examples in other images by `image_guided_detection`."""

    @classmethod
    def load(cls, path: str, sam: str) -> Owlv2Sam:
        pair = load_pair("Owlv2ForObjectDetection", path)
        return cls("OWLv2 + SAM", path, *pair, Sam.load(sam))

    @torch.inference_mode()
    def boxes(self, image: np.ndarray, phrases: Sequence[str]) -> tuple[Tensor, Tensor]:
        inputs = self.processor(
            text=[list(phrases)], images=as_pil(image), truncation=True, return_tensors="pt"
        ).to(self.device)
        outputs = self.detector(**inputs)
        edges = self._pixels(outputs.pred_boxes[0], image)
        return outputs.logits[0].sigmoid(), edges.expand(len(phrases), -1, -1)

    @torch.inference_mode()
    def localize(self, image: np.ndarray, prompt: Prompt) -> np.ndarray:
        chosen = np.zeros((len(prompt.entities), 4))
        words = [k for k, e in enumerate(prompt.entities) if not e.is_visual]
        if words:
            scores, boxes = self.boxes(image, [prompt.entities[k].label for k in words])
            chosen[words] = boxes[torch.arange(len(words)), scores.argmax(0)].cpu().numpy()
        for k, entity in enumerate(prompt.entities):
            if entity.reference is not None:
                shown = crop(entity.reference.image, entity.reference.mask)
                chosen[k] = self._alike(image, shown)
        return self.sam.of_boxes(image, chosen)

    def _alike(self, image: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """(4,) pixel edges of what looks most like an example."""
        inputs = self.processor(images=as_pil(image), query_images=as_pil(shown), return_tensors="pt").to(self.device)  # fmt: skip
        outputs = self.detector.image_guided_detection(**inputs)
        best = outputs.logits[0].max(-1).values.argmax()
        return self._pixels(outputs.target_pred_boxes[0], image)[best].cpu().numpy()

    @staticmethod
    def _pixels(boxes: Tensor, image: np.ndarray) -> Tensor:
        """Shares of the square that the image was padded to, as pixel edges."""
        side = max(image.shape[:2])
        return _edges(boxes, side, side)


def _edges(boxes: Tensor, width: int, height: int) -> Tensor:
    """(N, 4) centre and size in shares -> x1, y1, x2, y2 in pixels."""
    x, y, w, h = boxes.unbind(-1)
    scale = boxes.new_tensor([width, height, width, height])
    return torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1) * scale
