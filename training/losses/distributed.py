"""What crosses processes: contrastive batches, counts, gradients, the clock."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def gather_rows(rows_BD: Tensor) -> Tensor:
    """Rows of all processes; only the local ones carry gradient (docs/spec.md 3.1, ITC).

    Every process must hold the same number of rows.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows_BD
    mine = rows_BD.detach().contiguous()
    if dist.get_backend() == "gloo":  # gathers host memory only
        mine = mine.cpu()
    parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, mine)
    every = [part.to(rows_BD.device) for part in parts]
    every[dist.get_rank()] = rows_BD
    return torch.cat(every)


def mean_count(count: Tensor) -> Tensor:
    """A count averaged over processes: the panoptic divisor (docs/spec.md 3.1)."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return count
    total = count.detach().float().cpu() if dist.get_backend() == "gloo" else count.detach().float()
    total = total.clone()
    dist.all_reduce(total)
    return (total / dist.get_world_size()).to(count.device)


@torch.no_grad()
def mean_gradients(parameters: Iterable[Tensor]) -> None:
    """Average the gradients of all processes in place; one that a process lacks counts as zero."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return
    trained = [p for p in parameters if p.requires_grad]
    for p in trained:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    every = torch.cat([p.grad.flatten() for p in trained if p.grad is not None])
    host = every.cpu() if dist.get_backend() == "gloo" else every
    dist.all_reduce(host)
    mean = (host / dist.get_world_size()).to(every.device)
    for p, part in zip(trained, mean.split([p.numel() for p in trained]), strict=True):
        p.grad = part.view_as(p)


def agreed(value: float) -> float:
    """The first process's number, in all of them."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return value
    told = torch.tensor(value, dtype=torch.float64)
    dist.broadcast(told, 0)
    return float(told)
