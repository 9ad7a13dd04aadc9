"""Several processes that train one model on one machine, each on its share of every batch.

A GPU waits for Python where a model is as small as the default's: several processes keep it busy.
They share one GPU, which NCCL does not allow; gradients are averaged through host memory by Gloo.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run_processes(count: int, work: Callable[[int, int], None]) -> None:
    """Call `work(rank, count)` in so many processes of one group; alone, in this one.

    Processes are forked, so that what is read already is shared: CUDA must not be in use yet.
    """
    if count < 2:
        work(0, 1)
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.start_processes(_member, (count, port, work), nprocs=count, start_method="fork")


def _member(rank: int, count: int, port: int, work: Callable[[int, int], None]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=count)
    try:
        work(rank, count)
    finally:
        left()


def left() -> None:
    """Leave the group; what follows is done alone."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
