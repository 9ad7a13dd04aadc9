"""FeatureField: a place as voxels that carry embeddings. Needs neither nerfstudio nor ROS.

Dimension letters: N voxels, E entities of a prompt.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from find_core.prompts.prompt import Prompt
from find_core.protocols import CompiledLike, FindLike
from find_field.field import merge, query, storage
from find_field.field.data import SEMANTIC, FieldData
from find_field.field.hits import FieldHit, FieldHits
from find_field.field.query import QueryConfig
from find_field.field.surroundings import Surroundings, surroundings
from find_field.io import export


class FeatureField(FieldData):
    """Voxels with embeddings (attributes as in `FieldData`), and what can be done with them.

    Make one with `find_field.lift` or `ns-train find-field`, or read one with `find_field.load`.
    """

    def __repr__(self) -> str:
        channels = ", ".join(
            f"{name} {c.basis.shape[0]}->{c.basis.shape[1]}" for name, c in self.channels.items()
        )
        return (
            f"FeatureField({len(self):,} voxels of {self.voxel_size_m:g} m, {channels}, "
            f"model {self.provenance.get('model', '?')!r}, frame {self.frame!r})"
        )

    def query(self, prompt: Prompt | str | CompiledLike, find: FindLike,
              config: QueryConfig | None = None, **overrides: Any) -> FieldHits:  # fmt: skip
        """Where the objects that the prompt speaks of are, best first.

        Args:
            prompt: `Prompt`, its text, or a compiled prompt.
            find: the model that the field was made with.
            config: how strict to be; its fields can be given as keyword arguments instead.

        Returns:
            `FieldHits`, metres in the field's world frame; empty when nothing passes, with
            `best_score` saying how near it came.

        Raises:
            FieldError: `find` has another embedding space than the field, or an unknown option.
            PromptError: the prompt cannot be read.
        """
        return query.query(self, prompt, find, config, **overrides)

    def relevancy(self, prompt: Prompt | str | CompiledLike, find: FindLike,
                  config: QueryConfig | None = None, **overrides: Any) -> np.ndarray:  # fmt: skip
        """(E, N) float32 in [0, 1], of each voxel for each entity of the prompt; as `query`."""
        return query.relevancy(self, prompt, find, config, **overrides)

    def surroundings(self, hit: FieldHit) -> Surroundings:
        """What a pick needs besides a hit's box: what it stands on, what is above it, and what was
        never seen.

        Args:
            hit: an answer of this field.

        Raises:
            FieldError: the field's up is unknown.
        """
        return surroundings(self, hit)

    def pca_colors(self) -> np.ndarray:
        """(N, 3) uint8: the three strongest directions of the embeddings as red, green, blue."""
        return export.pca_colors(self)

    def crop(self, keep: np.ndarray) -> FeatureField:
        """The field of the voxels where `keep` (N,) bool (or row numbers) holds."""
        self.check(np.arange(len(self))[keep])
        arrays = {name: getattr(self, name)[keep] for name in storage.ARRAYS}
        arrays |= {n: a[keep] for n in storage.SEEN if (a := getattr(self, n)) is not None}
        channels = {name: channel.take(keep) for name, channel in self.channels.items()}
        return replace(self, channels=channels, unchecked=None, **arrays)

    def merge(self, other: FieldData) -> FeatureField:
        """Both fields in one; see `find_field.field.merge.merge`."""
        return merge.merge(self, other)

    def save(self, path: str | Path, search: bool | None = None) -> Path:
        """Write one safetensors file, atomically; `find_field.load` reads it.

        Args:
            search: with the search index, so that a mapped file is asked without reading all of it;
                None: from 300,000 voxels on.

        Raises:
            FieldError: it cannot be written; what was at `path` is still there.
        """
        return storage.save(self, path, search)

    def to_ply(self, path: str | Path, colors: str | np.ndarray = "rgb",
               relevancy: np.ndarray | None = None) -> Path:  # fmt: skip
        """Write a coloured point cloud; see `find_field.io.export.to_ply`."""
        return export.to_ply(self, path, colors, relevancy)

    def to_npz(self, path: str | Path) -> Path:
        """Write the arrays as NPZ; see `find_field.io.export.to_npz`."""
        return export.to_npz(self, path)

    def to_trimesh(self) -> Any:
        """The voxels' points and colours as a `trimesh.PointCloud`."""
        import trimesh

        self.check()
        return trimesh.PointCloud(self.points_world_m, colors=self.colors)

    def bytes_per_voxel(self) -> dict[str, float]:
        """Memory of one voxel by part, bytes; 'search index' appears after the first query."""
        out = {"geometry": 4 * 3 + 4 * 3 + 3.0}
        if self.times_seen is not None:
            out["times seen"] = 4 + 8.0
        for name, channel in self.channels.items():
            # The semantic channel carries the fusion state (weight, count) that the others share.
            state = 8 if name == SEMANTIC else 0
            out[name] = float(2 * channel.basis.shape[1] + 2 + state)
        if self.has_search_index and len(self):
            out["search index"] = self.search_index.nbytes / len(self)
        return out


def load(path: str | Path, find: FindLike | None = None, *, mapped: bool = False) -> FeatureField:
    """Read a field that `FeatureField.save` wrote.

    Args:
        find: the model that will be asked. It is made ready for prompts while the file is read, so that
            the first query is as quick as the others.
        mapped: leave the arrays in the file, read-only. A large field is then opened at once, and a
            query reads what it looks at. Values are checked when a query or another method first
            uses them, not when you read an array yourself (`field.check()` looks at all).

    Raises:
        FieldError: no such file, truncated, not a field, or written by a newer version.
    """
    prepare = getattr(find, "prepare", None)  # stand-ins for a model need not have it
    if prepare is None:
        return storage.load(path, FeatureField, mapped)
    prepare()
    field = storage.load(path, FeatureField, mapped)
    prepare(wait=True)
    return field
