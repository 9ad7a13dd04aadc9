"""Interactive segmentation of a scene: strokes in, one mask per prompt out, refinable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from find_core.errors import PromptError
from find_core.masks import part_at
from find_core.model.attention_table import TokenGroup
from find_core.model.sampler import VisualPrompt
from find_core.preprocess import logits_to_original, mask_to_input
from find_core.prompts.region import Region
from find_core.protocols import EncodedImage
from find_core.results import InteractiveSegmentation
from find_core.tasks import postprocess


@dataclass(frozen=True, eq=False)
class Memory:
    """What a refinement remembers: the scene it belongs to and (1, N, h, w) mask logits."""

    scene: EncodedImage
    logits: Tensor


@torch.inference_mode()
def interact(
    scene: EncodedImage,
    prompts: Sequence[Region | Sequence[Region]],
    previous: InteractiveSegmentation | None,
) -> InteractiveSegmentation:
    """See `Scene.interact`."""
    strokes = _prompts(prompts)
    memory = _memory(scene, previous, len(strokes))
    find = scene.find
    drawn = [[r.to_mask(scene.height, scene.width) for r in regions] for regions in strokes]
    visual = [
        VisualPrompt(scene.state, 0, _to_input(scene, mask), i, region.positive)
        for i, (regions, masks) in enumerate(zip(strokes, drawn, strict=True))
        for region, mask in zip(regions, masks, strict=True)
    ]
    with find.autocast():
        groups = find.model.sampler.interactive(
            [visual], [len(strokes)], memory is not None, find.generator()
        )
        outputs = find.model(scene.state, groups, previous_BNhw=memory)[-1]
        pixel = outputs.pixel[TokenGroup.SEGMENT]
        queries = find.model.heads.pixel(outputs.embeddings[TokenGroup.SPATIAL])
        chosen = postprocess.stroke_choice(queries, pixel)[0]
        logits = find.model.masks(pixel[:, chosen], scene.state).float()
    full = logits_to_original(logits[0], scene.geometry)
    masks = (full > 0).cpu().numpy()
    if find.config.single_things:
        masks = _pointed_at(scene, strokes, drawn, masks)
    return InteractiveSegmentation(
        masks=masks,
        scores=postprocess.mask_scores(full).cpu().numpy(),
        memory=Memory(scene, logits),
    )


def _pointed_at(
    scene: EncodedImage,
    strokes: Sequence[Sequence[Region]],
    drawn: Sequence[Sequence[np.ndarray]],
    masks_NHW: np.ndarray,
) -> np.ndarray:
    """(N, H, W) bool masks without look-alikes that stand apart from what was pointed at."""
    chosen = []
    for regions, marks, mask in zip(strokes, drawn, masks_NHW, strict=True):
        positive = [m for r, m in zip(regions, marks, strict=True) if r.positive]
        chosen.append(part_at(mask, np.logical_or.reduce(positive), lambda: scene.object_masks))
    return np.stack(chosen)


def _prompts(prompts: Sequence[Region | Sequence[Region]]) -> list[list[Region]]:
    if not prompts:
        raise PromptError("Point at something: e.g. scene.interact(Region.point(x, y)).")
    if all(isinstance(p, Region) for p in prompts):
        groups = [[p for p in prompts if isinstance(p, Region)]]
    else:
        groups = [[p] if isinstance(p, Region) else list(p) for p in prompts]
    for group in groups:
        if not all(isinstance(r, Region) for r in group) or not any(r.positive for r in group):
            raise PromptError("Every object needs at least one positive Region.")
    return groups


def _to_input(scene: EncodedImage, mask: np.ndarray) -> Tensor:
    return mask_to_input(mask, scene.geometry).to(scene.find.device)


def _memory(
    scene: EncodedImage, previous: InteractiveSegmentation | None, count: int
) -> Tensor | None:
    if previous is None:
        return None
    memory = previous.memory
    if not isinstance(memory, Memory) or memory.scene is not scene:
        raise PromptError("previous= must be an answer of this same scene.")
    if memory.logits.shape[1] != count:
        raise PromptError(
            f"previous= has {memory.logits.shape[1]} objects but {count} are marked now: "
            "mark the same objects, in the same order."
        )
    return memory.logits
