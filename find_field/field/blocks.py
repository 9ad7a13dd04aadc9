"""The values of a mapped file, looked at block by block when they are first used.

Dimension letters: N voxels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from find_core.errors import FieldError
from find_core.support.formats import Array, check_arrays

BLOCK_ROWS = 16_384


class BlockCheck:
    """Compares rows with their layout, once for each block of rows.

    Args:
        arrays: with a first axis of N; others are not looked at. layout: theirs. path: named in errors.
    """

    def __init__(
        self, arrays: Mapping[str, np.ndarray], layout: Mapping[str, Array], path: str | Path
    ) -> None:
        self._arrays = {name: arrays[name] for name in layout}
        self._layout, self._path = layout, path
        self._rows = len(next(iter(self._arrays.values())))
        self._checked = np.zeros(-(-self._rows // BLOCK_ROWS), bool)

    def __call__(self, rows: np.ndarray | None = None) -> None:
        """Look at the blocks of `rows` (row numbers); None: at all.

        Raises:
            FieldError: a value that no field has; it says in which rows.
        """
        blocks = np.arange(len(self._checked)) if rows is None else np.unique(rows // BLOCK_ROWS)
        for block in blocks[~self._checked[blocks]].tolist():
            span = slice(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, self._rows))
            part = {name: array[span] for name, array in self._arrays.items()}
            what = f"{self._path}, voxels {span.start} to {span.stop},"
            check_arrays(part, self._layout, what, FieldError)
            self._checked[block] = True
