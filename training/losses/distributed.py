"""The one thing that crosses processes in the losses: contrastive batches."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def gather_rows(rows_BD: Tensor) -> Tensor:
    """Rows of all processes; only the local ones carry gradient (docs/spec.md 3.1, ITC).

    Every process must hold the same number of rows.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows_BD
    parts = [torch.empty_like(rows_BD) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows_BD.detach().contiguous())
    parts[dist.get_rank()] = rows_BD
    return torch.cat(parts)


def mean_count(count: Tensor) -> Tensor:
    """A count averaged over processes: the panoptic divisor (docs/spec.md 3.1)."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return count
    total = count.detach().float().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
