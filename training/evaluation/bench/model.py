"""What a model must offer to be measured: a few methods, each optional.

A suite says which methods it needs (`require`) and refuses a model without them in a sentence. Where
a model lacks the interleaved method but has those of its parts, the suite asks part by part, as the
paper does for its baselines (4, "Baselines"), and the report says so.

Images are (H, W, 3) uint8 RGB, masks (H, W) bool of that size. Letters: E entities, N objects, D
width of the embeddings, Q objects of an image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from find_core.errors import FindError
from find_core.prompts.prompt import Prompt
from find_core.prompts.region import Region
from find_core.results import InstanceSegmentation, PanopticSegmentation

NO_ANSWER = -1
"""Class of pixels that a model says nothing of."""


@dataclass(frozen=True, eq=False)
class ClassQuery:
    """One class of generic segmentation.

    Attributes:
        name: of the class. stuff: material or region, not countable.
        prompt: how it is asked for: the name itself, a `Prompt` of words that describe it, or a
            `Prompt` of one `Reference`.
    """

    name: str
    stuff: bool
    prompt: str | Prompt


@dataclass(frozen=True, eq=False)
class SegmentAnswer:
    """Generic segmentation of one image; what a model does not give is None.

    Attributes:
        panoptic, instances: class indices are places in the list of `ClassQuery`s.
        class_map: (H, W) int class indices, `NO_ANSWER` where nothing is said.
    """

    panoptic: PanopticSegmentation | None = None
    instances: InstanceSegmentation | None = None
    class_map: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Vectors:
    """Embedding of an image, a text or an interleaved entry.

    Attributes:
        whole: (D,) float32 unit vector. parts: (Q, D) or (E, D) unit vectors of its objects or
            entities, where the model has them.
    """

    whole: np.ndarray
    parts: np.ndarray | None = None


@dataclass(frozen=True)
class Hint:
    """The right answer to the next question: what an oracle is told, and no other model."""

    masks: tuple[np.ndarray, ...] = ()
    classes: tuple[int, ...] = ()
    """Class index of each mask, in generic segmentation."""
    key: str = ""
    """What belongs together, in retrieval."""


class Model(Protocol):
    """Every model has a name and a fingerprint of its weights; all methods are optional.

    segment(image, classes: Sequence[ClassQuery]) -> SegmentAnswer
    ground(image, phrases: Sequence[str]) -> (E, H, W) bool, one mask a phrase
    localize(image, prompt: Prompt) -> (E, H, W) bool, one mask an entity, words and references
    interact(image, objects: Sequence[Sequence[Region]], state=None) -> ((N, H, W) bool, state);
        every object has all its strokes so far, the state is that of the call before
    embed_image(image) -> Vectors, embed_text(text) -> Vectors, embed_interleaved(prompt) -> Vectors
    embed_region(image, mask) -> (D,) float32 unit vector of one object
    tell(hint: Hint): only an oracle listens

    `class_prompts` names the ways in which `segment` can be asked: "name", "description", "visual";
    without it "name" alone. `notes` are sentences that the report repeats.
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...


METHODS = ("segment", "ground", "localize", "interact", "embed_image", "embed_text",
           "embed_interleaved", "embed_region")  # fmt: skip


def abilities(model: Any) -> frozenset[str]:
    """Which of the methods a model has."""
    return frozenset(m for m in METHODS if callable(getattr(model, m, None)))


def require(model: Any, suite: str, *ways: Sequence[str]) -> tuple[str, ...]:
    """The first of several sets of methods that the model has.

    Raises:
        FindError: it has none of them; the sentence says what the suite needs.
    """
    has = abilities(model)
    for way in ways:
        if set(way) <= has:
            return tuple(way)
    wanted = ", or ".join(" and ".join(way) for way in ways)
    raise FindError(
        f"{suite} needs a model with {wanted}; {model.name} has "
        f"{', '.join(sorted(has)) or 'none of the methods'}: choose another suite or model."
    )


def require_class_prompts(model: Any, suite: str, by: str) -> None:
    """
    Raises:
        FindError: the model cannot be asked for classes in this way.
    """
    ways = frozenset(getattr(model, "class_prompts", ("name",)))
    if by not in ways:
        raise FindError(
            f"{suite} asks for classes by {by}; {model.name} takes them by "
            f"{', '.join(sorted(ways))}: choose another suite or model."
        )


def tell(model: Any, hint: Hint) -> None:
    """Hand the right answer to a model that listens: the oracle."""
    listen = getattr(model, "tell", None)
    if callable(listen):
        listen(hint)


def localize_by_parts(model: Any, image: np.ndarray, prompt: Prompt, hint: Hint) -> np.ndarray:
    """(E, H, W) bool: words by `ground`, references into the same image by `interact`.

    Raises:
        FindError: a reference shows another image, which `interact` cannot look into.
    """
    masks = np.zeros((len(prompt.entities), *image.shape[:2]), bool)
    words = [k for k, e in enumerate(prompt.entities) if not e.is_visual]
    shown = [k for k, e in enumerate(prompt.entities) if e.is_visual]
    if words:
        tell(model, Hint(tuple(hint.masks[k] for k in words)))
        masks[words] = model.ground(image, [prompt.entities[k].label for k in words])
    if shown:
        regions = [list(_own_regions(model, prompt, k, image)) for k in shown]
        tell(model, Hint(tuple(hint.masks[k] for k in shown)))
        masks[shown], _ = model.interact(image, regions)
    return masks


def _own_regions(model: Any, prompt: Prompt, k: int, image: np.ndarray) -> Iterator[Region]:
    reference = prompt.entities[k].reference
    if reference is None or reference.image is not image:
        raise FindError(f"{model.name} has no localize, and a reference shows another image.")
    yield Region.mask(reference.mask)


def embed_by_parts(model: Any, prompt: Prompt) -> Vectors:
    """Mean of the sentence's vector and of those of the cropped references (paper 4, "Interleaved
    Retrieval": ensemble of sentences and images)."""
    spoken = "".join(
        p if isinstance(p, str) else ("" if p.is_visual else p.label) for p in prompt.parts
    )
    rows = [model.embed_text(" ".join(spoken.split())).whole]
    for entity in prompt.entities:
        if entity.reference is not None:
            rows.append(
                model.embed_image(crop(entity.reference.image, entity.reference.mask)).whole
            )
    return Vectors(unit_rows(np.mean(rows, axis=0)[None])[0], unit_rows(np.stack(rows)))


def crop(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image inside the box of a mask, contiguous."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.ascontiguousarray(image[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1])


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """(N, D) float32 rows of length 1; a row of zeros stays zero."""
    rows = np.asarray(rows, np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)


def weights_fingerprint(*modules: Any) -> str:
    """Sixteen hex digits that name the weights of torch modules."""
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
