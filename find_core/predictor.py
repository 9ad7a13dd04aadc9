"""Find and Scene: encode an image once, prompt it many times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from find_core.prompts import Prompt
from find_core.regions import Region
from find_core.results import InteractiveSegmentation, Localization, PanopticSegmentation


@dataclass(eq=False)
class CompiledPrompt:
    """A prompt with everything that does not depend on the target image computed once.

    Attributes:
        prompt: the `Prompt`.
        embedding: (D,) float32 unit vector of the whole prompt (legend query), image-independent.
        entity_embeddings: (E, D) float32 unit vectors, one per entity, semantic space.
        entity_pixel_embeddings: (E, P) float32, pixel space (comparable with Scene.pixel_features).
        entity_is_visual: (E,) bool.
        (plus private cached tensors: legend-token states per interface layer)
    """

    prompt: Prompt
    embedding: np.ndarray
    entity_embeddings: np.ndarray
    entity_pixel_embeddings: np.ndarray
    entity_is_visual: np.ndarray


class Find:
    """The model behind all doors; one object may be used from several threads (a lock inside).

    Attributes: device (torch.device), embedding_dim D, pixel_dim P, fingerprint (str: identifies the
    embedding space: hash of config and weights), name.
    """

    def encode(self, image): ...  # (H, W, 3) uint8 RGB -> Scene; list -> list[Scene]
    def compile(self, prompt: Prompt | str) -> CompiledPrompt: ...  # LRU-cached
    def embed(self, prompt: Prompt | str) -> np.ndarray: ...  # (D,) float32 unit


class Scene:
    """An encoded image. Attributes: height, width (pixels of the original image);

    embedding: (D,) float32 unit. object_embeddings: (Q, D) float32 unit, semantic space.
    object_mask_logits: (Q, h, w) float32 at 1/4 of the encoded (resized) image, padding cropped.
    """

    def localize(
        self, prompt: Prompt | str | CompiledPrompt, *, threshold: float | None = None, fast: bool = False
    ) -> Localization: ...

    def localize_many(self, prompts: Sequence, **kw) -> list[Localization]: ...  # one batched pass
    def relevance(self, prompt) -> float: ...  # object-level matching only: a small matrix product
    def segment(self, classes: Sequence[str | Prompt], mode: str = "panoptic") -> PanopticSegmentation: ...
    def ground(self, phrases: Sequence[str], *, threshold: float | None = None) -> Localization: ...
    def interact(self, *regions: Region | Sequence[Region], previous=None) -> InteractiveSegmentation: ...

    def semantic_map(self) -> tuple[np.ndarray, np.ndarray]: ...
    # -> probabilities (Q, h, w) float32: softmax over the object masks (sums to 1 over Q);
    #    object_embeddings (Q, D). e(x) = sum_q p_q(x) s_q (design section 5), not normalised.
    def pixel_features(self) -> np.ndarray: ...  # (P, h, w) float32: mask features at 1/4, padding cropped


def load(name: str = "find-tabletop", device: str = "auto") -> Find: ...
