"""Things shown by pointing at them in the scene, and prompts that speak of them.

Dimension letters: N voxels, E entities, D semantic width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from find_core.prompts.prompt import Prompt
from find_core.protocols import CompiledLike, FindLike
from find_field.field import query
from find_field.field.data import FieldData
from find_field.field.hits import FieldHit

REACH_VOXELS = 1.0
"""A ray meets a voxel whose point it passes this near: half a diagonal, and a little."""


class PickedObject:
    """A prompt of one entity that was pointed at.

    Args:
        embedding: (1, D) float32 unit vector.
    """

    def __init__(self, embedding: np.ndarray) -> None:
        self.prompt = Prompt.parse("<picked>")
        self.entity_embeddings = embedding


@dataclass(frozen=True, eq=False)
class PromptWithPicked:
    """A compiled prompt, some of whose entities are what was pointed at.

    Attributes:
        prompt: the sentence. entity_embeddings: (E, D) float32 unit vectors.
        places: what the sentence says of places; None where nothing is judged.
    """

    prompt: Prompt
    entity_embeddings: np.ndarray
    places: Any = None


@dataclass(frozen=True, eq=False)
class Thing:
    """What was pointed at.

    Attributes:
        point_world_m: (3,) where. embedding: (D,) float32 unit vector.
        hit: the object there with its box; None where nothing stands apart there.
    """

    point_world_m: np.ndarray
    embedding: np.ndarray
    hit: FieldHit | None


def row_on_ray(field: FieldData, origin_world_m: ArrayLike, direction: ArrayLike,
               shown: np.ndarray | None = None) -> int | None:  # fmt: skip
    """The first voxel that a ray meets; None where it passes all.

    Args:
        origin_world_m, direction: (3,); the direction need not have length 1.
        shown: (N,) bool, voxels that can be met; all by default.
    """
    along = np.asarray(direction, np.float64)
    along = along / max(float(np.linalg.norm(along)), 1e-12)
    offset = field.points_world_m.astype(np.float64) - np.asarray(origin_world_m, np.float64)
    depth = offset @ along
    aside = np.linalg.norm(offset - depth[:, None] * along, axis=1)
    met = (depth > 0) & (aside <= REACH_VOXELS * field.voxel_size_m)
    if shown is not None:
        met &= shown
    rows = np.flatnonzero(met)
    return int(rows[np.argmin(depth[rows])]) if len(rows) else None


def thing_at(field: FieldData, row: int, find: FindLike) -> Thing:
    """The object that a voxel belongs to: the hit, asked with its own embedding, that holds it.

    Raises:
        FieldError: `find` has another embedding space than the field.
    """
    channel = field.channels["semantic"]
    own = _unit(channel.basis @ channel.coefficients[row].astype(np.float32))
    hits = query.query(field, PickedObject(own[None]), find)
    hit = next((hit for hit in hits if (hit.voxel_rows == row).any()), None)
    embedding = own if hit is None else hit.embedding
    return Thing(field.points_world_m[row].astype(np.float64), embedding, hit)


def with_picked(compiled: CompiledLike, picked: Mapping[str, np.ndarray]) -> CompiledLike:
    """The prompt with what was pointed at in place of the words that name it.

    The other entities have read the name as a word. `<this>` alone is exactly what was pointed at.

    Args:
        picked: (D,) unit vectors by name.
    """
    entities = compiled.prompt.entities
    named = [n for n, e in enumerate(entities) if e.reference is None and e.label in picked]
    if not named:
        return compiled
    vectors = np.array(compiled.entity_embeddings)
    for n in named:
        vectors[n] = picked[entities[n].label]
    return PromptWithPicked(compiled.prompt, vectors, getattr(compiled, "places", None))


def _unit(vector: np.ndarray) -> np.ndarray:
    out: np.ndarray = (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
    return out
