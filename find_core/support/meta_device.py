"""Modules that are built without memory, to be filled from a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class _NothingDrawn(TorchFunctionMode):
    """No random numbers for tensors without memory: torch would load its compiler for them, 1.3 s."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in (Tensor.normal_, nn.init.normal_):
            tensor = args[0] if args else given["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **given)


@contextmanager
def without_memory() -> Iterator[None]:
    """What is built inside has shapes and no values: `load_state_dict(..., assign=True)` brings them."""
    with torch.device("meta"), _NothingDrawn():
        yield
