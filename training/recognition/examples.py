"""What the recogniser learns from: features under true masks, under proposals that fit one, names.

Letters: N regions, F features under a mask, Q object proposals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from find_core.model.attention_table import TokenGroup
from find_core.model.image_state import resize
from find_core.predictor import Find
from find_core.preprocess import mask_to_input
from find_core.recognition.pooling import pooled_proposals, pooled_region
from find_core.scene import Scene
from training.data.formats.records import Record
from training.evaluation.labelled import MIN_TARGET_PX, LabelledScene
from training.evaluation.photos_suite import filled_box

LEAST_SHARE = 0.002
"""Of the image that a region covers at least."""
FITS = 0.6
"""IoU from which a proposal counts as the region: masks at work are never the true ones."""


@dataclass(frozen=True, eq=False)
class Region:
    """(F,) features under one mask, and what it is called."""

    features: Tensor
    name: str


def photo_regions(find: Find, records: Iterable[Record]) -> Iterator[Region]:
    """Of photographs: masks, boxes, and whole images of which only the name is known."""
    for record in records:
        image, numbers = record.read()
        scene = find.encode(image)
        if record.image_labels and not record.instances:
            whole = np.ones(image.shape[:2], bool)
            yield from regions_of(scene, [whole], [record.image_labels[0]], proposals=False)
            continue
        masks = [
            numbers == k + 1 if i.box_xyxy is None else filled_box(i.box_xyxy, numbers.shape)
            for k, i in enumerate(record.instances)
        ]
        large = [k for k, mask in enumerate(masks) if mask.mean() >= LEAST_SHARE]
        yield from regions_of(
            scene, [masks[k] for k in large], [record.instances[k].name for k in large]
        )


def scene_regions(find: Find, scenes: Iterable[dict[str, Any]]) -> Iterator[Region]:
    """Of rendered scenes: every name of each object that has one to itself; no attributes."""
    for data in scenes:
        labelled = LabelledScene.read(data)
        masks, names = [], []
        for phrase in data["phrases"]:
            if phrase["type"] == "name" and len(phrase["instance_ids"]) == 1:
                mask = labelled.mask(phrase["instance_ids"])
                if mask.sum() >= MIN_TARGET_PX:
                    masks.append(mask)
                    names.append(phrase["text"])
        yield from regions_of(find.encode(labelled.image), masks, names, proposals=False)


@torch.inference_mode()
def regions_of(
    scene: Scene, masks: list[np.ndarray], names: list[str], proposals: bool = True
) -> list[Region]:
    """Features under (H, W) bool masks, and under the object proposals that fit one of them."""
    if not masks:
        return []
    inputs = [mask_to_input(mask, scene.geometry) for mask in masks]
    found = [
        Region(pooled_region(mask, scene.state, scene.geometry), name)
        for mask, name in zip(inputs, names, strict=True)
    ]
    if not proposals:
        return found
    logits = scene.object_logits.float()
    quarter = (logits.shape[-2], logits.shape[-1])
    true = (resize(torch.stack(inputs).float()[None], quarter)[0] > 0.5).float().flatten(1)
    drawn = (logits > 0).float().flatten(1)
    shared = drawn @ true.T
    iou = shared / (drawn.sum(1)[:, None] + true.sum(1)[None] - shared + 1e-6)
    best, which = iou.max(1)
    pixel_QP = scene.objects.pixel[TokenGroup.OBJECT][0]
    features = pooled_proposals(pixel_QP, scene.state, scene.geometry)
    fitting = (best > FITS).nonzero()[:, 0].tolist()
    return found + [Region(features[q], names[int(which[q])]) for q in fitting]
