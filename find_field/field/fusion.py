"""Running sums of surface samples in voxels, and the field that they mean, kept up to date.

A frame touches few of a place's voxels: only their means are worked out again, and only their
search vectors quantised anew. The result equals the field of all sums to the last bit.

Dimension letters: N voxels, n points of one frame, D embedding width, k coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from find_field.field.data import SEMANTIC, Channel, FieldData, to_half
from find_field.field.quantized import QuantizedVectors
from find_field.field.voxels import (
    GrowingArray,
    VoxelIndex,
    group,
    group_sum,
    pack,
    unpack,
    voxel_coordinates,
)


@dataclass(frozen=True, eq=False)
class SurfaceSample:
    """What one frame says of the surface.

    Attributes:
        points_world_m: (n, 3) float64. weights: (n,) float32. colors: (n, 3) uint8.
        values: by channel, (n, k) float32 coefficients.
    """

    points_world_m: np.ndarray
    weights: np.ndarray
    colors: np.ndarray
    values: dict[str, np.ndarray]


@dataclass
class _ChannelSums:
    """One channel: sums of weight * coefficients and of weight * squared length, and their means."""

    basis: np.ndarray
    values: GrowingArray = field(init=False)
    squares: GrowingArray = field(init=False)
    coefficients: GrowingArray = field(init=False)
    variance: GrowingArray = field(init=False)

    def __post_init__(self) -> None:
        rank = self.basis.shape[1]
        self.values = GrowingArray((rank,), np.float32)
        self.squares = GrowingArray((), np.float32)
        self.coefficients = GrowingArray((rank,), np.float16)
        self.variance = GrowingArray((), np.float16)

    def refresh(self, rows: np.ndarray, weight: np.ndarray, length: int) -> None:
        """Work out the means of `rows` again; weight: (rows, 1)."""
        mean = self.values.view[rows] / weight
        spread = self.squares.view[rows] / weight[:, 0] - np.einsum("nk,nk->n", mean, mean)
        self.coefficients.resize(length)[rows] = to_half(mean)
        self.variance.resize(length)[rows] = to_half(np.maximum(spread, 0))


class Fusion:
    """Voxels that surface samples are added to; weighted means, so that order does not matter.

    Args:
        voxel_size_m: side of a voxel.
    """

    def __init__(self, voxel_size_m: float) -> None:
        self.voxel_size_m = voxel_size_m
        self._index = VoxelIndex()
        self._geometry = GrowingArray((7,), np.float32)  # sums of weight, w*offset (3), w*rgb (3)
        self._count = GrowingArray((), np.int32)
        self._channels: dict[str, _ChannelSums] = {}
        self._touched: list[np.ndarray] = []
        # What the sums mean, as of the last `live`.
        self._ijk = GrowingArray((3,), np.int32)
        self._points = GrowingArray((3,), np.float32)
        self._colors = GrowingArray((3,), np.uint8)
        self._weight = GrowingArray((), np.float32)
        self._search_index: QuantizedVectors | None = None

    def __len__(self) -> int:
        return len(self._index)

    @property
    def bases(self) -> dict[str, np.ndarray]:
        """By channel, (D, k) float32."""
        return {name: channel.basis for name, channel in self._channels.items()}

    def add_channel(self, name: str, basis: np.ndarray) -> None:
        """Fuse values of this name too, coefficients of `basis` (D, k); before the first sample."""
        self._channels[name] = _ChannelSums(basis)

    def start_from(self, data: FieldData) -> None:
        """Take over a field's voxels, before anything else is added; their rows stay as they are."""
        rows, weight = np.arange(len(data)), data.weight[:, None]
        self._index = VoxelIndex(pack(data.ijk))
        centre = (data.ijk + 0.5) * self.voxel_size_m
        offset = (data.points_world_m - centre).astype(np.float32)
        ones = np.ones_like(weight)
        self._geometry.resize(len(data))[:] = weight * np.hstack([ones, offset, data.colors])
        self._count.resize(len(data))[:] = data.count
        for name, given in data.channels.items():
            self.add_channel(name, given.basis)
            channel, mean = self._channels[name], given.coefficients.astype(np.float32)
            square = given.variance + np.einsum("nk,nk->n", mean, mean)
            channel.values.resize(len(data))[:] = weight * mean
            channel.squares.resize(len(data))[:] = weight[:, 0] * square
            channel.coefficients.resize(len(data))[:] = given.coefficients
            channel.variance.resize(len(data))[:] = given.variance
        pairs = ((self._ijk, data.ijk), (self._points, data.points_world_m),
                 (self._colors, data.colors), (self._weight, data.weight))  # fmt: skip
        for ours, theirs in pairs:
            ours.resize(len(data))[rows] = theirs

    def add(self, sample: SurfaceSample) -> None:
        """Fuse surface points whose coefficients are in this fusion's bases."""
        ijk = voxel_coordinates(sample.points_world_m, self.voxel_size_m)
        keys, inverse = group(pack(ijk))
        rows = self._index.find_or_add(keys)
        total = len(self._index)
        per_voxel = group_sum(inverse, sample.weights, len(keys))
        offset = (sample.points_world_m - (ijk + 0.5) * self.voxel_size_m).astype(np.float32)
        ones = np.ones((len(offset), 1), np.float32)
        geometry = np.concatenate([ones, offset, sample.colors.astype(np.float32)], axis=1)
        # Rows are distinct, so += through an index adds each of them once.
        self._geometry.resize(total)[rows] += per_voxel @ geometry
        self._count.resize(total)[rows] += np.bincount(inverse, minlength=len(keys)).astype(
            np.int32
        )
        for kind, values in sample.values.items():
            sums = self._channels[kind]
            sums.values.resize(total)[rows] += per_voxel @ values
            sums.squares.resize(total)[rows] += per_voxel @ np.einsum("nk,nk->n", values, values)
        self._ijk.resize(total)[rows] = unpack(keys)
        self._touched.append(rows)

    def coefficients(self, kind: str = SEMANTIC) -> np.ndarray:
        """(N, k) float32 mean coefficients, before the field's rounding to float16."""
        return self._channels[kind].values.view / np.maximum(self._geometry.view[:, :1], 1e-12)

    def live(self, provenance: dict[str, Any], searchable: bool = True) -> FieldData:
        """The field of all samples so far: views that hold until the next `add`.

        Args:
            searchable: keep a search index up to date from now on, and give it along.
        """
        self._refresh()
        channels = {
            name: Channel(c.basis, c.coefficients.view, c.variance.view)
            for name, c in self._channels.items()
        }
        data = FieldData(
            self.voxel_size_m, self._ijk.view, self._points.view, self._colors.view,
            self._weight.view, self._count.view, channels, provenance,
        )  # fmt: skip
        if searchable and self._search_index is None:
            self._search_index = QuantizedVectors(channels[SEMANTIC].coefficients)
        if searchable and self._search_index is not None:
            data.use_search_index(self._search_index)
        return data

    def _refresh(self) -> None:
        """Bring what the sums mean up to date, where samples were added."""
        if not self._touched:
            return
        rows = np.unique(np.concatenate(self._touched))
        self._touched = []
        total, sums = len(self._index), self._geometry.view[rows]
        weight = np.maximum(sums[:, :1], 1e-12)
        centre = (self._ijk.view[rows] + 0.5) * self.voxel_size_m
        self._points.resize(total)[rows] = centre + sums[:, 1:4] / weight
        self._colors.resize(total)[rows] = np.clip(np.rint(sums[:, 4:] / weight), 0, 255)
        self._weight.resize(total)[rows] = sums[:, 0]
        for channel in self._channels.values():
            channel.refresh(rows, weight, total)
        if self._search_index is not None:
            vectors = self._channels[SEMANTIC].coefficients.view[rows]
            self._search_index.update(rows, vectors, total)
