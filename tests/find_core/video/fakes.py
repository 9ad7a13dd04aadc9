"""A stand-in for `Find` that sees coloured rectangles: real masks from real pixels, no weights."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import cv2
import numpy as np

from find_core.prompts.prompt import Prompt, as_prompt
from find_core.results import Entity, Instance, Localization, box_of_mask

COLORS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
GREY = (128, 128, 128)
DIM = 8


@dataclass(eq=False)
class ColorPrompt:
    prompt: Prompt
    entity_embeddings: np.ndarray


class ColorFind:
    """Finds '<red>', '<green>', '<blue>' rectangles; score = area / full_area, at most 1."""

    name, fingerprint, config = "color", "color-find", SimpleNamespace(threshold=0.5)

    def __init__(self, full_area: int = 200) -> None:
        self.full_area, self.encoded = full_area, 0

    def compile(self, prompt):
        prompt = as_prompt(prompt)
        return ColorPrompt(prompt, np.stack([embedding_of(e.label) for e in prompt.entities]))

    def encode(self, image):
        self.encoded += 1
        return ColorScene(image, self)


class ColorScene:
    def __init__(self, image, find) -> None:
        self.image, self.find = image, find
        self.height, self.width = image.shape[:2]

    def localize_many(self, prompts, *, threshold=None, fast=False):
        return [self.localize(p, threshold=threshold) for p in prompts]

    def localize(self, compiled, *, threshold=None, fast=False):
        compiled = compiled if isinstance(compiled, ColorPrompt) else self.find.compile(compiled)
        level = self.find.config.threshold if threshold is None else threshold
        entities = tuple(self._entity(e.label, level) for e in compiled.prompt.entities)
        return Localization(min(e.score for e in entities), entities, self.height, self.width)

    def relevance(self, compiled):
        return self.localize(compiled).relevance

    def _entity(self, label, level):
        near = np.abs(self.image.astype(int) - COLORS[label]).max(-1) < 60
        count, labels = cv2.connectedComponents(near.astype(np.uint8))
        blobs = [self._instance(labels == n, label) for n in range(1, count)]
        blobs = sorted((b for b in blobs if b.mask.sum() > 8), key=lambda b: -b.score)
        best = blobs[0] if blobs else self._instance(np.zeros_like(near), label)
        good = tuple(b for b in blobs if b.score >= level)
        plain = {k: getattr(best, k) for k in ("score", "mask", "box_xyxy", "embedding")}
        return Entity(**plain, label=label, found=bool(good), instances=good)

    def _instance(self, mask, label):
        score = min(1.0, mask.sum() / self.find.full_area)
        return Instance(score, mask, box_of_mask(mask), embedding_of(label))


def embedding_of(label: str) -> np.ndarray:
    return np.eye(DIM)[list(COLORS).index(label)]


def paint(boxes, height=72, width=96, background=GREY) -> np.ndarray:
    """A frame with rectangles: boxes = [(color name, x, y, w, h)], later ones in front."""
    frame = np.full((height, width, 3), background, np.uint8)
    for name, x, y, w, h in boxes:
        x1, y1 = max(round(x), 0), max(round(y), 0)
        frame[y1 : max(round(y + h), 0), x1 : max(round(x + w), 0)] = COLORS.get(name, name)
    return frame


def write_video(path, frames, fps=10, rotation=None, pts=None, options=None):
    """Encode (H, W, 3) frames; `pts` in milliseconds for a variable rate."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options=options or {"crf": "8"})
        stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
        stream.pix_fmt = "yuv444p"
        from fractions import Fraction

        stream.codec_context.time_base = Fraction(1, 1000)
        for n, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            frame.pts = round(1000 * n / fps) if pts is None else pts[n]
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
