"""What a field answers: hits in metres, in the world frame the poses came in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from find_core.errors import FieldError

JSON_VERSION = 1


@dataclass(frozen=True, eq=False)
class FieldHit:
    """One object found in the field.

    Attributes:
        label: the entity's text (a reference's name when visual).
        entity_index: which entity of the prompt this answers.
        score: in [0, 1].
        points_world_m: (N, 3) float32, its surface voxels.
        relevancy: (N,) float32 in [0, 1], of each point.
        centroid_world_m: (3,) float64, mean of the equally weighted points. Of the surface that
            was seen: it lies towards the cameras where an object was seen from one side only.
        T_world_object: (4, 4) float64 right-handed frame of the oriented box, z up: a box's
            frame, not the object's canonical pose.
        extent_m: (3,) full lengths of the box along that frame's x, y, z.
        embedding: (D,) float32 unit, mean over the points, semantic space.
        voxel_rows: (N,) int64 rows of the points in the field.
        times_seen, last_seen_ns: a quarter of its voxels were seen so many times, or more; and so
            late, or later. One voxel at its edge, which something else fills now, does not confirm
            it. None where the field does not know.
    """

    label: str
    entity_index: int
    score: float
    points_world_m: np.ndarray
    relevancy: np.ndarray
    centroid_world_m: np.ndarray
    T_world_object: np.ndarray
    extent_m: np.ndarray
    embedding: np.ndarray
    voxel_rows: np.ndarray
    times_seen: int | None = None
    last_seen_ns: int | None = None

    def to_trimesh(self, kind: str = "box") -> Any:
        """`trimesh` object in world metres: kind 'box' (Trimesh) or 'points' (PointCloud)."""
        import trimesh

        if kind == "box":
            return trimesh.creation.box(self.extent_m, self.T_world_object)
        if kind == "points":
            return trimesh.PointCloud(self.points_world_m)
        raise FieldError(f"A hit is a 'box' or 'points' in trimesh, not {kind!r}.")

    def to_open3d(self) -> tuple[Any, Any]:
        """(PointCloud, OrientedBoundingBox) of open3d, in world metres."""
        try:
            import open3d as o3d
        except (ImportError, OSError) as error:
            raise FieldError(
                f"open3d cannot be imported ({error}): pip install open3d, and on Debian also "
                "apt install libusb-1.0-0; or use to_trimesh()."
            ) from None
        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(self.points_world_m))
        T = self.T_world_object
        return cloud, o3d.geometry.OrientedBoundingBox(T[:3, 3], T[:3, :3], self.extent_m)

    def to_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "entity_index": int(self.entity_index),
            "score": round(float(self.score), 4),
            "points": len(self.points_world_m),
            "centroid_world_m": _rounded(self.centroid_world_m),
            "T_world_object": [_rounded(row, 6) for row in self.T_world_object],
            "extent_m": _rounded(self.extent_m),
            "times_seen": self.times_seen,
            "last_seen_ns": self.last_seen_ns,
        }


@dataclass(frozen=True, eq=False)
class FieldEntity:
    """One entity of the prompt and what the field holds of it.

    Attributes:
        label, entity_index: as in the prompt. found: whether there is a hit.
        best_score: of its best hit; without one, of the best place that did not pass.
        hits: its hits, best first; the one that stands where the sentence says before the others.
    """

    label: str
    entity_index: int
    best_score: float
    hits: tuple[FieldHit, ...] = ()

    @property
    def found(self) -> bool:
        return bool(self.hits)


class FieldHits(list[FieldHit]):
    """Hits of all entities, best score first; a plain list otherwise.

    Attributes:
        entities: one `FieldEntity` per entity of the prompt, in prompt order.
        best_score: the best score of any entity, also when there is no hit.
        frame: name of the world frame.
        place_score: in [0, 1], whether the first hits of the entities stand to one another as the
            sentence's words say; None where no places were judged.
    """

    def __init__(
        self,
        entities: Iterable[FieldEntity],
        frame: str = "world",
        place_score: float | None = None,
    ) -> None:
        self.entities = tuple(entities)
        self.frame, self.place_score = frame, place_score
        hits = [hit for entity in self.entities for hit in entity.hits]
        super().__init__(sorted(hits, key=lambda hit: -hit.score))

    @property
    def best_score(self) -> float:
        return max((entity.best_score for entity in self.entities), default=0.0)

    def to_json(self) -> dict[str, Any]:
        """The versioned object of schemas/field_answer.schema.json."""
        places = {} if self.place_score is None else {"place_score": round(self.place_score, 4)}
        return {
            "version": JSON_VERSION,
            "frame": self.frame,
            "best_score": round(float(self.best_score), 4),
            **places,
            "entities": [
                {
                    "label": e.label,
                    "found": e.found,
                    "best_score": round(float(e.best_score), 4),
                    "hits": [hit.to_json() for hit in e.hits],
                }
                for e in self.entities
            ],
        }


def place_text(hit: FieldHit) -> str:
    """The middle of its seen surface, metres."""
    return ", ".join(f"{v:.3f}" for v in hit.centroid_world_m)


def size_text(hit: FieldHit) -> str:
    """Full lengths of its box, centimetres."""
    return " × ".join(f"{100 * v:.1f}" for v in hit.extent_m)


def hits_text(hits: FieldHits) -> str:
    """A line for each hit, and for each entity that is not there, as people read it."""
    lines = []
    for hit in hits:
        lines.append(f"{hit.label:<24} score {hit.score:.2f}  at ({place_text(hit)}) m  {size_text(hit)} cm")  # fmt: skip
    lines += [f"{entity.label:<24} not here (best score {entity.best_score:.2f})"
              for entity in hits.entities if not entity.found]  # fmt: skip
    return "\n".join(lines)


def _rounded(values: np.ndarray, digits: int = 5) -> list[float]:
    return [round(float(v), digits) for v in values]
