"""FeatureField: a place as voxels that carry embeddings. Needs neither nerfstudio nor ROS.

Dimension letters: N voxels, D embedding width, k coefficients, E entities of a prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from find_core.embedding_space import same_space
from find_core.errors import FieldError
from find_field.field.hits import FieldHits
from find_field.field.quantized import Directions

SEMANTIC, PIXEL = "semantic", "pixel"


# Below float16's normal range numpy converts twenty times slower, and nothing is lost at zero.
_HALF_TINY = np.float32(np.finfo(np.float16).tiny)


def to_half(values: np.ndarray) -> np.ndarray:
    """Values as float16, those below its normal range (6e-5) as 0."""
    return np.where(np.abs(values) < _HALF_TINY, np.float32(0), values).astype(np.float16)


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

    def take(self, rows: Any) -> Channel:
        return replace(self, coefficients=self.coefficients[rows], variance=self.variance[rows])


@dataclass(frozen=True, eq=False)
class FeatureField:
    """Voxels with embeddings, in metres, in the world frame the poses came in.

    Attributes:
        voxel_size_m: side of a voxel.
        ijk: (N, 3) int32, voxel i covers [ijk, ijk + 1) * voxel_size_m.
        points_world_m: (N, 3) float32, weighted mean of the surface points seen in the voxel.
        colors: (N, 3) uint8 RGB.
        weight: (N,) float32, sum of the views' weights. count: (N,) int32, surface points fused.
        channels: by name; "semantic" always, "pixel" when asked for.
        provenance: JSON object: "model", "fingerprint" (of the embedding space), "frame" (name of
            the world frame), "up_world" (3 numbers or None), "frames" (views fused), "source".
    """

    voxel_size_m: float
    ijk: np.ndarray
    points_world_m: np.ndarray
    colors: np.ndarray
    weight: np.ndarray
    count: np.ndarray
    channels: Mapping[str, Channel]
    provenance: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ijk)

    def __repr__(self) -> str:
        return (
            f"FeatureField({len(self):,} voxels of {self.voxel_size_m:g} m, "
            f"{', '.join(f'{n} {c.basis.shape[0]}->{c.basis.shape[1]}' for n, c in self.channels.items())}, "
            f"model {self.provenance.get('model', '?')!r}, frame {self.frame!r})"
        )

    @property
    def frame(self) -> str:
        return self.provenance.get("frame", "world")

    @property
    def up_world(self) -> np.ndarray | None:
        """(3,) direction that is up, or None when the world has none."""
        up = self.provenance.get("up_world", (0.0, 0.0, 1.0))
        return None if up is None else np.asarray(up, np.float64)

    @property
    def embedding_dim(self) -> int:
        return self.channels[SEMANTIC].basis.shape[0]

    def channel(self, kind: str) -> Channel:
        if kind not in self.channels:
            raise FieldError(
                f"This field has no {kind!r} channel (it has {', '.join(self.channels)}): "
                "lift again with pixel=True."
            )
        return self.channels[kind]

    @cached_property
    def directions(self) -> Directions:
        """Unit directions of the semantic channel, made on the first query and kept."""
        return Directions(self.channels[SEMANTIC].coefficients)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.points_world_m)

    def embeddings_at(
        self, points_world_m: Any, kind: str = SEMANTIC, max_distance_m: float | None = None
    ) -> np.ndarray:
        """Embeddings (M, D) float32 at points (M, 3), of the nearest voxel; not normalised.

        Rows are NaN where no surface was seen within `max_distance_m` (two voxels by default):
        unknown is not the same as zero.
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

    def check_model(self, find: Any) -> None:
        """Raise FieldError unless `find` speaks this field's embedding space."""
        own, other = self.provenance.get("fingerprint"), getattr(find, "fingerprint", None)
        if not same_space(own, other):
            raise FieldError(
                f"This field was made with model {self.provenance.get('model', '?')!r} "
                f"({own}) but the query comes from {getattr(find, 'name', '?')!r} "
                f"({other}): load that model, or lift the frames again."
            )

    def query(self, prompt: Any, find: Any, config: Any = None, **overrides: Any) -> FieldHits:
        """Where the things that the prompt speaks of are; see `find_field.field.query.QueryConfig`."""
        from find_field.field.query import query

        return query(self, prompt, find, config, **overrides)

    def relevancy(self, prompt: Any, find: Any, config: Any = None, **overrides: Any) -> np.ndarray:
        """(E, N) float32 in [0, 1], of each voxel for each entity of the prompt."""
        from find_field.field.query import relevancy

        return relevancy(self, prompt, find, config, **overrides)

    def pca_colors(self) -> np.ndarray:
        """(N, 3) uint8: the three strongest directions of the embeddings as red, green, blue."""
        from find_field.io.export import pca_colors

        return pca_colors(self)

    def crop(self, keep: np.ndarray) -> FeatureField:
        """The field of the voxels where `keep` (N,) bool (or row numbers) holds."""
        arrays = {name: getattr(self, name)[keep] for name in
                  ("ijk", "points_world_m", "colors", "weight", "count")}  # fmt: skip
        channels = {name: channel.take(keep) for name, channel in self.channels.items()}
        return replace(self, channels=channels, **arrays)

    def merge(self, other: FeatureField) -> FeatureField:
        """Both fields in one; see `find_field.field.merge.merge`."""
        from find_field.field.merge import merge

        return merge(self, other)

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file, atomically; `find_field.load` reads it."""
        from find_field.field.storage import save

        return save(self, path)

    def to_ply(self, path: str | Path, **options: Any) -> Path:
        """Write a coloured point cloud; see `find_field.io.export.to_ply`."""
        from find_field.io.export import to_ply

        return to_ply(self, path, **options)

    def to_npz(self, path: str | Path) -> Path:
        """Write the arrays as NPZ; see `find_field.io.export.to_npz`."""
        from find_field.io.export import to_npz

        return to_npz(self, path)

    def to_trimesh(self) -> Any:
        """The voxels' points and colours as a `trimesh.PointCloud`."""
        import trimesh

        return trimesh.PointCloud(self.points_world_m, colors=self.colors)

    def bytes_per_voxel(self) -> dict[str, float]:
        """Memory of one voxel by part, bytes; 'search index' appears after the first query."""
        out = {"geometry": 4 * 3 + 4 * 3 + 3.0}
        for name, channel in self.channels.items():
            # The semantic channel carries the fusion state (weight, count) that the others share.
            state = 8 if name == SEMANTIC else 0
            out[name] = float(2 * channel.basis.shape[1] + 2 + state)
        if "directions" in self.__dict__ and len(self):
            out["search index"] = self.directions.nbytes / len(self)
        return out
