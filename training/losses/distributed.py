"""What crosses processes: contrastive batches, counts, gradients, the clock."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def _alone() -> bool:
    return not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1


def _reachable(tensor: Tensor) -> Tensor:
    """Where the backend can send it from: Gloo gathers host memory only."""
    return tensor.cpu() if dist.get_backend() == "gloo" else tensor


def gather_rows(rows_BD: Tensor) -> Tensor:
    """Rows of all processes; only the local ones carry gradient (docs/spec.md 3.1, ITC).

    Every process must hold the same number of rows.
    """
    if _alone():
        return rows_BD
    mine = _reachable(rows_BD.detach().contiguous())
    parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, mine)
    every = [part.to(rows_BD.device) for part in parts]
    every[dist.get_rank()] = rows_BD
    return torch.cat(every)


def mean_count(count: Tensor) -> Tensor:
    """A count averaged over processes: the panoptic divisor (docs/spec.md 3.1)."""
    if _alone():
        return count
    total = _reachable(count.detach().float()).clone()
    dist.all_reduce(total)
    return (total / dist.get_world_size()).to(count.device)


@torch.no_grad()
def mean_gradients(parameters: Iterable[Tensor]) -> None:
    """Average the gradients of all processes in place; one that a process lacks counts as zero."""
    if _alone():
        return
    trained = [p for p in parameters if p.requires_grad]
    for p in trained:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    every = torch.cat([p.grad.flatten() for p in trained if p.grad is not None])
    host = _reachable(every)
    dist.all_reduce(host)
    mean = (host / dist.get_world_size()).to(every.device)
    for p, part in zip(trained, mean.split([p.numel() for p in trained]), strict=True):
        p.grad = part.view_as(p)


def agreed(value: float) -> float:
    """The first process's number, in all of them."""
    if _alone():
        return value
    told = torch.tensor(value, dtype=torch.float64)
    dist.broadcast(told, 0)
    return float(told)
