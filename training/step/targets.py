"""From what a batch asks to what the criterion takes: strokes, padded targets, weights.

Letters: B pictures, M instances or (instance, text) pairs, h/w quarter resolution.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from find_core.model.image_state import ImageState
from find_core.model.sampler import VisualPrompt
from training.data.queries.config import QuerySample
from training.losses.mask_criterion import MaskTargets


def phrase_texts(ask: QuerySample) -> list[str]:
    """A picture without a phrase still needs a row."""
    return [p.text for p in ask.phrases] or ["nothing"]


def strokes_of(ask: QuerySample, image: ImageState, b: int) -> list[VisualPrompt]:
    device = image.mask_features.device
    return [
        VisualPrompt(image, b, torch.from_numpy(p.stroke).to(device), n)
        for n, p in enumerate(ask.prompts)
    ]


def pick_targets(
    masks_BMhw: Tensor, pairs: list[list[tuple[int, int]]], kinds_BM: Tensor | None = None,
    ignored_Bhw: Tensor | None = None, open_Bhw: Tensor | None = None,
) -> MaskTargets:  # fmt: skip
    """Masks per (instance, text) pair of each picture, padded; the label is the text."""
    count = max(1, max(len(p) for p in pairs))
    which = np.zeros((3, len(pairs), count), np.int64)  # instance, text, and whether there is one
    for b, row in enumerate(pairs):
        for k, (m, n) in enumerate(row):
            which[:, b, k] = m, n, 1
    instance, label, there = torch.from_numpy(which).to(masks_BMhw.device).unbind()
    valid = there.bool()
    image = torch.arange(len(pairs), device=masks_BMhw.device)[:, None]
    picked = masks_BMhw[image, instance] * valid[..., None, None]
    kinds = None if kinds_BM is None else kinds_BM[image, instance] * valid
    return MaskTargets(picked, valid, label, kinds, ignored_Bhw, open_Bhw)


def pair_labels(pairs: list[list[tuple[int, int]]]) -> Tensor:
    """(B, M) which text each (instance, text) pair belongs to, padded with 0."""
    count = max(1, max(len(p) for p in pairs))
    return torch.tensor([[n for _, n in row] + [0] * (count - len(row)) for row in pairs])


def counts_to_weights(counts: list[int], width: int, like: Tensor) -> Tensor:
    steps = torch.arange(width)[None] < torch.tensor(counts)[:, None]
    return steps.to(like)
