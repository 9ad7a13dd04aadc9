"""Many unit vectors in a quarter of float32's memory, for cosines at speed.

Converting (N, k) float16 to float32 for a product costs several times the product itself; int8
rows convert quickly. Each row's largest entry is scaled to 127, so a cosine is off by about 1e-3.
"""

from __future__ import annotations

import cv2
import numpy as np

from find_field.field.tables import GrowingArray

_CHUNK = 4096  # rows whose float32 copy stays in the processor's cache
_EXPONENT = 0x7C00
# NumPy 1 converts halves in software, ten times slower than OpenCV 4 (5 no longer offers it).
_OPENCV = getattr(cv2, "convertFp16", None)


def to_half(values: np.ndarray) -> np.ndarray:
    """(n, ...) float32 values as float16, those below its normal range (6e-5) as 0: there NumPy converts twenty
    times slower, and nothing is lost at zero."""
    flat = np.ascontiguousarray(values, np.float32).reshape(len(values), -1)
    if _OPENCV is None or not flat.size:
        bits = flat.astype(np.float16).view(np.int16)
    else:
        bits = _OPENCV(flat)
    bits[(bits & _EXPONENT) == 0] = 0
    return bits.view(np.float16).reshape(values.shape)


def from_half(halves: np.ndarray) -> np.ndarray:
    """(n, c) float16 values as float32."""
    if _OPENCV is None or not halves.size:
        return halves.astype(np.float32)
    return _OPENCV(np.ascontiguousarray(halves).view(np.int16)).reshape(halves.shape)


class QuantizedVectors:
    """(N, k) vectors, kept as int8 rows and one float32 factor each that makes them unit.

    Args:
        vectors: (N, k) floats.
    """

    def __init__(self, vectors: np.ndarray) -> None:
        self._rows = GrowingArray((vectors.shape[1],), np.int8)
        self._factor = GrowingArray((), np.float32)
        self.update(slice(None), vectors, len(vectors))

    @classmethod
    def of(cls, rows: np.ndarray, factor: np.ndarray) -> QuantizedVectors:
        """Vectors whose `arrays` were stored; not to be updated."""
        made = cls(np.empty((0, rows.shape[1]), np.float32))
        made._rows, made._factor = GrowingArray.of(rows), GrowingArray.of(factor)
        return made

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """(N, k) int8 rows, and (N,) float32 factors that make them unit."""
        return self._rows.view, self._factor.view

    def __len__(self) -> int:
        return len(self._rows.view)

    def update(self, rows: np.ndarray | slice, vectors: np.ndarray, length: int) -> None:
        """Make it `length` vectors long, those at `rows` anew from `vectors` (n, k)."""
        table, factor = self._rows.resize(length), self._factor.resize(length)
        at = np.arange(length)[rows]
        for start in range(0, len(at), _CHUNK):
            part = vectors[start : start + _CHUNK]
            chunk = from_half(part) if part.dtype == np.float16 else part.astype(np.float32)
            peak = np.maximum(chunk.max(axis=1, initial=0), -chunk.min(axis=1, initial=0))
            chunk *= (127 / np.maximum(peak, np.float32(1e-12)))[:, None]
            np.rint(chunk, out=chunk)
            norm = np.sqrt(np.einsum("nk,nk->n", chunk, chunk))
            table[at[start : start + _CHUNK]] = chunk.astype(np.int8)
            factor[at[start : start + _CHUNK]] = np.where(norm > 0, 1 / np.maximum(norm, 1e-12), 0)

    def move(self, moved: np.ndarray, to: np.ndarray, length: int) -> None:
        """As `GrowingArray.move`."""
        self._rows.move(moved, to, length)
        self._factor.move(moved, to, length)

    @property
    def nbytes(self) -> int:
        """Memory of the vectors."""
        return self._rows.view.nbytes + self._factor.view.nbytes

    def units(self, rows: np.ndarray) -> np.ndarray:
        """(n, k) float32 unit vectors of some rows."""
        table, factor = self.arrays
        return table[rows].astype(np.float32) * factor[rows][:, None]

    def cosines(self, queries: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """(m, N) float32 products of the unit vectors with queries (m, k); of `rows` only if given.

        Zero vectors give 0.
        """
        table, factor = self._rows.view, self._factor.view
        if rows is not None:
            table, factor = table[rows], factor[rows]
        out = np.empty((len(table), len(queries)), np.float32)
        queries_T = np.ascontiguousarray(queries.T, dtype=np.float32)
        buffer = np.empty((min(_CHUNK, len(table)), table.shape[1]), np.float32)
        for at in range(0, len(table), _CHUNK):
            chunk = table[at : at + _CHUNK]
            buffer[: len(chunk)] = chunk
            np.matmul(buffer[: len(chunk)], queries_T, out=out[at : at + _CHUNK])
        return out.T * factor
