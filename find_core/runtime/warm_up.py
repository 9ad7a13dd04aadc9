"""A fast path that takes long to make, made in the background while the plain one answers."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)
Path = Callable[[Tensor], Any]
Key = tuple[tuple[int, ...], torch.device, bool, torch.dtype]
MOST_SHAPES = 4
"""Each fast path holds memory of its own. Images of further shapes go the plain way."""


class WarmUp:
    """Calls `plain` until the fast path of an input's shape is ready, then that one.

    No call ever waits for it. A fast path that cannot be made is named once in the log, and the plain
    one goes on. May be called from several threads.

    Args:
        plain: the path itself. prepare: makes the fast one of the shape of its argument; it is run in
            a thread of its own, in inference mode, under the autocast of the call that asked for it.
    """

    def __init__(self, plain: Path, prepare: Callable[[Tensor], Path]) -> None:
        self._plain, self._prepare = plain, prepare
        self._made: dict[Key, Path | None] = {}
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._threads: list[threading.Thread] = []

    def __call__(self, images_BCHW: Tensor) -> Any:
        key = _key(images_BCHW)
        with self._lock:
            fast = self._made.get(key)
            if key not in self._made and len(self._made) < MOST_SHAPES:
                self._made[key] = None
                self._start(key, images_BCHW.detach().clone())
        return self._plain(images_BCHW) if fast is None else fast(images_BCHW)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until all that was started is ready; whether it is."""
        for thread in list(self._threads):
            thread.join(timeout_s)
        return not any(thread.is_alive() for thread in self._threads)

    def _start(self, key: Key, example: Tensor) -> None:
        # A daemon: a program that ends does not wait for a compiler.
        thread = threading.Thread(
            target=self._warm, args=(key, example), name="find-warm-up", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _warm(self, key: Key, example: Tensor) -> None:
        with self._one_at_a_time, contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            _, device, enabled, dtype = key
            if enabled:
                # Without its cache of cast weights, which would end with this block.
                stack.enter_context(torch.autocast(device.type, dtype, cache_enabled=False))
            try:
                fast = self._prepare(example)
            except Exception as error:  # whatever a compiler or a driver says
                logger.warning(
                    "The image path was not made faster for images of %s, the plain one is used: %s.",
                    "x".join(map(str, example.shape)), str(error).strip().split("\n")[0][:160],
                )  # fmt: skip
                return
        with self._lock:
            self._made[key] = fast


def _key(images_BCHW: Tensor) -> Key:
    device = images_BCHW.device
    return (
        tuple(images_BCHW.shape),
        device,
        torch.is_autocast_enabled(device.type),
        torch.get_autocast_dtype(device.type),
    )
