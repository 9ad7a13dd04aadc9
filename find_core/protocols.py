"""What the parts of this project ask of one another, as `typing.Protocol`s.

`FindLike`, `LocalizedImage`, `EmbeddedImage` and `CompiledLike` are what the doors (video, field,
ROS) need of a model, and so all that a stand-in for one must offer. `Engine` and `EncodedImage` are
what scenes and tasks need of `Find` and of `Scene`. Nothing here exists at run time but names.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from find_core.crops import ObjectCrops
    from find_core.encoders.base import LanguageEncoder
    from find_core.model.config import FindConfig
    from find_core.model.find import FindModel
    from find_core.model.heads import Outputs
    from find_core.model.image_state import ImageState
    from find_core.model.sampler import Legend
    from find_core.preprocess import Geometry
    from find_core.prompts.compiled import CompiledPrompt
    from find_core.prompts.prompt import Prompt
    from find_core.recognition.recognizer import Recognizer
    from find_core.results import Localization
    from find_core.runtime.protocol import ImageRuntime
    from find_core.support.gpu_memory import Batcher

ImageT_co = TypeVar("ImageT_co", covariant=True)


class CompiledLike(Protocol):
    """What `compile` gives: a prompt and its vectors. E entities, D semantic width."""

    @property
    def prompt(self) -> Prompt: ...
    @property
    def entity_embeddings(self) -> np.ndarray:
        """(E, D) float32 unit vectors."""


class LocalizedImage(Protocol):
    """An encoded image that answers prompts with masks; what video and the ROS localizer need."""

    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    def localize_many(
        self, prompts: Sequence[Any], *, threshold: float | None = None, fast: bool = False
    ) -> list[Localization]: ...
    def relevance(self, prompt: Any) -> float:
        """In [0, 1]: does the image show every entity of the prompt?"""


class EmbeddedImage(Protocol):
    """An encoded image as maps of vectors; what fields are made of."""

    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    def semantic_map(self) -> tuple[np.ndarray, np.ndarray]:
        """(Q, h, w) float32 that sums to 1 over Q, and (Q, D) float32 unit vectors."""

    def pixel_features(self) -> np.ndarray:
        """(P, h, w) float32."""


class FindLike(Protocol[ImageT_co]):
    """A model as the doors see it; `ImageT_co` is what `encode` gives."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str:
        """Names the embedding space; see `find_core.embedding_space`."""

    @property
    def config(self) -> FindConfig: ...
    def encode(self, image: np.ndarray, /) -> ImageT_co:
        """(H, W, 3) uint8 RGB."""

    def compile(self, prompt: Prompt | str, /) -> CompiledLike: ...


class Engine(Protocol):
    """What scenes and tasks need of `Find`."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def config(self) -> FindConfig: ...
    @property
    def model(self) -> FindModel: ...

    runtime: ImageRuntime
    recognizer: Recognizer | None

    @property
    def device(self) -> torch.device: ...
    @property
    def embedding_dim(self) -> int: ...
    @property
    def language(self) -> LanguageEncoder: ...
    @property
    def in_batches(self) -> Batcher:
        """Runs prompts together as far as memory goes."""

    def autocast(self, encoding: bool = False) -> AbstractContextManager: ...
    def generator(self) -> torch.Generator: ...
    def compile(self, prompt: Prompt | str) -> CompiledPrompt: ...
    def legend(self, prompt: Prompt) -> Legend: ...
    def project(self, texts: Sequence[str]) -> list[Tensor]: ...
    def classes(self, classes: Sequence[str | Prompt]) -> Tensor: ...
    @overload
    def encode(self, image: np.ndarray) -> EncodedImage: ...
    @overload
    def encode(self, image: Sequence[np.ndarray]) -> Sequence[EncodedImage]: ...


class EncodedImage(Protocol):
    """What tasks need of `Scene`. Q object proposals, D semantic width, h/w at 1/4."""

    @property
    def find(self) -> Engine: ...
    @property
    def state(self) -> ImageState: ...
    @property
    def geometry(self) -> Geometry: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def objects(self) -> Outputs: ...
    @property
    def embedding(self) -> np.ndarray:
        """(D,) float32 unit vector."""

    @property
    def object_embeddings(self) -> np.ndarray:
        """(Q, D) float32 unit vectors."""

    @property
    def object_rows(self) -> Tensor:
        """(Q, D) raw, on the model's device."""

    @property
    def object_logits(self) -> Tensor:
        """(Q, h, w) of the padded input, on the model's device."""

    @property
    def object_units(self) -> Tensor:
        """(Q, D) unit vectors, on the model's device."""

    @property
    def object_crops(self) -> ObjectCrops:
        """Their masks at the resized size."""
