"""Interactive segmentation of a scene: strokes in, one mask per prompt out, refinable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from find_core.crops import Crop, crops_of
from find_core.errors import PromptError
from find_core.masks import Objects, connected_parts
from find_core.model.attention_table import TokenGroup
from find_core.model.sampler import VisualPrompt
from find_core.preprocess import mask_to_input
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
    crops = crops_of(logits[0].cpu().numpy(), scene.geometry)
    scores = [crop.score() for crop in crops]
    if find.config.single_things:
        crops = [
            part_at(crop, _positive(regions, marks), scene.object_crops)
            for regions, marks, crop in zip(strokes, drawn, crops, strict=True)
        ]
    return InteractiveSegmentation(
        masks=np.stack([crop.original()[0] for crop in crops]),
        scores=np.array(scores, np.float32),
        memory=Memory(scene, logits),
    )


def part_at(crop: Crop, marked: np.ndarray, objects: Objects | None = None) -> Crop:
    """The mask without look-alikes that stand apart from what was pointed at.

    All of it where it has one part, or where the mark, (H, W) bool of the original image, lies beside
    it.
    """
    mask = crop.resized_mask()
    parts = connected_parts(mask, objects)
    if parts[0] is mask:
        return crop
    touched = [part for part in parts if (crop.only(part).original()[0] & marked).any()]
    return crop.only(np.logical_or.reduce(touched)) if touched else crop


def _positive(regions: Sequence[Region], marks: Sequence[np.ndarray]) -> np.ndarray:
    """(H, W) bool, all positive strokes of an object."""
    return np.logical_or.reduce([m for r, m in zip(regions, marks, strict=True) if r.positive])


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
