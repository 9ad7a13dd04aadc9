"""Scene: one encoded image, asked as often as one likes.

Letters: N proposals (Q object queries), E entities, D semantic width, P pixel width, h/w quarter
resolution, H/W pixels of the original image.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import torch
from torch import Tensor

from find_core.embedding_space import same_space
from find_core.errors import FindError, PromptError
from find_core.masks import is_duplicate as same
from find_core.masks import split_disconnected as single_things
from find_core.masks import split_instance as parts_of
from find_core.model.attention_table import TokenGroup
from find_core.model.heads import Outputs, unit
from find_core.model.image_state import ImageState, resize
from find_core.preprocess import Geometry, logits_to_original, mask_to_input
from find_core.prompts.compiled import CompiledPrompt, stack_states, to_unit
from find_core.prompts.prompt import Prompt
from find_core.prompts.region import Region
from find_core.results import (
    Entity,
    Instance,
    InstanceSegmentation,
    InteractiveSegmentation,
    Localization,
    PanopticSegmentation,
    SemanticSegmentation,
    box_of_mask,
)
from find_core.tasks import postprocess
from find_core.tasks.interact import interact
from find_core.tasks.segment import segment

if TYPE_CHECKING:
    from find_core.predictor import Find

AnyPrompt = Prompt | str | CompiledPrompt
Classes = Sequence[str | Prompt]
MAX_INSTANCES = 20


class Scene:
    """An encoded image. Made by `Find.encode`.

    Attributes:
        state: the network's view of it. geometry: sizes on the way there.
    """

    def __init__(self, find: Find, state: ImageState, geometry: Geometry) -> None:
        self.find, self.state, self.geometry = find, state, geometry
        self._objects: Outputs | None = None
        self._lock = threading.Lock()

    @property
    def height(self) -> int:
        return self.geometry.original[0]

    @property
    def width(self) -> int:
        return self.geometry.original[1]

    @property
    @torch.inference_mode()
    def objects(self) -> Outputs:
        """Object proposals and image query: the same for every prompt, computed on first use."""
        with self._lock:
            if self._objects is None:
                model = self.find.model
                with self.find.autocast():
                    self._objects = model(self.state, model.sampler.segmentation(1))[-1]
            return self._objects

    @property
    @torch.inference_mode()
    def embedding(self) -> np.ndarray:
        """(D,) float32 unit vector of the whole image, comparable with `Find.embed`."""
        image = self.objects.embeddings[TokenGroup.IMAGE]
        return to_unit(self.find.model.heads.semantic(image))[0, 0]

    @property
    def object_embeddings(self) -> np.ndarray:
        """(Q, D) float32 unit vectors of the object proposals, semantic space."""
        return to_unit(self.object_rows())

    @property
    def object_mask_logits(self) -> np.ndarray:
        """(Q, h, w) float32 mask logits at 1/4 of the resized image, padding cropped."""
        return self._cropped(self.object_logits())

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

    @torch.inference_mode()
    def localize_many(
        self, prompts: Sequence[AnyPrompt], *, threshold: float | None = None, fast: bool = False
    ) -> list[Localization]:
        """`localize` of several prompts in one batched pass over shared image keys and values."""
        compiled = [self._compiled(p) for p in prompts]
        if not compiled:
            return []
        if fast:
            return [
                self._answer(c, self.objects, TokenGroup.OBJECT, 0, threshold) for c in compiled
            ]
        model = self.find.model
        with self.find.autocast():
            cached_groups = {TokenGroup.LEGEND_TOKENS: stack_states([c.legend for c in compiled])}
            groups = model.sampler.entity_proposals(len(compiled))
            outputs = model.resume(self.state, groups, cached_groups)
        return [
            self._answer(c, outputs, TokenGroup.ENTITY, row, threshold)
            for row, c in enumerate(compiled)
        ]

    @torch.inference_mode()
    def relevance(self, prompt: AnyPrompt) -> float:
        """In [0, 1]: does this image show every entity of the prompt? Object-level match only."""
        compiled = self._compiled(prompt)
        best = (unit(compiled.semantic) @ unit(self.object_rows()).T).max(-1).values
        return float(self.find.config.relevance(best).min())

    @torch.inference_mode()
    def ground(self, phrases: Sequence[str], *, threshold: float | None = None) -> Localization:
        """Grounded segmentation (docs/spec.md 2.9): all phrases in one pass of grounding proposals.

        Unlike `localize`, phrase vectors see the image, so nothing can be compiled ahead.
        """
        if isinstance(phrases, str) or not len(phrases) or not all(p.strip() for p in phrases):
            raise PromptError('Give a list of phrases, none of them empty: e.g. ["the red mug"].')
        model = self.find.model
        with self.find.autocast():
            groups = model.sampler.grounding([self.find.project(list(phrases))])
            outputs = model(self.state, groups)[-1]
            rows = model.heads.semantic(outputs.embeddings[TokenGroup.GROUNDING])[0]
            queries = model.heads.semantic(outputs.embeddings[TokenGroup.DESCRIPTION])[0]
        cosines = unit(queries) @ unit(rows).T
        logits = model.masks(outputs.pixel[TokenGroup.GROUNDING], self.state)[0]
        entities = self._entities(phrases, cosines, cosines, logits, rows, threshold)
        return self._localization(entities)

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
        return segment(self, classes, mode, stuff, score_threshold, overlap_threshold)

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
        return interact(self, prompts, previous)

    def semantic_map(self) -> tuple[np.ndarray, np.ndarray]:
        """Per-pixel semantic embeddings, factored: e(x) = sum_q p_q(x) s_q (docs/architecture.md, "The field").

        Returns:
            probabilities (Q, h, w) float32, the softmax over object masks (sums to 1 over Q), and
            object embeddings (Q, D) float32 unit vectors. e(x) is not normalised.
        """
        logits = self.object_logits().float().softmax(0)
        return self._cropped(logits), self.object_embeddings

    def pixel_features(self) -> np.ndarray:
        """(P, h, w) float32 mask features at 1/4 of the resized image, padding cropped."""
        return self._cropped(self.state.mask_features[0])

    @torch.inference_mode()
    def object_row_at(self, mask: np.ndarray) -> Tensor:
        """(D,) raw semantic row of the object proposal that fits a (H, W) bool mask best."""
        target = mask_to_input(mask, self.geometry).to(self.find.device).float()
        logits = self.object_logits().float()
        quarter = (logits.shape[-2], logits.shape[-1])
        target = resize(target[None, None], quarter)[0, 0]
        probability = logits.sigmoid()
        shared = (probability * target).sum((1, 2))
        either = (probability + target - probability * target).sum((1, 2))
        return self.object_rows()[(shared / (either + 1e-6)).argmax()]

    def object_rows(self) -> Tensor:
        """(Q, D) raw semantic rows of the object proposals, on the model's device."""
        with torch.inference_mode():
            return self.find.model.heads.semantic(self.objects.embeddings[TokenGroup.OBJECT])[0]

    def object_logits(self) -> Tensor:
        """(Q, h, w) mask logits of the object proposals at 1/4 of the padded input, on the device."""
        with torch.inference_mode():
            return self.find.model.masks(self.objects.pixel[TokenGroup.OBJECT], self.state)[0]

    def object_masks(self) -> np.ndarray:
        """(Q, H, W) bool masks of the object proposals at the picture's size."""
        return (logits_to_original(self.object_logits(), self.geometry) > 0).cpu().numpy()

    def _compiled(self, prompt: AnyPrompt) -> CompiledPrompt:
        compiled = prompt if isinstance(prompt, CompiledPrompt) else self.find.compile(prompt)
        if not same_space(compiled.fingerprint, self.find.fingerprint):
            raise FindError(
                "This prompt was compiled by another model: compile it again with this one, "
                "find.compile(prompt.prompt)."
            )
        return compiled

    def _answer(self, compiled: CompiledPrompt, outputs: Outputs, var: TokenGroup, row: int,
                threshold: float | None) -> Localization:  # fmt: skip
        heads = self.find.model.heads
        semantic, pixel = heads.semantic(outputs.embeddings[var][row]), outputs.pixel[var][row]
        cosines = unit(compiled.semantic) @ unit(semantic).T
        choice = cosines
        if self.find.config.selection == "paper":
            visual = torch.from_numpy(compiled.entity_is_visual)
            choice = postprocess.interleave_similarity(
                semantic, pixel, compiled.semantic, compiled.pixel, visual
            )
        logits = self.find.model.masks(pixel.unsqueeze(0), self.state)[0]
        entities = self._entities(compiled.labels, choice, cosines, logits, semantic, threshold)
        return self._localization(entities)

    def _entities(self, labels: Sequence[str], choice_EN: Tensor, cosines_EN: Tensor,
                  logits_Nhw: Tensor, semantic_ND: Tensor,
                  threshold: float | None) -> list[Entity]:  # fmt: skip
        """The best candidate of each entity, and every further one that passes the threshold."""
        least = self.find.config.threshold if threshold is None else threshold
        scores = self.find.config.relevance(cosines_EN)
        quarter = logits_Nhw > 0
        vectors = to_unit(semantic_ND)
        objects = functools.cache(self.object_masks)
        entities = []
        for e, label in enumerate(labels):
            best = int(choice_EN[e].argmax())
            order = [best] + [int(n) for n in choice_EN[e].argsort(descending=True) if n != best]
            passing = [n for n in order if n == best or scores[e, n] >= least]
            chosen = postprocess.distinct(quarter, passing)[:MAX_INSTANCES]
            chosen = [best] + [n for n in chosen if n != best]
            masks = (logits_to_original(logits_Nhw[chosen], self.geometry) > 0).cpu().numpy()
            found_all = [
                Instance(float(scores[e, n]), m, box_of_mask(m), vectors[n])
                for n, m in zip(chosen, masks, strict=True)
            ]
            first = found_all[0]
            if self.find.config.single_things:
                first = parts_of(first, objects)[0]
                parts = single_things(found_all, objects)
                found_all = [first, *(p for p in parts if not same(p, first))]
            found = bool(first.score >= least and first.mask.any())
            passed = sorted(found_all, key=lambda i: -i.score) if found else []
            entities.append(
                Entity(
                    first.score,
                    first.mask,
                    first.box_xyxy,
                    first.embedding,
                    label=label,
                    found=found,
                    instances=tuple(passed),
                )
            )
        return entities

    def _localization(self, entities: Sequence[Entity]) -> Localization:
        relevance = min(entity.score for entity in entities)
        return Localization(relevance, tuple(entities), self.height, self.width)

    def _cropped(self, maps: Tensor) -> np.ndarray:
        height, width = self.geometry.cropped_quarter
        return np.ascontiguousarray(maps[..., :height, :width].float().cpu().numpy())
