"""Running sums of surface samples in voxels, and the field that they mean, kept up to date.

Voxels that later frames clearly see through are forgotten (`Fusion.add`).

A frame touches few of a place's voxels: only their means are worked out again, and only their
search vectors quantised anew. The result equals the field of all sums to the last bit.

Dimension letters: N voxels, n points of one frame, D embedding width, k coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from find_field.field.data import SEMANTIC, Channel, FieldData
from find_field.field.quantized import QuantizedVectors, from_half, to_half
from find_field.field.tables import GrowingArray, RowRanges, VoxelIndex
from find_field.field.voxels import (
    group,
    group_sum,
    neighbours,
    pack,
    unpack,
    voxel_coordinates,
)
from find_field.geometry.free_space import FreeSpace

# Voxels that a frame is compared with, about.
_SOME = 4000
# What is left of the weight of a doubted voxel, and the weight below which it stays as it is.
_DOUBTED, _LEAST_WEIGHT = np.float32(2.0**-5), 1e-3


@dataclass(frozen=True, eq=False)
class SurfaceSample:
    """What one frame says of the surface.

    Attributes:
        points_world_m: (n, 3) float64. weights: (n,) float32. colors: (n, 3) uint8.
        values: by channel, (n, k) float32 coefficients.
        stamp_ns: when the frame was taken, None when that is not known.
    """

    points_world_m: np.ndarray
    weights: np.ndarray
    colors: np.ndarray
    values: dict[str, np.ndarray]
    stamp_ns: int | None = None


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
    """Voxels that surface samples are added to: weighted means, so that the order matters only where
    a frame sees through what others saw.

    Args:
        voxel_size_m: side of a voxel.
    """

    def __init__(self, voxel_size_m: float) -> None:
        self.voxel_size_m = voxel_size_m
        self._index = VoxelIndex()
        self._geometry = GrowingArray((7,), np.float32)  # sums of weight, w*offset (3), w*rgb (3)
        self._count = GrowingArray((), np.int32)
        self._channels: dict[str, _ChannelSums] = {}
        self._stale = GrowingArray((), np.bool_)  # whose means are to be worked out again
        self._ranges = RowRanges()
        self._times_seen = GrowingArray((), np.int32)
        self._last_seen_ns = GrowingArray((), np.int64)
        # Clear views in a row that passed through; whether a neighbour went that way.
        self._passed = GrowingArray((), np.uint8)
        self._doubted = GrowingArray((), np.bool_)
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
        data.check()
        rows, weight = np.arange(len(data)), data.weight[:, None]
        self._index = VoxelIndex(pack(data.ijk))
        centre = (data.ijk + 0.5) * self.voxel_size_m
        offset = (data.points_world_m - centre).astype(np.float32)
        ones = np.ones_like(weight)
        self._geometry.resize(len(data))[:] = weight * np.hstack([ones, offset, data.colors])
        self._count.resize(len(data))[:] = data.count
        for name, given in data.channels.items():
            self.add_channel(name, given.basis)
            channel, mean = self._channels[name], from_half(given.coefficients)
            square = given.variance + np.einsum("nk,nk->n", mean, mean)
            channel.values.resize(len(data))[:] = weight * mean
            channel.squares.resize(len(data))[:] = weight[:, 0] * square
            channel.coefficients.resize(len(data))[:] = given.coefficients
            channel.variance.resize(len(data))[:] = given.variance
        pairs = ((self._ijk, data.ijk), (self._points, data.points_world_m),
                 (self._colors, data.colors), (self._weight, data.weight))  # fmt: skip
        for ours, theirs in pairs:
            ours.resize(len(data))[rows] = theirs
        times, last = data.times_seen, data.last_seen_ns
        self._times_seen.resize(len(data))[:] = 0 if times is None else times
        self._last_seen_ns.resize(len(data))[:] = -1 if last is None else last
        for state in (self._passed, self._doubted, self._stale):
            state.resize(len(data))
        self._ranges.add(rows, data.ijk)

    def add(self, sample: SurfaceSample, free: FreeSpace | None = None, views: int = 3) -> None:
        """Fuse surface points whose coefficients are in this fusion's bases.

        Args:
            free: what the same frame saw through: voxels that so many `views` in a row pass
                through are forgotten.
        """
        before = len(self._index)
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
        new, table = np.arange(before, total), self._ijk.resize(total)
        table[rows] = unpack(keys)
        self._ranges.add(new, table[before:])
        self._stale.resize(total)[rows] = True
        self._seen(rows, before, sample.stamp_ns)
        if free is not None and before:
            self._forget(free, rows, before, sample.stamp_ns, views)

    def _seen(self, rows: np.ndarray, before: int, stamp_ns: int | None) -> None:
        total = len(self._index)
        self._times_seen.resize(total)[rows] += 1
        last = self._last_seen_ns.resize(total)
        last[before:] = -1
        last[rows] = np.maximum(last[rows], -1 if stamp_ns is None else stamp_ns)
        self._passed.resize(total)[rows] = 0
        self._doubted.resize(total)[rows] = False

    def _forget(self, free: FreeSpace, seen: np.ndarray, before: int, stamp_ns: int | None,
                views: int) -> None:  # fmt: skip
        """Count the voxels that a frame saw through, and take out those of enough clear views."""
        rows = self._passed_through(free, before)
        if stamp_ns is not None:  # what was confirmed later stays
            rows = rows[self._last_seen_ns.view[rows] < stamp_ns]
        rows = np.setdiff1d(rows, seen, assume_unique=True)
        passed = self._passed.view
        passed[rows] += 1
        enough = np.where(self._doubted.view[rows], (views + 1) // 2, views)
        gone = rows[passed[rows] >= enough]
        if len(gone):
            self._remove(gone)

    def _passed_through(self, free: FreeSpace, before: int) -> np.ndarray:
        """Of the first `before` voxels; judged by their centres, the close calls by their points."""
        low, high = self._ranges.bounds()
        size = np.float32(self.voxel_size_m)
        near = free.near((low - np.float32(1)) * size, (high + np.float32(2)) * size)
        asked = self._ranges.rows(near, before)
        free.settle(self._means(asked[:: max(1, len(asked) // _SOME)]))
        centres = (self._ijk.view[asked].astype(np.float32) + np.float32(0.5)) * size
        reach = self.voxel_size_m * 3**0.5 / 2
        rows = asked[free.through(centres, closer_m=reach)]
        doubted = asked[self._doubted.view[asked]]
        out = [rows[free.through(self._means(rows))]]
        out.append(doubted[free.through(self._means(doubted), narrow=True)])
        return np.unique(np.concatenate(out))

    def _means(self, rows: np.ndarray) -> np.ndarray:
        """(n, 3) float32 surface points of voxels."""
        sums = self._geometry.view[rows]
        centre = (self._ijk.view[rows] + 0.5) * self.voxel_size_m
        return (centre + sums[:, 1:4] / np.maximum(sums[:, :1], 1e-12)).astype(np.float32)

    def _remove(self, gone: np.ndarray) -> None:
        self._refresh()
        touching = neighbours(pack(self._ijk.view[gone]))
        moved, holes = self._index.remove(gone)
        for array in self._arrays():
            array.move(moved, holes, len(self._index))
        self._ranges.add(holes, self._ijk.view[holes])
        near = self._index.find(touching)
        self._doubt(near[near >= 0])

    def _doubt(self, rows: np.ndarray) -> None:
        """What touched a thing that went may be its rest: less proof is needed, the next view wins."""
        rows = rows[~self._doubted.view[rows]]
        self._doubted.view[rows] = True
        rows = rows[self._geometry.view[rows, 0] > _LEAST_WEIGHT]
        # A power of two leaves every mean as it is, to the last bit.
        self._geometry.view[rows] *= _DOUBTED
        for channel in self._channels.values():
            channel.values.view[rows] *= _DOUBTED
            channel.squares.view[rows] *= _DOUBTED
        self._stale.view[rows] = True

    def _arrays(self) -> list[GrowingArray | QuantizedVectors]:
        """Everything that has a row for each voxel."""
        out: list[GrowingArray | QuantizedVectors] = [
            self._geometry, self._count, self._times_seen, self._last_seen_ns, self._passed,
            self._doubted, self._stale, self._ijk, self._points, self._colors, self._weight,
        ]  # fmt: skip
        for c in self._channels.values():
            out += [c.values, c.squares, c.coefficients, c.variance]
        return out if self._search_index is None else [*out, self._search_index]

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
            self._times_seen.view, self._last_seen_ns.view,
        )  # fmt: skip
        if searchable and self._search_index is None:
            self._search_index = QuantizedVectors(channels[SEMANTIC].coefficients)
        if searchable and self._search_index is not None:
            data.use_search_index(self._search_index)
        return data

    def _refresh(self) -> None:
        """Bring what the sums mean up to date, where samples were added."""
        rows = np.flatnonzero(self._stale.view)
        if not len(rows):
            return
        self._stale.view[rows] = False
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
