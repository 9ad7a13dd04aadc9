"""Views of arrangements: what a detector and a field would give of them, errors included.

Every view has the numbers of all pairs of its things (`find_core.places.geometry`) and which
relations hold between them as this camera sees them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from find_core.places.geometry import (
    FEATURES,
    LONG_SIDE_PX,
    Arrangement,
    pair_features,
    viewer_frame,
)
from training.places.layouts import MOST_THINGS, Thing
from training.tabletop.scene.cameras import look_at
from training.tabletop.scene.placement import gap_m
from training.tabletop.scene.relations import Body, judge

RELATIONS = ("left", "right", "front", "behind", "next", "on", "in", "under", "holds", "far")
_JUDGED = {"left of": "left", "right of": "right", "in front of": "front", "behind": "behind",
           "next to": "next", "on": "on", "in": "in"}  # fmt: skip
TRUE, FALSE, UNCLEAR = 1, 0, -1
NEAR_PX, FEW_PX = 3, 8
FAR_M = 0.25
_UP = np.array([0.0, 0.0, 1.0])


@dataclass
class View:
    """One view. N is at most `MOST_THINGS`; rows of things that are not seen are not used.

    Attributes:
        features_NNF: float16. seen_N: bool.
        truth_RNN: int8 per `RELATIONS`: TRUE, FALSE or UNCLEAR.
        place_N2: float32, where things stand on the ground, metres. free_N: stand on the ground.
    """

    features_NNF: np.ndarray
    seen_N: np.ndarray
    truth_RNN: np.ndarray
    place_N2: np.ndarray
    free_N: np.ndarray


@dataclass(frozen=True)
class Picture:
    """A camera. `K` is of a picture of `width` x `height` pixels."""

    T_world_camera: np.ndarray
    K: np.ndarray
    width: int
    height: int


def any_camera(things: list[Thing], rng: np.random.Generator) -> Picture:
    """Somewhere around the things, with any lens, at any height."""
    points = np.concatenate([t.hull_P3 for t in things if not t.is_ground])
    width, height = [(160, 120), (160, 90), (120, 160), (160, 160)][int(rng.choice(4, p=[.5, .25, .1, .15]))]  # fmt: skip
    fovy = np.radians(rng.uniform(25, 75))
    elevation, azimuth = np.radians(rng.uniform(6, 82)), rng.uniform(-np.pi, np.pi)
    target = (points.min(0) + points.max(0)) / 2 + rng.normal(0, 0.05, 3)
    radius = float(np.linalg.norm(np.ptp(points, axis=0))) / 2
    distance = max(radius / np.sin(fovy / 2) * rng.uniform(0.5, 1.8), 0.3)
    flat = np.cos(elevation) * np.array([np.cos(azimuth), np.sin(azimuth)])
    eye = target + distance * np.append(flat, np.sin(elevation))
    eye[2] = max(eye[2], 0.08)
    roll = np.radians(rng.normal(0, 5))
    f = height / 2 / np.tan(fovy / 2)
    K = np.array([[f, 0, width / 2 - 0.5], [0, f, height / 2 - 0.5], [0, 0, 1]])
    return Picture(look_at(eye, target, roll), K, width, height)


def own_camera(scene: dict) -> Picture:
    """The camera of a rendered scene (512 x 384), at the size of masks that are compared."""
    K = np.array(scene["K"])
    scale = LONG_SIDE_PX / 512
    return Picture(np.array(scene["T_world_camera"]), K * [[scale], [scale], [1]], 160, 120)


def view_of(
    things: list[Thing],
    picture: Picture,
    rng: np.random.Generator,
    masks: np.ndarray | None = None,
) -> View | None:
    """What is seen of things, and what holds; None where fewer than two are seen.

    Args:
        masks: (N, h, w) bool, what is seen of each; drawn where none are given.
    """
    masks = draw(things, picture) if masks is None else masks
    seen = masks.sum((1, 2)) >= FEW_PX
    if seen[[not t.is_ground for t in things]].sum() < 2:
        return None
    masks = np.stack([_misjudged(m, rng) if s else m for m, s in zip(masks, seen, strict=True)])
    frame = rng.choice(["level", "camera", "unknown"], p=[0.72, 0.18, 0.1])
    points = [surface(t, picture, rng) for t in things]
    R = _axes(str(frame), picture, rng)
    arrangement = Arrangement(
        None if frame == "unknown" else masks, [p @ R.T for p in points],
        facing=frame != "unknown", level=frame != "camera",
    )  # fmt: skip
    count, most = len(things), MOST_THINGS
    features = np.zeros((most, most, FEATURES), np.float16)
    features[:count, :count] = pair_features(arrangement)
    truth = np.full((len(RELATIONS), most, most), UNCLEAR, np.int8)
    truth[:, :count, :count] = relations(things, picture.T_world_camera)
    places, free, padded = (
        np.zeros((most, 2), np.float32),
        np.zeros(most, bool),
        np.zeros(most, bool),
    )
    padded[:count] = seen
    free[:count] = [t.parent is None and not t.is_ground for t in things]
    places[:count] = [(t.outline_N2.min(0) + t.outline_N2.max(0)) / 2 for t in things]
    return View(features, padded, truth, places, free)


def _axes(frame: str, picture: Picture, rng: np.random.Generator) -> np.ndarray:
    """(3, 3) rows: the axes in which metres are given."""
    if frame == "camera":
        x, y, z = picture.T_world_camera[:3, :3].T
        return np.stack([x, z, -y])
    if frame == "level":
        return viewer_frame(picture.T_world_camera, _UP)
    angle = rng.uniform(-np.pi, np.pi)
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def draw(things: list[Thing], picture: Picture) -> np.ndarray:
    """(N, h, w) bool: what of each thing is seen; far things first, things in others behind rims."""
    T = np.linalg.inv(picture.T_world_camera)
    owner = np.full((picture.height, picture.width), -1, np.int16)

    def distance(n: int) -> float:
        return float(np.linalg.norm(things[n].centre_m - picture.T_world_camera[:3, 3]))

    grounds = [n for n, t in enumerate(things) if t.is_ground]
    bases = [n for n, t in enumerate(things) if t.parent is None and not t.is_ground]
    for n in grounds + sorted(bases, key=distance, reverse=True):
        hull = _filled(things[n].hull_P3, T, picture)
        owner[hull] = n
        for child in [c for c, t in enumerate(things) if t.parent == n]:
            body = _filled(things[child].hull_P3, T, picture)
            if things[child].inside:  # the wall nearer to us hides it
                half = len(things[n].hull_P3) // 2
                body &= ~hull | _filled(things[n].hull_P3[half:], T, picture)
            owner[body] = child
    return owner[None] == np.arange(len(things))[:, None, None]


def _filled(points_P3: np.ndarray, T_camera_world: np.ndarray, picture: Picture) -> np.ndarray:
    """(h, w) bool: the convex outline of points in the picture."""
    camera = points_P3 @ T_camera_world[:3, :3].T + T_camera_world[:3, 3]
    camera[:, 2] = np.maximum(camera[:, 2], 0.05)
    pixels = (camera @ picture.K.T)[:, :2] / camera[:, 2:]
    out = np.zeros((picture.height, picture.width), np.uint8)
    hull = cv2.convexHull(np.clip(pixels, -2000, 2000).astype(np.float32))
    cv2.fillConvexPoly(out, np.round(hull * 16).astype(np.int32), (1,), shift=4)
    return out > 0


def _misjudged(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The mask as a detector would err: a little large or small, an end lost, a spill."""
    out: np.ndarray = mask.astype(np.uint8)
    roll = rng.random()
    if roll < 0.25:
        out = cv2.dilate(out, np.ones((3, 3), np.uint8))
    elif roll < 0.4:
        out = cv2.erode(out, np.ones((3, 3), np.uint8))
    if rng.random() < 0.15:
        rows, columns = np.nonzero(out)
        axis = rows if rng.random() < 0.5 else columns
        if len(axis):
            low, high = np.quantile(axis, sorted([rng.uniform(0, 0.25), rng.uniform(0.75, 1)]))
            keep = (axis >= low) & (axis <= high)
            out = np.zeros_like(out)
            out[rows[keep], columns[keep]] = 1
    return out.astype(bool) if out.any() else mask


