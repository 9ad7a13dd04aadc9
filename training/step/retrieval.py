"""Image-text retrieval in a step: captions and interleaved sentences against the batch's images.

Dimension letters: L predictions, B images, Q proposals, H semantic width, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from find_core.model.attention_table import TokenGroup
from training.losses.distributed import gather_rows
from training.losses.mask_criterion import prediction_weights
from training.losses.terms import itc, token_retrieval
from training.step.context import LossTerms, StepContext


def add_retrieval(terms: LossTerms, context: StepContext, caption_tokens: Sequence[Tensor]) -> None:
    """Add the retrieval terms that the recipe asks for.

    Args:
        caption_tokens: per image (T, H), read for the token term alone; empty without it.
    """
    losses, queries, device = context.losses, context.batch.queries, context.features.device
    if TokenGroup.CAPTION in context.semantic:
        known = torch.tensor([q.caption is not None for q in queries], device=device)
        _add_contrast(terms, context, "retrieval", TokenGroup.CAPTION, known, losses.retrieval)
        if losses.retrieval_tokens:
            value = _tokens(context, caption_tokens)
            terms.add("retrieval_tokens", value, losses.retrieval * losses.retrieval_tokens)
    if losses.interleave_itc and TokenGroup.LEGEND in context.semantic:
        known = torch.tensor([any(e.targets for e in q.entities) for q in queries], device=device)
        _add_contrast(
            terms, context, "interleave_itc", TokenGroup.LEGEND, known, losses.interleave_itc
        )


def _add_contrast(
    terms: LossTerms, context: StepContext, name: str, text: TokenGroup, known_B: Tensor,
    weight: float,
) -> None:  # fmt: skip
    """Image against text, in every prediction; `known_B`: images whose text says something."""
    images, texts = context.semantic[TokenGroup.IMAGE], context.semantic[text]
    weights = prediction_weights(len(images), context.losses.masks.aux_weight, images.device)
    for n, share in enumerate(weights):
        known = gather_rows(known_B.float()) > 0
        rows = gather_rows(images[n, :, 0]), gather_rows(texts[n, :, 0])
        terms.add(name, share * itc(*rows, context.scale, known), weight)


def _tokens(context: StepContext, tokens: Sequence[Tensor]) -> Tensor:
    """Mean object embeddings against single caption tokens, summed over the predictions."""
    device = context.features.device
    owner = torch.cat([torch.full((len(t),), b) for b, t in enumerate(tokens)]).to(device)
    rank = torch.cat([torch.arange(1, len(t) + 1) for t in tokens]).to(device)
    means = context.semantic[TokenGroup.OBJECT].mean(2)
    found = [token_retrieval(m, torch.cat(list(tokens)), owner, rank, context.scale) for m in means]
    return torch.stack(found).sum()
