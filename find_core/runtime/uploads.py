"""Images on their way to a GPU: pinned host memory, two buffers of each size, in turns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from find_core.support.lru import Lru

KEPT_SIZES = 4


def _pinned(shape: Sequence[int]) -> Tensor:
    return torch.empty(tuple(shape), pin_memory=True)


class PinnedUploads:
    """Copies host images to `device` while the host goes on: the next ones fill the other buffer.

    A buffer is filled again only after its copy has arrived, so a caller waits when two copies are
    under way at once. May be used from several threads.

    Args:
        device: where the images go.
        allocate: gives the host memory of a shape. event: makes what tells that a copy has arrived
            (`record` after it, `synchronize` before the buffer is filled again).
    """

    def __init__(
        self,
        device: torch.device,
        allocate: Callable[[Sequence[int]], Tensor] = _pinned,
        event: Callable[[], Any] = torch.cuda.Event,
    ) -> None:
        self._device, self._allocate, self._event = device, allocate, event
        self._rings: Lru[tuple[int, ...], list[tuple[Tensor, Any]]] = Lru(KEPT_SIZES)
        self._lock = threading.Lock()

    def __call__(self, images: Sequence[Tensor]) -> Tensor:
        """(3, H, W) float32 of one size, on the host -> (B, 3, H, W) on the device."""
        shape = (len(images), *images[0].shape)
        with self._lock:
            ring = self._rings.get(shape)
            if ring is None:
                ring = [(self._allocate(shape), self._event()) for _ in range(2)]
                self._rings.put(shape, ring)
            ring.reverse()
            buffer, arrived = ring[0]
            arrived.synchronize()
            torch.stack(list(images), out=buffer)
            there = torch.empty(shape, device=self._device)
            there.copy_(buffer, non_blocking=True)
            arrived.record()
        return there
