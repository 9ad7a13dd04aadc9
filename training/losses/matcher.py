"""Which proposal answers for which true mask: Hungarian matching (docs/spec.md 3.2).

Dimension letters: L predictions (deep supervision), B images, Q proposals, M true masks, P points,
C mask channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.pool import Pool

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor


@dataclass(frozen=True)
class MatchCosts:
    """Weights of the three costs; the published code uses these in every task."""

    classes: float = 2.0
    bce: float = 5.0
    dice: float = 5.0


@torch.no_grad()
def pair_costs(logits: Tensor, targets: Tensor, costs: MatchCosts) -> Tensor:
    """Mask costs of every pair.

    Args:
        logits: (L, B, Q, P) mask logits at the shared points.
        targets: (B, M, P) true masks there, in [0, 1].

    Returns:
        (L, B, Q, M): weighted BCE (mean over points) plus dice.
    """
    logits, targets = logits.float(), targets.float().transpose(1, 2)  # (B, P, M)
    points = logits.shape[-1]
    # BCE(x, t) = softplus(x) - x t, so the sum over points is one product.
    bce = (F.softplus(logits).sum(-1, keepdim=True) - logits @ targets) / points
    probs = logits.sigmoid()
    overlap = 2.0 * (probs @ targets)
    total = probs.sum(-1, keepdim=True) + targets.sum(1)[None, :, None]
    dice = 1.0 - (overlap + 1.0) / (total + 1.0)
    return costs.bce * bce + costs.dice * dice


@torch.no_grad()
def match(cost_LBQM: Tensor, valid_BM: Tensor) -> Tensor:
    """Best one-to-one assignment per prediction and image.

    Args:
        cost_LBQM: pair costs (finite).
        valid_BM: which true masks exist (the rest is padding).

    Returns:
        (L, B, M) long: the proposal of each true mask, -1 for padding and for masks left over
        when there are more masks than proposals.
    """
    cost, valid = cost_LBQM.cpu().numpy(), valid_BM.cpu().numpy()
    shares = np.array_split(np.arange(len(valid)), max(1, _PROCESSES.count))
    jobs = [(cost[:, share], valid[share]) for share in shares if len(share)]
    if _PROCESSES.pool is None:
        found = [_assign(*job) for job in jobs]
    else:
        found = _PROCESSES.pool.starmap(_assign, jobs)
    return torch.from_numpy(np.concatenate(found, 1)).to(cost_LBQM.device)


def _assign(cost_LBQM: np.ndarray, valid_BM: np.ndarray) -> np.ndarray:
    layers, batch, _, masks = cost_LBQM.shape
    chosen = np.full((layers, batch, masks), -1, np.int64)
    for b, valid in enumerate(valid_BM):
        columns = np.flatnonzero(valid)
        for layer in range(layers):
            rows, cols = linear_sum_assignment(cost_LBQM[layer, b][:, columns])
            chosen[layer, b, columns[cols]] = rows
    return chosen


@dataclass
class _Processes:
    """Who matches: this process, or a pool of others."""

    pool: Pool | None = None
    count: int = 1


_PROCESSES = _Processes()


@contextmanager
def match_in_processes(count: int) -> Iterator[None]:
    """Matching is spread over so many processes inside; 0 leaves it where it is.

    Worth it for batches of dozens of images, where a GPU would wait for one core.
    """
    if count < 2:
        yield
        return
    with get_context("spawn").Pool(count) as pool:
        _PROCESSES.pool, _PROCESSES.count = pool, count
        try:
            yield
        finally:
            _PROCESSES.pool, _PROCESSES.count = None, 1
