"""A sparse voxel table: rows that grow, found again by their integer coordinates.

Dimension letters: N voxels, n points of one frame, k coefficients.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from find_core.errors import FieldError

# 21 bits per axis in one int64: +-1,048,575 voxels, i.e. +-10 km at 1 cm.
_BITS, _BIAS = 21, 1 << 20


def voxel_coordinates(points_world_m: np.ndarray, voxel_size_m: float) -> np.ndarray:
    """(n, 3) int64 coordinates of the voxels that contain the points; voxel 0 starts at 0 m."""
    return np.floor(points_world_m / voxel_size_m).astype(np.int64)


def pack(ijk: np.ndarray) -> np.ndarray:
    """One int64 key per coordinate triple; keys sort like the triples.

    Raises:
        FieldError: a coordinate is beyond what a key holds.
    """
    if len(ijk) and np.abs(ijk).max() >= _BIAS - 1:
        raise FieldError(
            f"A point lies {np.abs(ijk).max():,} voxels from the origin, more than {_BIAS - 2:,}: "
            "check the poses' unit (metres) or choose larger voxels."
        )
    biased = np.asarray(ijk, np.int64) + _BIAS
    return (biased[..., 0] << 2 * _BITS) | (biased[..., 1] << _BITS) | biased[..., 2]


def unpack(keys: np.ndarray) -> np.ndarray:
    """(N, 3) int32 coordinates of packed keys."""
    mask = (1 << _BITS) - 1
    parts = [keys >> 2 * _BITS, (keys >> _BITS) & mask, keys & mask]
    return (np.stack(parts, axis=-1) - _BIAS).astype(np.int32)


def group(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys (M,), sorted, and for each of the n inputs its row among them (n,) int64."""
    return np.unique(keys, return_inverse=True)


def group_sum(rows: np.ndarray, weights: np.ndarray, groups: int) -> sparse.csr_matrix:
    """(groups, n) matrix whose product with (n, c) values is their weighted sum per group.

    A sparse product is several times quicker than np.add.at or reduceat on wide rows.
    """
    n = len(rows)
    return sparse.csr_matrix((weights, (rows, np.arange(n))), shape=(groups, n))


def neighbours(keys: np.ndarray) -> np.ndarray:
    """Distinct packed keys, sorted, of the voxels that touch those of `keys`, and of these."""
    # A key plus a constant is the key of a neighbour.
    steps = [(i << 2 * _BITS) + (j << _BITS) + k
             for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]  # fmt: skip
    return np.unique(keys[:, None] + np.array(steps, np.int64))


def connected_components(ijk: np.ndarray, reach: int = 2) -> tuple[int, np.ndarray]:
    """Label voxels that touch through cells of `reach` voxels a side.

    Coarser cells bridge the holes that sparse views leave; 26 neighbours of a cell count.

    Returns:
        The number of components and (N,) int32 labels.
    """
    from scipy.sparse.csgraph import connected_components as label

    cells, inverse = group(pack(np.floor_divide(ijk, reach).astype(np.int64)))
    # The 13 forward neighbours; a key plus a constant is the neighbour's key.
    steps = [(i, j, k) for i in (0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]
    deltas = [(i << 2 * _BITS) + (j << _BITS) + k for i, j, k in steps if (i, j, k) > (0, 0, 0)]
    wanted = cells[:, None] + np.array(deltas, np.int64)
    at = np.minimum(np.searchsorted(cells, wanted), len(cells) - 1)
    hit = cells[at] == wanted
    pairs = np.nonzero(hit)[0], at[hit]
    graph = sparse.coo_matrix((np.ones(len(pairs[0]), bool), pairs), shape=(len(cells),) * 2)
    count, labels = label(graph, directed=False)
    return count, labels[inverse]


def largest_part(points_m: np.ndarray, cell_m: float) -> np.ndarray:
    """(N,) bool: the points (N >= 1, 3) of the largest part that hangs together.

    Points in the same cell of `cell_m` a side, or in neighbouring ones, do.
    """
    _, labels = connected_components(voxel_coordinates(points_m, cell_m), reach=1)
    return labels == np.bincount(labels).argmax()