def surface(thing: Thing, picture: Picture, rng: np.random.Generator) -> np.ndarray:
    """(P, 3) world metres: what one to three cameras near this one see of a thing's surface."""
    count = 240
    unit = rng.uniform(-0.5, 0.5, (count, 3))
    normal = np.zeros((count, 3))
    side = rng.integers(0, 6, count)
    rows = np.arange(count)
    unit[rows, side % 3] = np.where(side < 3, 0.5, -0.5)
    normal[rows, side % 3] = np.where(side < 3, 1.0, -1.0)
    if thing.is_round:
        wall = side % 3 < 2
        angle = rng.uniform(0, 2 * np.pi, count)
        reach = np.where(wall, 0.5, 0.5 * np.sqrt(rng.random(count)))
        unit[:, 0], unit[:, 1] = reach * np.cos(angle), reach * np.sin(angle)
        normal[wall] = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)[wall]
    points, normals = thing.world(unit), normal @ thing.axes.T
    seen = np.zeros(count, bool)
    eye = picture.T_world_camera[:3, 3]
    for _ in range(int(rng.integers(1, 4))):
        moved = eye + rng.normal(0, 0.3, 3) * [1, 1, 0.4]
        seen |= ((moved - points) * normals).sum(1) > 0
    if seen.sum() < 12:
        seen[:] = True
    if rng.random() < 0.25:  # a part is hidden
        along = points @ rng.normal(0, 1, 3)
        part = along > np.quantile(along[seen], rng.uniform(0, 0.4))
        seen &= part if (seen & part).sum() >= 12 else True
    kept = points[seen] + rng.normal(0, 0.003, (int(seen.sum()), 3))
    if rng.random() < 0.3:  # strays at its foot
        few = kept[: max(len(kept) // 12, 1)].copy()
        few[:, :2] += rng.normal(0, 0.02, (len(few), 2))
        few[:, 2] = thing.floor_m
        kept = np.concatenate([kept, few])
    return kept


def relations(things: list[Thing], T_world_camera: np.ndarray) -> np.ndarray:
    """(R, N, N) int8, [r, a, b]: does a stand in relation r to b?"""
    count = len(things)
    solid = [n for n, t in enumerate(things) if not t.is_ground]
    bodies = [Body(things[n].outline_N2, things[n].floor_m, things[n].top_m, things[n].parent,
                   things[n].inside) for n in solid]  # fmt: skip
    judged = judge(bodies, T_world_camera)  # the ground comes last: indices agree
    out = np.zeros((len(RELATIONS), count, count), np.int8)
    for pairs, value in ((judged.unclear, UNCLEAR), (judged.clear, TRUE)):
        for a, name, b in pairs:
            out[RELATIONS.index(_JUDGED[name]), a, b] = value
    on, inside = RELATIONS.index("on"), RELATIONS.index("in")
    for n, thing in enumerate(things):
        if thing.is_ground:
            out[:, n], out[:, :, n] = UNCLEAR, UNCLEAR
            out[on, :, n] = [TRUE if t.parent is None else UNCLEAR for t in things]
            out[inside, :, n] = FALSE
    out[RELATIONS.index("under")] = out[on].T
    out[RELATIONS.index("holds")] = out[inside].T
    out[RELATIONS.index("far")] = _far(things, out[RELATIONS.index("next")])
    out[:, range(count), range(count)] = FALSE
    return out


def _far(things: list[Thing], near: np.ndarray) -> np.ndarray:
    out = np.where(near == TRUE, FALSE, UNCLEAR).astype(np.int8)
    for a, first in enumerate(things):
        for b, second in enumerate(things):
            if first.is_ground or second.is_ground:
                continue
            if first.parent == b or second.parent == a:
                out[a, b] = FALSE
            elif near[a, b] == FALSE and gap_m(first.outline_N2, second.outline_N2) > FAR_M:
                out[a, b] = TRUE
    return out
