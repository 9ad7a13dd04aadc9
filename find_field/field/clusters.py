"""From voxels that a prompt means to things: parts that hang together and look alike.

Dimension letters: N voxels, n some of them, k coefficients.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from find_field.field.data import SEMANTIC, FieldData
from find_field.field.voxels import connected_components

AGREEING_COSINE = 0.7
"""A voxel looks like its cluster where their embeddings are this close..."""
LEAST_AGREEMENT = 0.5
"""...and a cluster is one thing where this share of it does. The mean of a whole room comes near to
many words, and few of its voxels come near to it."""


class ClusterConfig(Protocol):
    """What is asked of clusters; see `QueryConfig`."""

    @property
    def min_points(self) -> int: ...
    @property
    def link_voxels(self) -> int: ...
    @property
    def refine_cosine(self) -> float: ...


def mean_vector(field: FieldData, rows: np.ndarray) -> np.ndarray:
    """(k,) float32 unit: mean of the rows' coefficients by the weight of what was seen."""
    field.check(rows)
    mean = field.weight[rows] @ field.channels[SEMANTIC].coefficients[rows].astype(np.float32)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)


def clusters(field: FieldData, rows: np.ndarray, config: ClusterConfig) -> list[np.ndarray]:
    """Connected voxel rows among `rows`, those of at least `min_points`."""
    if not len(rows):
        return []
    field.check(rows)
    count, labels = connected_components(field.ijk[rows], config.link_voxels)
    order = np.argsort(labels, kind="stable")
    parts = np.split(rows[order], np.cumsum(np.bincount(labels, minlength=count))[:-1])
    return [part for part in parts if len(part) >= config.min_points]


def things(field: FieldData, rows: np.ndarray, margin: np.ndarray,
           config: ClusterConfig) -> list[tuple[np.ndarray, bool]]:  # fmt: skip
    """Clusters of `rows`, and whether each is one thing.

    A cluster whose voxels do not look like its mean is several things, joined by what lies between
    them: its more relevant half is clustered again, until each part is one, or too small to divide.

    Args:
        margin: (N,) how relevant each voxel of the field is.
    """
    out, waiting = [], clusters(field, rows, config)
    while waiting:
        part = waiting.pop()
        one = agreement(field, part) >= LEAST_AGREEMENT
        if one or len(part) < 2 * config.min_points:
            out.append((part, one))
        else:
            how_relevant = margin[part]
            waiting += clusters(field, part[how_relevant > np.median(how_relevant)], config)
    return out


def agreement(field: FieldData, rows: np.ndarray) -> float:
    """Share of the voxels whose embedding is near the mean of all of them."""
    cosines = field.search_index.cosines(mean_vector(field, rows)[None], rows)[0]
    return float((cosines >= AGREEING_COSINE).mean())


def grown(field: FieldData, seeds: np.ndarray, free: np.ndarray,
          config: ClusterConfig) -> np.ndarray:  # fmt: skip
    """The free voxels that touch `seeds` and look like them, within twice their extent."""
    if config.refine_cosine >= 1:
        return seeds
    low, high = field.ijk[seeds].min(axis=0), field.ijk[seeds].max(axis=0)
    margin = (high - low) // 2 + 2 * config.link_voxels
    rows = within(field.ijk, low - margin, high + margin)
    rows = rows[free[rows]]
    alike = field.search_index.cosines(mean_vector(field, seeds)[None], rows)[0]
    rows = rows[alike >= config.refine_cosine]
    parts = clusters(field, rows, config)
    touching = [np.isin(part, seeds, assume_unique=True).sum() for part in parts]
    if not touching or max(touching) < len(seeds) / 2:  # the mean speaks for another object
        return seeds
    return parts[int(np.argmax(touching))]


def within(ijk: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Rows of the voxels in a box of coordinates, both ends included; axis by axis, on fewer rows."""
    rows = np.flatnonzero((ijk[:, 0] >= low[0]) & (ijk[:, 0] <= high[0]))
    for axis in (1, 2):
        values = ijk[rows, axis]
        rows = rows[(values >= low[axis]) & (values <= high[axis])]
    return rows
