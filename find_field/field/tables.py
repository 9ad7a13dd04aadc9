"""Rows that grow, shrink and are found again, without ever touching all of them.

Dimension letters: N rows, M keys looked up, R runs.
"""

from __future__ import annotations

import numpy as np

_GONE = -1


class GrowingArray:
    """Rows of one array with room to grow: appending is cheap, `view` is all rows so far."""

    def __init__(self, columns: tuple[int, ...], dtype: type) -> None:
        self._data: np.ndarray = np.zeros((1024, *columns), dtype)
        self._length = 0

    @classmethod
    def of(cls, array: np.ndarray) -> GrowingArray:
        """The rows of `array` itself, which must not be changed through it."""
        made = cls((), np.uint8)
        made._data, made._length = array, len(array)
        return made

    @property
    def view(self) -> np.ndarray:
        return self._data[: self._length]

    def resize(self, length: int) -> np.ndarray:
        """Make it `length` rows long (new ones zero) and return the view."""
        if length > len(self._data):
            capacity = max(length, len(self._data) * 3 // 2)
            grown = np.zeros((capacity, *self._data.shape[1:]), self._data.dtype)
            grown[: self._length] = self.view
            self._data = grown
        self._length = length
        return self.view

    def move(self, moved: np.ndarray, to: np.ndarray, length: int) -> None:
        """Copy rows to other places, then keep the first `length`."""
        view = self.view
        view[to] = view[moved]
        view[length:] = 0
        self._length = length


class VoxelIndex:
    """From packed keys to rows in order of first appearance.

    Sorted runs of keys beside their row numbers, each at least twice as long as the next: a key moves
    to a longer run log N times in all, and looking up M keys costs M binary searches in log N runs.
    The voxels' own (wide) rows never move. Keys that were taken out stay in their run, marked, until it is
    merged.

    Args:
        keys: distinct, of rows 0, 1, ...
    """

    def __init__(self, keys: np.ndarray | None = None) -> None:
        self._keys = GrowingArray((), np.int64)  # by row
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []
        if keys is not None and len(keys):
            order = np.argsort(keys, kind="stable")
            self._keys.resize(len(keys))[:] = keys
            self._runs.append((np.asarray(keys, np.int64)[order], order))

    def __len__(self) -> int:
        return len(self._keys.view)

    def find(self, keys: np.ndarray) -> np.ndarray:
        """(M,) int64 row of each key, -1 where it is not in the table."""
        out = np.full(len(keys), _GONE, np.int64)
        for run, at, there in self._places(keys):
            rows = self._runs[run][1][at]
            out = np.where(there & (rows != _GONE), rows, out)
        return out

    def find_or_add(self, keys: np.ndarray) -> np.ndarray:
        """(M,) int64 rows of distinct sorted keys; new ones get the next rows in their order."""
        rows = self.find(keys)
        new = np.flatnonzero(rows == _GONE)
        if len(new):
            before = len(self)
            rows[new] = before + np.arange(len(new))
            self._keys.resize(before + len(new))[before:] = keys[new]
            self._runs.append((keys[new], rows[new]))
            while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
                self._runs.append(_merged(self._runs.pop(), self._runs.pop()))
        return rows

    def remove(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take distinct rows out; the last rows move into the holes.

        Returns:
            The rows that move, and where each goes.
        """
        left = len(self) - len(rows)
        holes = np.sort(rows[rows < left])
        last = np.arange(left, len(self))
        moved = last[~np.isin(last, rows, assume_unique=True)]
        self._point(self._keys.view[rows], rows, np.full(len(rows), _GONE))
        self._point(self._keys.view[moved], moved, holes)
        self._keys.move(moved, holes, left)
        return moved, holes

    def keys(self) -> np.ndarray:
        """(N,) int64 packed keys in row order."""
        return self._keys.view.copy()

    def _places(self, keys: np.ndarray) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """By run: its number, where in it each key would be, and whether it is there."""
        out = []
        for i, (run, _) in enumerate(self._runs):
            if not len(run):
                continue
            at = np.minimum(np.searchsorted(run, keys), len(run) - 1)
            out.append((i, at, run[at] == keys))
        return out

    def _point(self, keys: np.ndarray, rows: np.ndarray, to: np.ndarray) -> None:
        """Give keys that are at `rows` other rows. A marked copy of a key may lie in another run."""
        for run, at, there in self._places(keys):
            table = self._runs[run][1]
            there &= table[at] == rows
            table[at[there]] = to[there]


def _merged(
    a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """One sorted run of two, without what was taken out."""
    rows = np.concatenate([a[1], b[1]])
    keys = np.concatenate([a[0], b[0]])[rows != _GONE]
    rows = rows[rows != _GONE]
    order = np.argsort(keys, kind="stable")  # finds the sorted parts: linear
    return keys[order], rows[order]


class RowRanges:
    """Where the voxels of each stretch of rows lie.

    What is seen together was added together, so that the rows of a stretch lie close to each other; a
    frame then asks few stretches, however large the place is.
    """

    ROWS = 2048

    def __init__(self) -> None:
        self._low = GrowingArray((3,), np.int32)
        self._high = GrowingArray((3,), np.int32)

    def add(self, rows: np.ndarray, ijk: np.ndarray) -> None:
        """Rows that are new, or now hold another voxel: (M,) ascending, and their coordinates (M, 3)."""
        if not len(rows):
            return
        stretch, first = np.unique(rows // self.ROWS, return_index=True)
        before = len(self._low.view)
        count = max(before, int(stretch[-1]) + 1)
        low, high = self._low.resize(count), self._high.resize(count)
        low[before:], high[before:] = np.iinfo(np.int32).max, np.iinfo(np.int32).min
        low[stretch] = np.minimum(low[stretch], np.minimum.reduceat(ijk, first))
        high[stretch] = np.maximum(high[stretch], np.maximum.reduceat(ijk, first))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """(R, 3) lowest and highest coordinates of each stretch; wider than need be after removals."""
        return self._low.view, self._high.view

    def rows(self, stretches: np.ndarray, before: int) -> np.ndarray:
        """The rows of some stretches, those less than `before`."""
        rows = (stretches[:, None] * self.ROWS + np.arange(self.ROWS)).ravel()
        return rows[rows < before]
