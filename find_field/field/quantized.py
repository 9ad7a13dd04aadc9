"""Unit directions of many vectors in a quarter of float32's memory, for cosines at speed.

Converting (N, k) float16 to float32 for a product costs several times the product itself; int8
rows convert quickly. Each row's largest entry is scaled to 127, so a cosine is off by about 1e-3.
"""

from __future__ import annotations

import numpy as np

_CHUNK = 4096  # rows whose float32 copy stays in the processor's cache


class Directions:
    """(N, k) vectors, kept as int8 rows and one float16 factor each that makes them unit."""

    def __init__(self, vectors: np.ndarray) -> None:
        n, k = vectors.shape
        self._rows = np.empty((n, k), np.int8)
        self._factor = np.zeros(n, np.float32)
        for at in range(0, n, _CHUNK):
            chunk = vectors[at : at + _CHUNK].astype(np.float32)
            peak = np.abs(chunk).max(axis=1, keepdims=True)
            scaled = np.rint(chunk * (127 / np.maximum(peak, 1e-12)))
            self._rows[at : at + _CHUNK] = scaled
            length = np.linalg.norm(scaled, axis=1)
            self._factor[at : at + _CHUNK] = np.where(length > 0, 1 / np.maximum(length, 1e-12), 0)

    @property
    def nbytes(self) -> int:
        return self._rows.nbytes + self._factor.nbytes

    def cosines(self, queries: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """(m, N) float32 products of the unit rows with queries (m, k); of `rows` only if given.

        Zero vectors give 0.
        """
        table, factor = self._rows, self._factor
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
