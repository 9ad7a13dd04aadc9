"""The paper's loss terms (docs/spec.md 3.1), each a plain function of tensors.

Dimension letters: N masks or rows, P points or pixels, K classes, Q proposals, T texts, B images,
D embedding. Logits are unbounded; targets may be soft (in [0, 1]).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from find_core.model.heads import unit

MAX_LOGIT_SCALE = 100.0


def cosine_logits(a: Tensor, b: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """scale * cos between the rows of a (..., N, D) and b (..., M, D): (..., N, M)."""
    return scale * (unit(a) @ unit(b).transpose(-1, -2))


def temperature(logit_scale: Tensor) -> Tensor:
    """exp(logit_scale), at most `MAX_LOGIT_SCALE`: the temperature all cosine losses share."""
    return logit_scale.exp().clamp(max=MAX_LOGIT_SCALE)


def mask_bce(logits_NP: Tensor, targets_NP: Tensor, weights_NP: Tensor | None = None) -> Tensor:
    """(N,) binary cross-entropy: mean over points, or weighted by rows that sum to 1."""
    loss = F.binary_cross_entropy_with_logits(logits_NP, targets_NP, reduction="none")
    return loss.mean(1) if weights_NP is None else (loss * weights_NP).sum(1)


def mask_dice(logits_NP: Tensor, targets_NP: Tensor) -> Tensor:
    """(N,) 1 - (2|A.B| + 1) / (|A| + |B| + 1) with soft sets."""
    probs = logits_NP.sigmoid()
    overlap = 2.0 * (probs * targets_NP).sum(1)
    total = probs.sum(1) + targets_NP.sum(1)
    return 1.0 - (overlap + 1.0) / (total + 1.0)


def class_ce(logits_NK: Tensor, target_N: Tensor, weight_N: Tensor) -> Tensor:
    """Cross-entropy, averaged with the rows' weights (no-object rows weigh less)."""
    loss = F.cross_entropy(logits_NK, target_N, reduction="none")
    return (loss * weight_N).sum() / weight_N.sum().clamp(min=1e-6)


def proposal_ce(logits_TQ: Tensor, target_TQ: Tensor, weight_T: Tensor) -> Tensor:
    """Per text or prompt, soft cross-entropy over the proposals; weighted mean over texts.

    Args:
        logits_TQ: match of every text or prompt with every proposal.
        target_TQ: rows sum to 1 (matched proposals share the mass evenly), or to 0: no target.
        weight_T: the row's factor; 0 leaves it out of both sum and mean.
    """
    loss = -(target_TQ * logits_TQ.log_softmax(-1)).sum(-1)
    counted = (weight_T > 0) & (target_TQ.sum(-1) > 0)
    return (loss * weight_T * counted).sum() / counted.sum().clamp(min=1)


def itc(image_BD: Tensor, text_BD: Tensor, scale: Tensor, valid_B: Tensor | None = None) -> Tensor:
    """Symmetric image-text cross-entropy of scale * cos, both sides already gathered."""
    if valid_B is not None:
        image_BD, text_BD = image_BD[valid_B], text_BD[valid_B]
    if len(image_BD) < 2:
        return image_BD.sum() * 0.0
    logits = cosine_logits(image_BD, text_BD, scale)
    target = torch.arange(len(logits), device=logits.device)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))


def token_retrieval(image_BD: Tensor, tokens_ND: Tensor, owner_N: Tensor, rank_N: Tensor,
                    scale: Tensor) -> Tensor:  # fmt: skip
    """0.7 image->token + 0.3 token->image soft cross-entropy (docs/spec.md 3.1, "retrieval extra").

    Args:
        image_BD: object embeddings averaged over the proposals.
        tokens_ND: projected caption tokens of the whole batch.
        owner_N: the image each token's caption belongs to.
        rank_N: 1, 2, ... within the caption: later tokens weigh more.
    """
    logits = cosine_logits(image_BD, tokens_ND, scale)  # (B, N)
    owns = owner_N[None] == torch.arange(len(image_BD), device=owner_N.device)[:, None]
    target = owns * rank_N[None].to(logits)
    target = target / target.sum(1, keepdim=True).clamp(min=1e-6)
    to_token = -(target * logits.log_softmax(1)).sum(1).mean()
    weight = rank_N.to(logits)
    to_image = F.cross_entropy(logits.T, owner_N, reduction="none")
    return 0.7 * to_token + 0.3 * (to_image * weight).sum() / weight.sum().clamp(min=1e-6)


def relevance_bce(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy where the truth is known, positives and negatives weighing the same.

    Args:
        logits: any shape.
        truth: same shape, 1 true, 0 false, -1 unknown (ignored).
    """
    loss = F.binary_cross_entropy_with_logits(
        logits, truth.clamp(min=0).to(logits), reduction="none"
    )
    sides = [loss[truth == value] for value in (0, 1)]
    means = [side.mean() for side in sides if side.numel()]
    return torch.stack(means).mean() if means else logits.sum() * 0.0


def multi_positive_nce(logits_TN: Tensor, truth_TN: Tensor) -> Tensor:
    """-log of the softmax mass on the true columns, unknown (-1) ones left out; mean over rows."""
    known = logits_TN.masked_fill(truth_TN < 0, -1e4)
    mass = known.masked_fill(truth_TN != 1, -1e4).logsumexp(1) - known.logsumexp(1)
    rows = (truth_TN == 1).any(1) & (truth_TN == 0).any(1)
    return -(mass * rows).sum() / rows.sum().clamp(min=1)
