"""Slow twins: answers decided on masks at the original size, all of them upsampled, nothing cropped."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from find_core.masks import (
    box_of_mask,
    connected_parts,
    is_duplicate,
    split_instance,
    without_duplicates,
)
from find_core.preprocess import logits_to_original, masks_at_original
from find_core.results import Entity, Instance, Localization
from find_core.tasks import candidates, postprocess


class ArrayObjects:
    """Object proposals as a (Q, H, W) bool array, made when it is asked for."""

    def __init__(self, masks: Callable[[], np.ndarray]) -> None:
        self._masks = masks

    def covered(self, top, left, part):
        height, width = part.shape
        window = self._masks()[:, top : top + height, left : left + width]
        return np.count_nonzero(window & part, axis=(1, 2))

    def area(self, number):
        return np.count_nonzero(self._masks()[number])


def localization(scene, labels, choice_EN, relevance_EN, proposals, threshold, places=None):
    """As `candidates.localization`, by scores alone."""
    assert places is None
    config = scene.find.config
    least = config.threshold if threshold is None else threshold
    everyone = list(range(relevance_EN.shape[1]))
    logits = proposals.logits(everyone)
    masks = masks_at_original(logits, scene.geometry)
    shared = postprocess.shared_areas(logits > 0).numpy()
    scores_EN = relevance_EN.numpy()
    entities = []
    for label, scores, choice in zip(labels, scores_EN, choice_EN.float().numpy(), strict=True):
        order = np.argsort(-choice, kind="stable")
        passing = [n for n in order if scores[n] >= least or n == order[0]]
        if len(passing) > 1 and shared[order[0], order[0]]:
            passing = postprocess.wholes_first(shared, passing, scores)
        distinct = postprocess.distinct(shared, passing)[: candidates.MAX_INSTANCES]
        numbers = [passing[0], *(n for n in distinct if n != passing[0])]
        found = [
            Instance(float(scores[n]), masks[n], box_of_mask(masks[n]), proposals.embeddings_ND[n])
            for n in numbers
        ]
        if config.single_things:
            found = separated(scene, found)
        entities.append(entity(label, found, least))
    relevance = min(e.score for e in entities)
    return Localization(
        relevance, tuple(entities), scene.height, scene.width, separated=config.single_things
    )


def separated(scene, whole):
    objects = ArrayObjects(lambda: scene.object_masks)
    parts = [split_instance(instance, objects) for instance in whole]
    first = parts[0][0]
    others = without_duplicates(p for each in parts for p in each)
    return [first, *(p for p in others if p is not first and not is_duplicate(p, first))]


def entity(label, found, least):
    first = found[0]
    passes = bool(first.score >= least and first.mask.any())
    instances = tuple(sorted(found, key=lambda i: -i.score)) if passes else ()
    own = first.score, first.mask, first.box_xyxy, first.embedding
    return Entity(*own, label=label, found=passes, instances=instances)


def clicked(scene, logits_Nhw, marks_NHW):
    """(N, H, W) bool masks and (N,) scores of an interactive answer."""
    full = logits_to_original(logits_Nhw, scene.geometry)
    masks = list((full > 0).numpy())
    if scene.find.config.single_things:
        objects = ArrayObjects(lambda: scene.object_masks)
        for n, (mask, mark) in enumerate(zip(masks, marks_NHW, strict=True)):
            touched = [part for part in connected_parts(mask, objects) if (part & mark).any()]
            masks[n] = np.logical_or.reduce(touched) if touched else mask
    return np.array(masks), postprocess.mask_scores(full).numpy()


def class_map(scene, logits_QC):
    masks = logits_to_original(scene.object_logits, scene.geometry)
    return postprocess.semantic_scores(logits_QC, masks).argmax(0).numpy()


def id_map(scene, logits_QC, things, least, overlap):
    masks = logits_to_original(scene.object_logits, scene.geometry)
    return postprocess.panoptic(logits_QC, masks, things, least, overlap)[0].numpy()


def scored_masks(scene, logits_QC, things, least):
    """(score, class, (H, W) bool mask) of an instance segmentation, best first."""
    masks = logits_to_original(scene.object_logits, scene.geometry)
    scores, classes, numbers = postprocess.instances(logits_QC, masks, things)
    rows = [
        (float(scores[i]), int(classes[i]), (masks[numbers[i]] > 0).numpy())
        for i in torch.argsort(scores, descending=True).tolist()
    ]
    return [row for row in rows if row[0] >= least and row[2].any()]
