"""Between hits of one entity: the one that stands where the sentence says comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from find_core.errors import FieldError
from find_field.field.hits import FieldEntity, FieldHit

if TYPE_CHECKING:
    from find_core.places.choice import PlaceWords
    from find_core.places.geometry import Arrangement

LEAST_SHARE = 0.2
"""What scores less than this share of an entity's best hit is not it, wherever it stands."""


def by_place(
    entities: Sequence[FieldEntity],
    others: Sequence[Sequence[FieldHit]],
    words: PlaceWords,
    up_world: np.ndarray,
    T_world_viewer: np.ndarray | None,
) -> tuple[list[FieldEntity], float]:
    """The entities with what stands where the words say at the front of their hits.

    It takes over its entity's best score: places decide which one is meant, scores whether one is
    here.

    Args:
        entities: each has a hit. others: what looks like each entity and does not pass; such a one
            joins the hits only where it is chosen.
        words: what the prompt says of places. T_world_viewer: as `QueryConfig.viewer`.

    Returns:
        the entities, and in [0, 1] whether the hits at the front stand so.
    """
    from find_core.places.choice import choose  # torch, which a field does without

    up = np.asarray(up_world, float)
    up /= np.linalg.norm(up)
    listed = [[*e.hits, *more] for e, more in zip(entities, others, strict=True)]

    def arrange(members: list[tuple[int, int]]) -> Arrangement:
        return arrangement([listed[e][n].points_world_m for e, n in members], up, T_world_viewer)

    choice = choose(words, [[h.score for h in hits] for hits in listed], arrange)
    chosen = []
    for entity, hits, picked in zip(entities, listed, choice.picked, strict=True):
        rest = tuple(h for h in entity.hits if h is not hits[picked])
        first = replace(hits[picked], score=entity.hits[0].score)
        chosen.append(replace(entity, hits=(first, *rest)))
    return chosen, choice.probability


def arrangement(
    points_world_m: Sequence[np.ndarray], up_world: np.ndarray, T_world_viewer: np.ndarray | None
) -> Arrangement:
    """Things in metres, as a viewer sees them; without one, heights and distances alone."""
    from find_core.places.geometry import Arrangement, viewer_frame

    if T_world_viewer is None:
        x = np.cross(np.eye(3)[np.argmin(np.abs(up_world))], up_world)
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(up_world, x), up_world])
    else:
        R = viewer_frame(T_world_viewer, up_world)
    points = [np.asarray(p, np.float64) @ R.T for p in points_world_m]
    return Arrangement(points_m=points, facing=T_world_viewer is not None)


def check_viewer(viewer: object) -> np.ndarray | None:
    """(4, 4) float64, or None.

    Raises:
        FieldError: it is no pose.
    """
    if viewer is None:
        return None
    try:
        T = np.asarray(viewer, np.float64)
    except (TypeError, ValueError):
        T = np.zeros(0)
    if T.shape != (4, 4) or not np.isfinite(T).all() or not np.allclose(
        T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-2
    ):  # fmt: skip
        raise FieldError(
            "A viewer is the pose of a camera, T_world_camera (4, 4): x right, y down, z forward, "
            "rotation and metres."
        )
    return T
