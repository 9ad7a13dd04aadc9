"""Work in one batch where the GPU's memory holds it, in smaller ones where it does not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from find_core.errors import FindError

Item = TypeVar("Item")
Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class Batcher:
    """Halves a batch until it fits, and remembers the size that did.

    Args:
        what: plural of the items, for the sentence in the log: "prompts".
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.most: int | None = None
        """Items that go together; None while all did."""

    def __call__(
        self, items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]]
    ) -> list[Result]:
        """`work` of all items, in order. It gives one result an item and does not change the items.

        Raises:
            FindError: not even one fits.
        """
        results: list[Result] = []
        while len(results) < len(items):
            left = len(items) - len(results)
            count = left if self.most is None else min(left, self.most)
            part = items[len(results) : len(results) + count]
            done = self._tried(part, work)
            if done is None:
                self._shrink(count)
            else:
                results += done
        return results

    @staticmethod
    def _tried(
        part: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]]
    ) -> Sequence[Result] | None:
        try:
            return work(part)
        except torch.cuda.OutOfMemoryError:
            return None  # only once the handler is left are the tensors of its frames let go

    def _shrink(self, count: int) -> None:
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        if count < 2:
            raise FindError(
                f"The GPU's memory does not hold the work of one of the {self.what}: load the model "
                "with a smaller input_px, or with device='cpu'."
            )
        self.most = count // 2
        logger.warning(
            "The GPU's memory does not hold %d %s at once: from now on they go in batches of %d.",
            count, self.what, self.most,
        )  # fmt: skip
