"""One labelled view, and a batch of them: what the training step reads.

Dimension letters: B images, M instances, H/W view pixels, h/w = H/4, W/4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor

from training.data.formats.records import IGNORED, InstanceLabel, LabelKind, Record
from training.data.queries.config import QuerySample
from training.data.store import StoredView

KINDS = tuple(LabelKind)
"""The kinds of labels by their numbers in `Batch.kinds`."""


@dataclass(eq=False)
class LabelledImage:
    """One view with its visible instances.

    Attributes:
        numbers: (H, W) uint8 record instance numbers (from 1), 0 elsewhere.
        visible: record indices of the instances that count, in mask order.
        masks: (M, h, w) float32, share of each 1/4-scale cell that the instance covers.
    """

    record: Record
    view: StoredView
    numbers: np.ndarray
    visible: tuple[int, ...]
    masks: Tensor

    @property
    def instances(self) -> list[InstanceLabel]:
        return [self.record.instances[k] for k in self.visible]

    def mask(self, m: int) -> np.ndarray:
        """(H, W) bool of the m-th visible instance."""
        return self.numbers == self.visible[m] + 1

    def open_cells(self) -> Tensor:
        """(h, w) bool: cells where an object of an asked name may be that nobody labelled.

        A crowd's cells always are; without a full labelling of the names, all unlabelled ones.
        """
        free = self.numbers == IGNORED
        if not self.record.names_exhaustive:
            free = free | (self.numbers == 0)
        return torch.from_numpy(coverage(free) > 0.5)

    def ignored_cells(self) -> Tensor:
        """(h, w) bool: cells that hold pixels nothing is said of."""
        return torch.from_numpy(coverage(self.numbers == IGNORED) > 0)

    @property
    def complete(self) -> bool:
        """Every instance of the record is still there."""
        return len(self.visible) == len(self.record.instances)


@dataclass(eq=False)
class Batch:
    """Attributes:
    features: four (B, C, h, w) float32 maps. images, queries: one per image.
    masks: (B, M, h, w) float32, zero-padded. valid: (B, M) bool.
    kinds: (B, M) long, index into `KINDS` of what each mask's label says.
    ignored: (B, h, w) bool, cells that nothing is said of.
    open_cells: (B, h, w) bool, cells where unlabelled objects of an asked name may be.
    references: images that entities refer to and that are not themselves asked about; their
        `image_index` goes on from the batch's images. reference_features: four (R, C, h, w).
    """

    features: list[Tensor]
    images: list[LabelledImage]
    queries: list[QuerySample]
    masks: Tensor
    valid: Tensor
    kinds: Tensor
    ignored: Tensor
    open_cells: Tensor
    references: list[LabelledImage] = field(default_factory=list)
    reference_features: list[Tensor] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images)


def labelled_image(
    record: Record, view: StoredView, numbers: np.ndarray, min_px: int
) -> LabelledImage:
    """The record's instances that are large enough in this view, with their masks."""
    counts = np.bincount(numbers.ravel(), minlength=len(record.instances) + 1)
    visible = tuple(k for k in range(len(record.instances)) if counts[k + 1] >= min_px)
    masks = [coverage(numbers == k + 1) for k in visible]
    height, width = numbers.shape
    empty = np.zeros((0, height // 4, width // 4), np.float32)
    stacked = torch.from_numpy(np.stack(masks) if masks else empty)
    return LabelledImage(record, view, numbers, visible, stacked)


def coverage(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool -> (H/4, W/4) float32 share of covered pixels."""
    height, width = mask.shape
    size = (width // 4, height // 4)
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def collate(
    items: Sequence[tuple[LabelledImage, list[Tensor]]], queries: list[QuerySample],
    references: Sequence[tuple[LabelledImage, list[Tensor]]] = (),
) -> Batch:  # fmt: skip
    """Stack images; masks are padded to the largest count."""
    images = [p for p, _ in items]
    count = max(1, max(len(p.visible) for p in images))
    masks = torch.zeros(len(images), count, *images[0].masks.shape[1:])
    valid = torch.zeros(len(images), count, dtype=torch.bool)
    kinds = torch.zeros(len(images), count, dtype=torch.long)
    for b, image in enumerate(images):
        masks[b, : len(image.visible)] = image.masks
        valid[b, : len(image.visible)] = True
        for m, instance in enumerate(image.instances):
            kinds[b, m] = KINDS.index(instance.label_kind)
    ignored = torch.stack([image.ignored_cells() for image in images])
    free = torch.stack([image.open_cells() for image in images])
    return Batch(
        stacked(items), images, queries, masks, valid, kinds, ignored, free,
        [image for image, _ in references], stacked(references),
    )  # fmt: skip


def stacked(items: Sequence[tuple[LabelledImage, list[Tensor]]]) -> list[Tensor]:
    """Their feature maps, level by level (N, C, h, w); none of none."""
    return [torch.stack(level) for level in zip(*(maps for _, maps in items), strict=True)]
