"""A stand-in for the model that reads the labels: what smoothing and tracking alone lose.

It answers with the true masks, but drops some, trembles, and gives equal objects equal embeddings,
so that the rest of the chain is measured without the network's own errors.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from find_core.images import read_labels
from find_core.prompts.prompt import Prompt
from find_core.results import Entity, Instance, Localization, box_of_mask
from training.evaluation.video.clip import Clip


class OracleFind:
    """A `Find` for one clip, asked for its frames in order.

    Args:
        dropout: part of the true instances that it overlooks. shake_px: how far masks tremble.
    """

    name = fingerprint = "oracle"
    config = SimpleNamespace(threshold=0.5)

    def __init__(self, clip: Clip, dropout: float = 0.1, shake_px: int = 2, seed: int = 0) -> None:
        self.clip, self.dropout, self.shake_px = clip, dropout, shake_px
        self.rng = np.random.default_rng([seed, clip.description["seed"]])
        self.frame = -1
        self._like = self.rng.normal(size=32)

    def compile(self, prompt: Prompt) -> Any:
        return SimpleNamespace(prompt=prompt, entity_embeddings=np.zeros((1, 32)))

    def encode(self, image: np.ndarray) -> OracleFind:
        self.frame += 1
        return self

    def localize_many(self, prompts: list[Any], **_: Any) -> list[Localization]:
        truth = self.clip.truth(self.frame)
        seen = [self._instance(m) for m in truth.values() if self.rng.random() >= self.dropout]
        height, width = read_labels(self.clip.folder / "ids" / "000000.png").shape
        nothing = np.zeros((height, width), bool)
        best = max(seen, key=lambda i: i.score, default=None)
        best = best or Instance(float(self.rng.uniform(0, 0.3)), nothing, np.zeros(4), self._like)
        plain = {k: getattr(best, k) for k in ("score", "mask", "box_xyxy", "embedding")}
        label = prompts[0].prompt.entities[0].label
        entity = Entity(**plain, label=label, found=bool(seen), instances=tuple(seen))
        return [Localization(best.score, (entity,), height, width)]

    def _instance(self, mask: np.ndarray) -> Instance:
        dx, dy = self.rng.integers(-self.shake_px, self.shake_px + 1, 2)
        shake = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        size = mask.shape[::-1]
        moved = cv2.warpAffine(mask.astype(np.uint8), shake, size, flags=cv2.INTER_NEAREST) > 0
        like = self._like + self.rng.normal(0, 0.3, 32)
        score = float(self.rng.uniform(0.6, 1.0))
        return Instance(score, moved, box_of_mask(moved), like / np.linalg.norm(like))
