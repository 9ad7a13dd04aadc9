"""A model that knows the truth: to tell the field's own error from the model's.

`OracleFind` answers `encode` and `compile` like `find_core.Find`, from ground-truth masks: every
name has one fixed random unit vector, an image's embeddings are its objects' names', a word's is
the name's that it matches, a reference's the name's under its region. What goes wrong in a field
made with it, the field did.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import overload

import cv2
import numpy as np

from find_core.errors import FieldError
from find_core.images import check_image, image_key
from find_core.model.config import FindConfig
from find_core.prompts.prompt import Prompt, PromptEntity, as_prompt

BACKGROUND = "background"


@dataclass(frozen=True, eq=False)
class OraclePrompt:
    """As `find_core.CompiledPrompt`, without the network's states."""

    prompt: Prompt
    embedding: np.ndarray
    entity_embeddings: np.ndarray
    entity_pixel_embeddings: np.ndarray
    entity_is_visual: np.ndarray
    fingerprint: str


@dataclass(frozen=True, eq=False)
class OracleScene:
    """As `find_core.Scene`, as far as fields need it. labels: (H, W) int, 0 background."""

    find: OracleFind
    labels: np.ndarray
    names: Mapping[int, str]

    @property
    def height(self) -> int:
        return self.labels.shape[0]

    @property
    def width(self) -> int:
        return self.labels.shape[1]

    def semantic_map(self) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (Q, h, w): each object's share of a quarter-scale pixel; vectors (Q, D)."""
        ids = np.unique(self.labels)
        size = max(1, self.width // 4), max(1, self.height // 4)
        masks = [(self.labels == i).astype(np.float32) for i in ids]
        maps = [cv2.resize(mask, size, interpolation=cv2.INTER_AREA) for mask in masks]
        names = [self.names.get(int(i), BACKGROUND) for i in ids]
        return np.stack(maps), np.stack([self.find.vector(name) for name in names])

    def pixel_features(self) -> np.ndarray:
        """(P, h, w): the same embeddings, read as pixel features."""
        maps, vectors = self.semantic_map()
        return np.einsum("qhw,qd->dhw", maps, vectors)


class OracleFind:
    """Ground truth in the clothes of a model.

    Args:
        names: what things are called. embedding_dim: D.
    """

    name = "oracle"

    def __init__(self, names: Iterable[str], embedding_dim: int = 64) -> None:
        self.names = sorted({_plain(name) for name in names} | {BACKGROUND})
        self.embedding_dim = self.pixel_dim = embedding_dim
        self.config = FindConfig(name="oracle", relevance_scale=20.0, relevance_bias=0.5)
        self.fingerprint = f"oracle-{embedding_dim}"
        self._scenes: dict[str, OracleScene] = {}

    def register(self, image: np.ndarray, labels: np.ndarray, names: Mapping[int, str]) -> None:
        """Tell what an image shows: labels (H, W) int with `names` by id; other ids: background."""
        if labels.shape != image.shape[:2]:
            raise FieldError(f"Labels {labels.shape} do not fit their image {image.shape[:2]}.")
        plain = {int(i): _plain(name) for i, name in names.items()}
        self._scenes[image_key(image)] = OracleScene(self, np.asarray(labels), plain)

    @overload
    def encode(self, image: np.ndarray) -> OracleScene: ...
    @overload
    def encode(self, image: list[np.ndarray]) -> list[OracleScene]: ...

    def encode(self, image: np.ndarray | list[np.ndarray]) -> OracleScene | list[OracleScene]:
        """The registered truth of an image; a list gives a list."""
        if isinstance(image, list | tuple):
            return [self.encode(one) for one in image]
        if (key := image_key(check_image(image))) not in self._scenes:
            raise FieldError("The oracle was never told about this image: call register() first.")
        return self._scenes[key]

    def compile(self, prompt: Prompt | str) -> OraclePrompt:
        """Vectors of the names that the prompt's entities mean."""
        prompt = as_prompt(prompt)
        vectors = np.stack([self._entity_vector(entity) for entity in prompt.entities])
        whole = vectors.sum(axis=0)
        return OraclePrompt(
            prompt=prompt,
            embedding=(whole / np.linalg.norm(whole)).astype(np.float32),
            entity_embeddings=vectors,
            entity_pixel_embeddings=vectors,
            entity_is_visual=np.array([entity.is_visual for entity in prompt.entities]),
            fingerprint=self.fingerprint,
        )

    def vector(self, name: str) -> np.ndarray:
        """(D,) float32 unit vector of a name; always the same one."""
        seed = int.from_bytes(hashlib.sha256(_plain(name).encode()).digest()[:8], "little")
        vector = np.random.default_rng(seed).standard_normal(self.embedding_dim)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    def _entity_vector(self, entity: PromptEntity) -> np.ndarray:
        if entity.reference is None:
            return self.vector(self._match(entity.label))
        scene = self.encode(entity.reference.image)
        ids, counts = np.unique(scene.labels[entity.reference.mask], return_counts=True)
        return self.vector(scene.names.get(int(ids[counts.argmax()]), BACKGROUND))

    def _match(self, label: str) -> str:
        """The known name that a label means, or the label itself, which then means nothing."""
        label = _plain(label)
        if label in self.names:
            return label
        words = set(label.split())
        fits = [n for n in self.names if set(n.split()) <= words or words <= set(n.split())]
        return max(fits, key=lambda n: len(set(n.split()) & words)) if fits else label


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", re.sub(r"^(the|a|an)\s+", "", name.strip().lower()))
