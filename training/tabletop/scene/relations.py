"""Spatial relations from true geometry, as the camera sees them.

"left of" and "right of" run along the camera's x axis laid flat on the ground, "in front of" and
"behind" along its view direction laid flat (nearer to the camera is in front). Each ordered pair
is judged *clear*, *unclear* or *false*: texts claim only what is clear, and deny only what is
false, so that nobody has to argue over a diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.tabletop.scene.placement import gap_m

DIRECTIONS = ("left of", "right of", "in front of", "behind")
NAMES = (*DIRECTIONS, "next to", "on", "in")
NEAR_M, FAR_M = 0.07, 0.13


@dataclass
class Body:
    """What relations need of one object; world frame, metres."""

    outline_N2: np.ndarray
    floor_m: float
    top_m: float
    parent: int | None = None
    inside: bool = False


@dataclass(frozen=True)
class Judgement:
    """The relations of a scene: pairs (subject, relation, object) of body indices."""

    clear: frozenset[tuple[int, str, int]]
    unclear: frozenset[tuple[int, str, int]]


def judge(bodies: list[Body], T_world_camera: np.ndarray) -> Judgement:
    """All relations between the bodies for a camera pose (4x4, OpenCV, metres)."""
    right = _flat(T_world_camera[:3, 0])
    away = _flat(T_world_camera[:3, 2])
    clear: set[tuple[int, str, int]] = set()
    unclear: set[tuple[int, str, int]] = set()
    for s, subject in enumerate(bodies):
        for o, other in enumerate(bodies):
            if s == o:
                continue
            for name, state in _pair(s, subject, o, other, right, away).items():
                (clear if state else unclear).add((s, name, o))
    return Judgement(frozenset(clear), frozenset(unclear))


def _flat(axis: np.ndarray) -> np.ndarray:
    flat = np.asarray(axis[:2], float)
    return flat / max(float(np.linalg.norm(flat)), 1e-9)


def _pair(
    s: int, subject: Body, o: int, other: Body, right: np.ndarray, away: np.ndarray
) -> dict[str, bool]:
    """Relation name to True (clear) or False (unclear); absent means false."""
    if subject.parent == o:
        return {"in": True} if subject.inside else {"on": True}
    if other.parent == s:
        return {}
    if subject.parent is not None or other.parent is not None:
        return {name: False for name in (*DIRECTIONS, "next to")}
    out: dict[str, bool] = {}
    offset = _centre(subject) - _centre(other)
    sideways, depth = float(offset @ right), float(offset @ away)
    room = 0.25 * (_width(subject) + _width(other))
    for name, along, across in (
        ("left of", -sideways, depth),
        ("right of", sideways, depth),
        ("in front of", -depth, sideways),
        ("behind", depth, sideways),
    ):
        if along > max(room, 0.03) and along > 1.2 * abs(across):
            out[name] = True
        elif along > 0 and along > 0.5 * abs(across):
            out[name] = False
    gap = gap_m(subject.outline_N2, other.outline_N2)
    if gap < FAR_M:
        out["next to"] = gap < NEAR_M
    return out


def _centre(body: Body) -> np.ndarray:
    return (body.outline_N2.min(0) + body.outline_N2.max(0)) / 2


def _width(body: Body) -> float:
    return float(np.ptp(body.outline_N2, axis=0).mean())
