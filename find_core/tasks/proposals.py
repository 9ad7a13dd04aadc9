"""What entities are chosen from: proposals of the prompt's own pass, or the scene's object proposals.

Letters: N proposals, K of them that come into question, D semantic width, P pixel width, h/w quarter
resolution.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from find_core.crops import Crop, crops_of
from find_core.protocols import EncodedImage


class Proposals(Protocol):
    """What one pass proposes for one prompt.

    Attributes:
        embeddings_ND: float32 unit vectors, semantic space.
    """

    @property
    def embeddings_ND(self) -> np.ndarray: ...
    def logits(self, numbers: list[int]) -> Tensor:
        """(K, h, w) mask logits at 1/4 of the padded input, on the model's device."""

    def crops(self, numbers: list[int]) -> list[Crop]:
        """The masks of those that may be returned."""


class PromptProposals:
    """Of the prompt's own pass: masks are computed of those that are asked for.

    Args:
        pixel_NP: their pixel embeddings.
    """

    def __init__(self, scene: EncodedImage, pixel_NP: Tensor, embeddings_ND: np.ndarray) -> None:
        self._scene, self._pixel_NP, self.embeddings_ND = scene, pixel_NP, embeddings_ND
        self._logits: dict[int, Tensor] = {}

    def logits(self, numbers: list[int]) -> Tensor:
        model, state = self._scene.find.model, self._scene.state
        logits = model.masks(self._pixel_NP[numbers].unsqueeze(0), state)[0]
        self._logits |= zip(numbers, logits, strict=True)
        return logits

    def crops(self, numbers: list[int]) -> list[Crop]:
        if any(n not in self._logits for n in numbers):
            self.logits(numbers)
        logits = torch.stack([self._logits[n] for n in numbers])
        return crops_of(logits.float().cpu().numpy(), self._scene.geometry)


class ObjectProposals:
    """The scene's own, the same for all prompts."""

    def __init__(self, scene: EncodedImage) -> None:
        self._scene = scene

    @property
    def embeddings_ND(self) -> np.ndarray:
        return self._scene.object_embeddings

    def logits(self, numbers: list[int]) -> Tensor:
        return self._scene.object_logits[numbers]

    def crops(self, numbers: list[int]) -> list[Crop]:
        return self._scene.object_crops.crops(numbers)
