"""What the parts of FIND need of one another, so that none has to import a part above it.

Two sizes. `FindLike` and `EncodedImage` are what videos, nodes and evaluators ask of a model: enough
for a stand-in in a test. `NetworkFind` and `NetworkScene` are what `find_core.tasks` ask of `Find`
and `Scene`: they reach into the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from find_core.encoders.base import VisionEncoder
    from find_core.model.config import FindConfig
    from find_core.model.find import FindModel
    from find_core.model.heads import Outputs
    from find_core.model.image_state import ImageState
    from find_core.model.sampler import Legend
    from find_core.preprocess import Geometry
    from find_core.prompts.compiled import CompiledPrompt
    from find_core.prompts.prompt import Prompt
    from find_core.results import Localization


class CompiledLike(Protocol):
    """A compiled prompt. `entity_embeddings`: (E, D) float32 unit vectors."""

    @property
    def prompt(self) -> Prompt: ...
    @property
    def entity_embeddings(self) -> np.ndarray: ...


class EncodedImage(Protocol):
    """An image that can be asked for what a prompt speaks of; `find_core.scene.Scene`."""

    def localize_many(
        self, prompts: Sequence[Any], *, threshold: float | None = None, fast: bool = False
    ) -> list[Localization]:
        """One answer a prompt, as `compile` gave them; threshold None: the model's own."""
        ...

    def relevance(self, prompt: Any) -> float:
        """In [0, 1], by object-level match alone."""
        ...


class HasThreshold(Protocol):
    """Of a model's settings. `threshold`: score in [0, 1] from which an entity counts as found."""

    @property
    def threshold(self) -> float: ...


class FindLike(Protocol):
    """A model that compiles prompts and encodes images; `find_core.predictor.Find`."""

    @property
    def config(self) -> HasThreshold: ...
    @property
    def fingerprint(self) -> str: ...

    def compile(self, prompt: Prompt | str) -> CompiledLike: ...
    def encode(self, image: np.ndarray) -> EncodedImage: ...


class NetworkFind(Protocol):
    """`Find`, as the tasks use it; see there."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def config(self) -> FindConfig: ...
    @property
    def embedding_dim(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def model(self) -> FindModel: ...
    @property
    def vision(self) -> VisionEncoder: ...

    def autocast(self, encoding: bool = False) -> AbstractContextManager[Any]: ...
    def generator(self) -> torch.Generator: ...
    def compile(self, prompt: Prompt | str) -> CompiledPrompt: ...
    def encode(self, image: np.ndarray) -> NetworkScene: ...
    def legend(self, prompt: Prompt) -> Legend: ...
    def project(self, texts: Sequence[str]) -> list[Tensor]: ...
    def classes(self, classes: Sequence[str | Prompt]) -> Tensor: ...


class NetworkScene(Protocol):
    """`Scene`, as the tasks use it; see there."""

    @property
    def find(self) -> NetworkFind: ...
    @property
    def state(self) -> ImageState: ...
    @property
    def geometry(self) -> Geometry: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def embedding(self) -> np.ndarray: ...
    @property
    def objects(self) -> Outputs: ...
    @property
    def object_embeddings(self) -> np.ndarray: ...
    @property
    def object_rows(self) -> Tensor: ...
    @property
    def object_logits(self) -> Tensor: ...
    @property
    def object_masks(self) -> np.ndarray: ...
