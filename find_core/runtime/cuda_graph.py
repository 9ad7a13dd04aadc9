"""A function of one tensor as a CUDA graph: all of its kernels in one launch."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP_CALLS = 3


class CudaGraph:
    """`function` for inputs of one shape, replayed.

    Made in any thread while others use the GPU; called from any.

    Args:
        function: gives a list of tensors, and neither waits for the GPU nor reads a value from it.
        example: of the shape, on the GPU. Its autocast and that of the calls must be the same.
    """

    def __init__(self, function: Callable[[Tensor], list[Tensor]], example: Tensor) -> None:
        self._lock = threading.Lock()
        self._input = example.clone()
        current, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_CALLS):  # libraries choose and allocate in their first calls
                function(self._input)
        current.wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        # thread_local: what other threads do with the GPU meanwhile is no part of this.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._outputs = function(self._input)

    def __call__(self, images_BCHW: Tensor) -> list[Tensor]:
        """`function` of the input, in memory of the caller's own."""
        with self._lock:
            self._input.copy_(images_BCHW)
            self._graph.replay()
            return [output.clone() for output in self._outputs]
