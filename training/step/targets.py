"""From what a batch asks to what the criterion takes: strokes, padded targets, weights.

Letters: B pictures, M instances or (instance, text) pairs, h/w quarter resolution.
"""

from __future__ import annotations

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
    shape = (len(pairs), count)
    picked = masks_BMhw.new_zeros(*shape, *masks_BMhw.shape[2:])
    valid = torch.zeros(shape, dtype=torch.bool, device=masks_BMhw.device)
    label = torch.zeros(shape, dtype=torch.long, device=masks_BMhw.device)
    kinds = None if kinds_BM is None else torch.zeros_like(label)
    for b, row in enumerate(pairs):
        for k, (m, n) in enumerate(row):
            picked[b, k], valid[b, k], label[b, k] = masks_BMhw[b, m], True, n
            if kinds is not None and kinds_BM is not None:
                kinds[b, k] = kinds_BM[b, m]
    return MaskTargets(picked, valid, label, kinds, ignored_Bhw, open_Bhw)


def pair_labels(pairs: list[list[tuple[int, int]]]) -> Tensor:
    """(B, M) which text each (instance, text) pair belongs to, padded with 0."""
    count = max(1, max(len(p) for p in pairs))
    return torch.tensor([[n for _, n in row] + [0] * (count - len(row)) for row in pairs])


def counts_to_weights(counts: list[int], width: int, like: Tensor) -> Tensor:
    steps = torch.arange(width)[None] < torch.tensor(counts)[:, None]
    return steps.to(like)
