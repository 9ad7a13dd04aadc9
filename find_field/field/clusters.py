"""From voxels that a prompt means to things: parts that hang together and look alike.

Dimension letters: N voxels, n some of them, k coefficients.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from find_field.field.data import SEMANTIC, FieldData
from find_field.field.quantized import from_half
from find_field.field.voxels import connected_components

LEAST_AGREEMENT = 0.8
"""Length of the mean of the unit vectors of one thing, at least, where what all of the place has in common is taken
off. Of things that were looked at in a real room it is .82 to .99, of half the room .36."""
HARDLY_ANY_SPREAD = 0.05
"""...or the mean squared distance of its unit vectors from their mean, at most: where a place is
little else than that thing, nothing is left when the common is taken off."""
_SAMPLE = 4096


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
    mean = field.weight[rows] @ from_half(field.channels[SEMANTIC].coefficients[rows])
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


class Likeness:
    """Whether some voxels of a field are one thing. The mean of a whole room comes near to many words,
    and few of its voxels come near to it."""

    def __init__(self, field: FieldData) -> None:
        self._index = field.search_index
        some = np.arange(0, len(field), max(1, len(field) // _SAMPLE))
        self._common = self._index.units(some).sum(axis=0) / max(len(some), 1)

    def is_one(self, rows: np.ndarray) -> bool:
        """Do the voxels look alike, beyond what everything in the place has in common?"""
        units = self._units(rows)
        if 1 - np.square(units.mean(axis=0)).sum() <= HARDLY_ANY_SPREAD:
            return True
        own = units - self._common
        own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-9)
        return float(np.linalg.norm(own.mean(axis=0))) >= LEAST_AGREEMENT

    def _units(self, rows: np.ndarray) -> np.ndarray:
        """(n, k) unit vectors, of a few thousand of the rows at most."""
        return self._index.units(rows[:: max(1, len(rows) // _SAMPLE)])


def things(field: FieldData, rows: np.ndarray, margin: np.ndarray, config: ClusterConfig,
           likeness: Likeness) -> list[tuple[np.ndarray, bool]]:  # fmt: skip
    """Clusters of `rows`, and whether each is one thing.

    A cluster whose voxels do not look alike is several things, joined by what lies between them: its
    more relevant half is clustered again, until each part is one, or too small to divide.

    Args:
        margin: (N,) how relevant each voxel of the field is.
    """
    out, waiting = [], clusters(field, rows, config)
    while waiting:
        part = waiting.pop()
        one = likeness.is_one(part)
        if one or len(part) < 2 * config.min_points:
            out.append((part, one))
        else:
            how_relevant = margin[part]
            waiting += clusters(field, part[how_relevant > np.median(how_relevant)], config)
    return out


def grown(field: FieldData, seeds: np.ndarray, free: np.ndarray, config: ClusterConfig,
          likeness: Likeness) -> np.ndarray:  # fmt: skip
    """The free voxels that touch `seeds` and look like them, within twice their extent; the seeds
    themselves where that would be more than one thing."""
    if config.refine_cosine >= 1:
        return seeds
    low, high = field.ijk[seeds].min(axis=0), field.ijk[seeds].max(axis=0)
    margin = (high - low) // 2 + 2 * config.link_voxels
    rows = np.flatnonzero(free)
    rows = rows[within(field.ijk[rows], low - margin, high + margin)]
    alike = field.search_index.cosines(mean_vector(field, seeds)[None], rows)[0]
    rows = rows[alike >= config.refine_cosine]
    parts = clusters(field, rows, config)
    touching = [np.isin(part, seeds, assume_unique=True).sum() for part in parts]
    if not touching or max(touching) < len(seeds) / 2:  # the mean speaks for another object
        return seeds
    larger = parts[int(np.argmax(touching))]
    return larger if likeness.is_one(larger) else seeds


def within(ijk: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Rows of the voxels in a box of coordinates, both ends included; axis by axis, on fewer rows."""
    rows = np.flatnonzero((ijk[:, 0] >= low[0]) & (ijk[:, 0] <= high[0]))
    for axis in (1, 2):
        values = ijk[rows, axis]
        rows = rows[(values >= low[axis]) & (values <= high[axis])]
    return rows
