"""What a field is made of: plain arrays, and what is looked up in them.

Everything in this folder works on `FieldData`; `feature_field.FeatureField` adds the verbs.

Dimension letters: N voxels, D embedding width, k coefficients, M points asked about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from find_core.embedding_space import same_space
from find_core.errors import FieldError
from find_core.protocols import FindLike
from find_field.field.blocks import BlockCheck
from find_field.field.quantized import QuantizedVectors

SEMANTIC, PIXEL = "semantic", "pixel"


@dataclass(frozen=True, eq=False)
class Channel:
    """Embeddings of every voxel in one space, as coefficients of a basis.

    Attributes:
        basis: (D, k) float32, orthonormal columns.
        coefficients: (N, k) float16; the embedding is basis @ coefficients (not normalised).
        variance: (N,) float16, weighted mean squared distance of the views' embeddings from it.
    """

    basis: np.ndarray
    coefficients: np.ndarray
    variance: np.ndarray

    def take(self, rows: np.ndarray) -> Channel:
        """The channel of some voxels: row numbers or (N,) bool."""
        return replace(self, coefficients=self.coefficients[rows], variance=self.variance[rows])


@dataclass(frozen=True, eq=False)
class FieldData:
    """Voxels with embeddings, in metres, in the world frame the poses came in.

    Attributes:
        voxel_size_m: side of a voxel.
        ijk: (N, 3) int32, voxel i covers [ijk, ijk + 1) * voxel_size_m.
        points_world_m: (N, 3) float32, weighted mean of the surface points seen in the voxel.
        colors: (N, 3) uint8 RGB.
        weight: (N,) float32, sum of the views' weights. count: (N,) int32, surface points fused.
        channels: by name; "semantic" always, "pixel" when asked for.
        provenance: JSON object: "model", "fingerprint" (of the embedding space), "frame" (name of
            the world frame), "up_world" (3 numbers or None), "frames" (views fused), "source";
            of lifted ones "seen_from_m" (the mean of the cameras' places, in the world frame).
        times_seen: (N,) int32, views that saw the voxel. last_seen_ns: (N,) int64, stamp of the last
            of them, -1 where views had none. Both None in fields of before there were any.
        unchecked: of a mapped file, what looks at values when they are first used.
    """

    voxel_size_m: float
    ijk: np.ndarray
    points_world_m: np.ndarray
    colors: np.ndarray
    weight: np.ndarray
    count: np.ndarray
    channels: Mapping[str, Channel]
    provenance: dict[str, Any] = field(default_factory=dict)
    times_seen: np.ndarray | None = None
    last_seen_ns: np.ndarray | None = None
    unchecked: BlockCheck | None = None

    def __len__(self) -> int:
        return len(self.ijk)

    @property
    def frame(self) -> str:
        """Name of the world frame."""
        return self.provenance.get("frame", "world")

    @property
    def up_world(self) -> np.ndarray | None:
        """(3,) direction that is up, or None when the world has none."""
        up = self.provenance.get("up_world", (0.0, 0.0, 1.0))
        return None if up is None else np.asarray(up, np.float64)

    @property
    def embedding_dim(self) -> int:
        """D of the semantic channel."""
        return self.channels[SEMANTIC].basis.shape[0]

    def channel(self, kind: str) -> Channel:
        """The channel of that name.

        Raises:
            FieldError: there is none.
        """
        if kind not in self.channels:
            raise FieldError(
                f"This field has no {kind!r} channel (it has {', '.join(self.channels)}): "
                "lift again with pixel=True."
            )
        return self.channels[kind]

    def check(self, rows: np.ndarray | None = None) -> None:
        """Look at values that were not looked at yet; of some rows, or of all.

        Raises:
            FieldError: the file that the field was mapped from is damaged there.
        """
        if self.unchecked is not None:
            self.unchecked(rows)

    @cached_property
    def search_index(self) -> QuantizedVectors:
        """Unit vectors of the semantic channel, made on the first query and kept."""
        self.check()
        return QuantizedVectors(self.channels[SEMANTIC].coefficients)

    @property
    def has_search_index(self) -> bool:
        return "search_index" in self.__dict__

    def use_search_index(self, index: QuantizedVectors) -> None:
        """Search with `index`, kept up to date elsewhere, instead of making one."""
        self.__dict__["search_index"] = index

    @cached_property
    def _tree(self) -> cKDTree:
        self.check()
        return cKDTree(self.points_world_m)

    def embeddings_at(
        self, points_world_m: ArrayLike, kind: str = SEMANTIC, max_distance_m: float | None = None
    ) -> np.ndarray:
        """Embeddings (M, D) float32 at points (M, 3), of the nearest voxel; not normalised.

        Rows are NaN where no surface was seen within `max_distance_m` (two voxels by default):
        unknown is not the same as zero.

        Raises:
            FieldError: no such channel, or points of another shape.
        """
        channel = self.channel(kind)
        points = np.atleast_2d(np.asarray(points_world_m, np.float64))
        if points.ndim != 2 or points.shape[1] != 3:
            raise FieldError(f"Points have shape {points.shape}: give (M, 3) world metres.")
        reach = 2 * self.voxel_size_m if max_distance_m is None else max_distance_m
        out = np.full((len(points), channel.basis.shape[0]), np.nan, np.float32)
        near, row = np.isfinite(points).all(axis=1), np.zeros(len(points), np.int64)
        if len(self) and near.any():
            distance, row[near] = self._tree.query(points[near], distance_upper_bound=reach)
            near[near] = np.isfinite(distance)
            coefficients = channel.coefficients[row[near]].astype(np.float32)
            out[near] = coefficients @ channel.basis.T
        return out

    def check_model(self, find: FindLike) -> None:
        """Make sure that `find` speaks this field's embedding space.

        Raises:
            FieldError: it does not.
        """
        own, other = self.provenance.get("fingerprint"), getattr(find, "fingerprint", None)
        if not same_space(own, other):
            raise FieldError(
                f"This field was made with model {self.provenance.get('model', '?')!r} "
                f"({own}) but the query comes from {getattr(find, 'name', '?')!r} "
                f"({other}): load that model, or lift the frames again."
            )
