"""One more interactive round in training: a corrective click, and the previous masks as memory.

The reference crashes here (docs/spec.md 3.6-1), so its memory never learned; ours does.

Letters: B pictures, N prompts, h/w quarter resolution.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from find_core.model.attention_table import TokenGroup
from find_core.model.find import FindModel
from find_core.model.heads import Outputs
from find_core.model.image_state import ImageState
from find_core.model.sampler import VisualPrompt
from find_core.tasks.postprocess import stroke_choice
from training.data.queries.strokes import click
from training.data.sample import Batch


@torch.no_grad()
def previous_masks(model: FindModel, image: ImageState, output: Outputs) -> Tensor:
    """(B, N, h, w) mask logits that the last round chose for every prompt."""
    pixel = output.pixel[TokenGroup.SEGMENT]
    queries = model.heads.pixel(output.embeddings[TokenGroup.SPATIAL])
    chosen = stroke_choice(queries, pixel)
    rows = torch.gather(pixel, 1, chosen[..., None].expand(-1, -1, pixel.shape[-1]))
    return model.masks(rows, image)


def corrective_click(answer: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, bool] | None:
    """Where the answer is most wrong.

    Args:
        answer, truth: (h, w) bool.

    Returns:
        (h, w) bool dot in the middle of the larger error, and whether it is positive (something is
        missing) or negative (something is too much); None when nothing is wrong.
    """
    missing, surplus = truth & ~answer, answer & ~truth
    if not missing.any() and not surplus.any():
        return None
    positive = np.count_nonzero(missing) >= np.count_nonzero(surplus)
    return click(missing if positive else surplus), bool(positive)


def refined_prompts(
    batch: Batch, image: ImageState, previous_BNhw: Tensor
) -> list[list[VisualPrompt]]:
    """The strokes of the first round, and a corrective click each."""
    answers = (previous_BNhw > 0).cpu().numpy()
    device = previous_BNhw.device
    prompts = []
    for b, ask in enumerate(batch.queries):
        row = []
        for n, prompt in enumerate(ask.prompts):
            row.append(VisualPrompt(image, b, torch.from_numpy(prompt.stroke).to(device), n))
            truth = batch.masks[b, prompt.target].numpy() > 0.5
            found = corrective_click(answers[b, n], truth)
            if found is not None:
                dot = np.kron(found[0], np.ones((4, 4), bool))
                row.append(VisualPrompt(image, b, torch.from_numpy(dot).to(device), n, found[1]))
        prompts.append(row)
    return prompts
