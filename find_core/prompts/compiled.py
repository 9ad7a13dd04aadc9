"""Compiled prompts: everything of a prompt that no target image can change, computed once.

Object proposals see nothing but the image, and legend tokens, legend query and entity queries see
nothing of it (docs/spec.md 2.7). So a prompt's language, its reference images and its legend tokens'
state at every layer are cached here, and per frame only the entity proposals run
(docs/architecture.md, "The algebra").
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from find_core.encoders.base import TextTokens
from find_core.images import image_key
from find_core.model.attention_table import Tokens
from find_core.model.heads import unit
from find_core.model.interface import LayerStates
from find_core.model.sampler import NO_ENTITY
from find_core.places.choice import PlaceWords
from find_core.prompts.prompt import Prompt
from find_core.recognition.recognizer import EntityLooks


@dataclass(frozen=True, eq=False)
class CompiledPrompt:
    """A prompt, ready to be asked of any scene of the same `Find`.

    Tensors are on the model's device; the arrays are made of them when they are first asked for.

    Attributes:
        prompt: what was compiled.
        entity_is_visual: (E,) bool.
        fingerprint: of the embedding space these vectors live in.
        whole: (D,) raw, of the whole prompt (legend query).
        semantic: (E, D) raw, of the entities.
        pixel: (E, P) raw, of the entities.
        legend: the legend tokens' states, which entity proposals see.
        places: what its words say of places; None where nothing is judged.
        looks: its entities as the recogniser compares them; None without one.
    """

    prompt: Prompt
    entity_is_visual: np.ndarray
    fingerprint: str
    whole: Tensor = field(repr=False)
    semantic: Tensor = field(repr=False)
    pixel: Tensor = field(repr=False)
    legend: LayerStates = field(repr=False)
    places: PlaceWords | None = field(default=None, repr=False)
    looks: EntityLooks | None = field(default=None, repr=False)

    @cached_property
    def embedding(self) -> np.ndarray:
        """(D,) float32 unit vector of the whole prompt, for retrieval."""
        return to_unit(self.whole)

    @cached_property
    def entity_embeddings(self) -> np.ndarray:
        """(E, D) float32 unit vectors, semantic space."""
        return to_unit(self.semantic)

    @cached_property
    def entity_pixel_embeddings(self) -> np.ndarray:
        """(E, P) float32, comparable with `Scene.pixel_features` by dot product."""
        return self.pixel.float().cpu().numpy()

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(entity.label for entity in self.prompt.entities)


def entity_of_tokens(tokens: TextTokens, spans: Sequence[tuple[int, int]]) -> Tensor:
    """(T,) int64: the entity whose characters a token overlaps, or `NO_ENTITY`."""
    index = np.full(len(tokens.offsets), NO_ENTITY, np.int64)
    start, end = tokens.offsets[:, 0], tokens.offsets[:, 1]
    for entity, (lo, hi) in enumerate(spans):
        index[(start < hi) & (end > lo) & (end > start)] = entity
    return torch.from_numpy(index)


def stack_states(states: Sequence[LayerStates]) -> LayerStates:
    """Pad several single-prompt states into one batch; padding is seen by nobody."""
    if len(states) == 1:
        return states[0]
    count = max(s.tokens.content.shape[1] for s in states)

    def pad(x: Tensor) -> Tensor:
        return torch.nn.functional.pad(x, (0, 0, 0, count - x.shape[1]))

    valid = torch.zeros(
        len(states), count, dtype=torch.bool, device=states[0].tokens.content.device
    )
    for row, state in zip(valid, states, strict=True):
        row[: state.tokens.content.shape[1]] = True
    tokens = Tokens(
        torch.cat([pad(s.tokens.content) for s in states]),
        torch.cat([pad(s.tokens.position) for s in states]),
        valid,
    )
    layers = zip(*(s.contents for s in states), strict=True)
    return LayerStates(tokens, [torch.cat([pad(x) for x in layer]) for layer in layers])


def prompt_key(prompt: Prompt) -> str:
    """Content hash of a prompt with its reference images, for caches."""
    digest = hashlib.sha256(prompt.markup.encode())
    for entity in prompt.entities:
        if entity.reference is not None:
            image, mask = entity.reference.image, entity.reference.mask
            parts = entity.label, image_key(image), image_key(np.packbits(mask))
            digest.update(repr(parts).encode())
    return digest.hexdigest()


def to_unit(x: Tensor) -> np.ndarray:
    """Rows as unit vectors in numpy float32."""
    return unit(x.detach().float()).cpu().numpy()
