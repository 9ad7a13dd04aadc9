"""Scene: one encoded image, asked as often as one likes.

Letters: N proposals (Q object queries), D semantic width, P pixel width, h/w quarter resolution,
H/W pixels of the original image.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal, overload

import numpy as np
import torch
from torch import Tensor

from find_core.crops import ObjectCrops
from find_core.model.attention_table import TokenGroup
from find_core.model.heads import Outputs, unit
from find_core.model.image_state import ImageState, resize
from find_core.preprocess import Geometry, mask_to_input, masks_at_original
from find_core.prompts.compiled import to_unit
from find_core.prompts.prompt import Prompt
from find_core.prompts.region import Region
from find_core.protocols import Engine
from find_core.results import (
    InstanceSegmentation,
    InteractiveSegmentation,
    Localization,
    PanopticSegmentation,
    SemanticSegmentation,
)
from find_core.tasks import ground, interact, localize, segment
from find_core.tasks.localize import AnyPrompt

Classes = Sequence[str | Prompt]


class _ObjectPass:
    """The pass of the object proposals over one image, run when its result is first asked for.

    It does not know its scene, so that no cycle comes about: what stands in one is given back only
    when Python looks for cycles. In a process of half a million objects that is once in many frames,
    and each keeps 20 MB.
    """

    def __init__(self, find: Engine, state: ImageState) -> None:
        self._find, self._state = find, state

    @cached_property
    def outputs(self) -> Outputs:
        model = self._find.model
        with torch.inference_mode(), self._find.autocast():
            return model(self._state, model.sampler.segmentation(1))[-1].float()

    @cached_property
    def logits(self) -> Tensor:
        """(Q, h, w) mask logits at 1/4 of the padded input, on the device."""
        pixel = self.outputs.pixel[TokenGroup.OBJECT]
        with torch.inference_mode():
            return self._find.model.masks(pixel, self._state)[0]

    def logits_on_cpu(self) -> np.ndarray:
        """The same as float32 in numpy."""
        return self.logits.float().cpu().numpy()


class Scene:
    """An encoded image. Made by `Find.encode`. To be used from one thread at a time.

    What prompts share is computed when it is first asked for, and kept: the arrays that properties
    give are the scene's own, so copy before you write into one.

    Attributes:
        find: the model. state: the network's view of the image. geometry: sizes on the way there.
    """

    def __init__(self, find: Engine, state: ImageState, geometry: Geometry) -> None:
        self.find, self.state, self.geometry = find, state, geometry
        self._object_pass = _ObjectPass(find, state)

    @property
    def height(self) -> int:
        """Of the image, pixels."""
        return self.geometry.original[0]

    @property
    def width(self) -> int:
        """Of the image, pixels."""
        return self.geometry.original[1]

    @property
    def objects(self) -> Outputs:
        """Object proposals and image query: the same for every prompt."""
        return self._object_pass.outputs

    @cached_property
    def embedding(self) -> np.ndarray:
        """(D,) float32 unit vector of the whole image, comparable with `Find.embed`."""
        with torch.inference_mode():
            image = self.objects.embeddings[TokenGroup.IMAGE]
            return to_unit(self.find.model.heads.semantic(image))[0, 0]

    @cached_property
    def object_rows(self) -> Tensor:
        """(Q, D) raw semantic rows of the object proposals, on the model's device."""
        with torch.inference_mode():
            return self.find.model.heads.semantic(self.objects.embeddings[TokenGroup.OBJECT])[0]

    @cached_property
    def object_units(self) -> Tensor:
        """(Q, D) `object_rows` as unit vectors, on the model's device."""
        with torch.inference_mode():
            return unit(self.object_rows)

    @cached_property
    def object_embeddings(self) -> np.ndarray:
        """(Q, D) float32 unit vectors of the object proposals, semantic space."""
        return to_unit(self.object_rows)

    @property
    def object_logits(self) -> Tensor:
        """(Q, h, w) mask logits of the object proposals at 1/4 of the padded input, on the device."""
        return self._object_pass.logits

    @property
    def object_mask_logits(self) -> np.ndarray:
        """(Q, h, w) float32 mask logits at 1/4 of the resized image, padding cropped."""
        return self._cropped(self.object_logits)

    @cached_property
    def object_crops(self) -> ObjectCrops:
        """The object proposals' masks at the resized size, each made when it is first asked for."""
        return ObjectCrops(self._object_pass.logits_on_cpu, self.geometry)

    @cached_property
    def object_masks(self) -> np.ndarray:
        """(Q, H, W) bool masks of the object proposals at the image's size."""
        return masks_at_original(self.object_logits, self.geometry)

    def localize(
        self, prompt: AnyPrompt, *, threshold: float | None = None, fast: bool = False
    ) -> Localization:
        """Where is what the prompt speaks of?

        Args:
            prompt: text, `Prompt`, or compiled.
            threshold: score from which an entity counts as found (default: the model's own).
            fast: match against the object proposals instead of running the prompt's own entity
                proposals: a small matrix product, for many prompts on one image.

        Raises:
            PromptError: malformed prompt. FindError: compiled by a model of another space.
        """
        return self.localize_many([prompt], threshold=threshold, fast=fast)[0]

    def localize_many(
        self, prompts: Sequence[AnyPrompt], *, threshold: float | None = None, fast: bool = False
    ) -> list[Localization]:
        """`localize` of several prompts in one batched pass over shared image keys and values."""
        return localize.localize(self, prompts, threshold, fast)

    def relevance(self, prompt: AnyPrompt) -> float:
        """In [0, 1]: does this image show every entity of the prompt? Object-level match only."""
        return localize.relevance(self, prompt)

    def ground(self, phrases: Sequence[str], *, threshold: float | None = None) -> Localization:
        """Grounded segmentation (docs/spec.md 2.9): all phrases in one pass of grounding proposals.

        Unlike `localize`, phrase vectors see the image, so nothing can be compiled ahead.
        """
        return ground.ground(self, phrases, threshold)

    @overload
    def segment(self, classes: Classes, mode: Literal["panoptic"] = ..., *,
                stuff: Sequence[str] = ..., score_threshold: float | None = ...,
                overlap_threshold: float = ...) -> PanopticSegmentation: ...  # fmt: skip
    @overload
    def segment(self, classes: Classes, mode: Literal["instance"], *,
                stuff: Sequence[str] = ..., score_threshold: float | None = ...,
                overlap_threshold: float = ...) -> InstanceSegmentation: ...  # fmt: skip
    @overload
    def segment(self, classes: Classes, mode: Literal["semantic"], *,
                stuff: Sequence[str] = ..., score_threshold: float | None = ...,
                overlap_threshold: float = ...) -> SemanticSegmentation: ...  # fmt: skip

    def segment(
        self,
        classes: Classes,
        mode: str = "panoptic",
        *,
        stuff: Sequence[str] = (),
        score_threshold: float | None = None,
        overlap_threshold: float = 0.8,
    ) -> PanopticSegmentation | InstanceSegmentation | SemanticSegmentation:
        """Generic segmentation into `classes`.

        Args:
            classes: names ("mug"), descriptions (text `Prompt`s) or visual examples (`Prompt`s of
                one `Reference`).
            mode: "panoptic", "instance" or "semantic".
            stuff: names of those classes that are material rather than countable things.
            score_threshold: panoptic: least class probability (default 0.8 as published);
                instance: least score kept (default 0.05).
            overlap_threshold: panoptic: least part of its own area a segment must win.
        """
        return segment.segment(self, classes, mode, stuff, score_threshold, overlap_threshold)

    def interact(
        self,
        *prompts: Region | Sequence[Region],
        previous: InteractiveSegmentation | None = None,
    ) -> InteractiveSegmentation:
        """Interactive segmentation.

        Args:
            prompts: regions of this image. Plain `Region`s together mark one object (positive and
                negative strokes); give lists of regions to mark several objects at once.
            previous: the last answer, when these prompts refine it (repeat the earlier strokes).

        Where the model's `single_things` is on, look-alikes that share the mask but stand apart from
        everything that was pointed at are left out.
        """
        return interact.interact(self, prompts, previous)

    def semantic_map(self) -> tuple[np.ndarray, np.ndarray]:
        """Per-pixel semantic embeddings, factored: e(x) = sum_q p_q(x) s_q (docs/architecture.md, "The field").

        Computed once; later calls give the same arrays.

        Returns:
            probabilities (Q, h, w) float32, the softmax over object masks (sums to 1 over Q), and
            object embeddings (Q, D) float32 unit vectors. e(x) is not normalised.
        """
        return self._probabilities, self.object_embeddings

    def pixel_features(self) -> np.ndarray:
        """(P, h, w) float32 mask features at 1/4 of the resized image, padding cropped."""
        return self._cropped(self.state.mask_features[0])

    @torch.inference_mode()
    def object_row_at(self, mask: np.ndarray) -> Tensor:
        """(D,) raw semantic row of the object proposal that fits a (H, W) bool mask best."""
        target = mask_to_input(mask, self.geometry).to(self.find.device).float()
        logits = self.object_logits.float()
        quarter = (logits.shape[-2], logits.shape[-1])
        target = resize(target[None, None], quarter)[0, 0]
        probability = logits.sigmoid()
        shared = (probability * target).sum((1, 2))
        either = (probability + target - probability * target).sum((1, 2))
        return self.object_rows[(shared / (either + 1e-6)).argmax()]

    @cached_property
    def _probabilities(self) -> np.ndarray:
        with torch.inference_mode():
            return self._cropped(self.object_logits.float().softmax(0))

    def _cropped(self, maps: Tensor) -> np.ndarray:
        height, width = self.geometry.cropped_quarter
        return np.ascontiguousarray(maps[..., :height, :width].float().cpu().numpy())
