"""Which one: track ids for the instances of one entity.

Each frame's candidates are assigned to the tracks by one Hungarian match over box overlap with the
predicted position, distance, and cosine of FIND's own object embeddings. Well-kept trackers were
looked at first (2026-11): `trackers` associates by boxes alone and requires numpy 2 and the GUI
build of OpenCV, which nerfstudio excludes; supervision has dropped its tracker; norfair has had no
release since 2025-04. The solver (scipy) and the filter (OpenCV) are theirs, the cost is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from find_core.support.moved import keep_old_arguments


@keep_old_arguments(
    forget_s="max_age_s",
    confirm_hits="min_hits",
    reach="gate",
    reach_per_s="gate_growth",
    max_reach="max_gate",
    anywhere_cosine="reid_threshold",
)
@dataclass(frozen=True)
class TrackerConfig:
    """How candidates are assigned to tracks.

    Attributes:
        lost_s: a track unseen for this long is lost (an event), but can still be found again.
        max_age_s: a lost track unseen for this long is forgotten; bounds the memory.
        min_hits: frames a candidate must be seen in before it gets an id (1 on the first frame).
        gate: how far, in box diagonals, a candidate may lie from where its track is expected.
        gate_growth: by how many diagonals the gate grows with every second unseen, up to
            `max_gate`.
        min_cosine: candidates less alike than this are never the same object.
        reid_threshold: cosine from which a candidate is taken up again wherever it shows (after a
            scene change).
        max_tracks: the longest unseen go first beyond this.
    """

    lost_s: float = 0.6
    max_age_s: float = 10.0
    min_hits: int = 2
    gate: float = 0.7
    gate_growth: float = 1.5
    max_gate: float = 4.0
    min_cosine: float = 0.4
    reid_threshold: float = 0.9
    max_tracks: int = 64


@dataclass
class Track:
    """One object through time.

    Attributes:
        kalman: state (x, y, w, h, vx, vy) in pixels and pixels per second.
        embedding: (D,) unit, moving average. diagonal_px: of its box; shrinks only slowly, so that
            a half hidden object can still be met where it comes out. id: 0 until confirmed.
        score: moving average of its scores. seen_s: when it was last seen. hits: how often.
        active: confirmed and not lost.
        position_known: False after a scene change, when its position means nothing.
        selected_rate: how often, of late, it was its entity's best candidate, 0 to 1 (kept by the
            caller).
    """

    kalman: cv2.KalmanFilter = field(repr=False)
    embedding: np.ndarray = field(repr=False)
    diagonal_px: float
    score: float
    seen_s: float
    id: int = 0
    hits: int = 1
    active: bool = False
    position_known: bool = True
    selected_rate: float = 0.0

    @property
    def center_size(self) -> np.ndarray:
        """(4,) expected (x, y, w, h), pixels."""
        return self.kalman.statePost[:4, 0]


@dataclass(frozen=True)
class TrackChange:
    """A track appeared or was lost. kind: "appear" | "lost"."""

    kind: str
    track_id: int
    time_s: float


class IdSource:
    """Counts track ids from 1, shared by the trackers of one stream."""

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def next(self) -> int:
        self.last += 1
        return self.last


class Tracker:
    """Track ids for the candidates of one entity; memory bounded by `max_tracks`."""

    def __init__(self, config: TrackerConfig | None = None, ids: IdSource | None = None) -> None:
        self.config = config or TrackerConfig()
        self.ids = ids or IdSource()
        self.tracks: list[Track] = []
        self._time_s: float | None = None

    def update(
        self,
        boxes_xyxy: np.ndarray,
        scores: np.ndarray,
        embeddings: np.ndarray,
        time_s: float,
        low_score: np.ndarray | None = None,
    ) -> tuple[list[Track | None], list[TrackChange]]:
        """Assign one frame's candidates.

        Args:
            boxes_xyxy: (N, 4) pixel edges. scores: (N,). embeddings: (N, D) unit vectors.
            time_s: seconds, not before the last call's.
            low_score: (N,) bool, candidates of low score: they may continue a track, not begin one.

        Returns:
            each candidate's track (None for one of low score without; its `id` is 0 until confirmed),
            and what appeared or was lost in this frame.
        """
        first = self._time_s is None
        self._predict(time_s)
        owners: list[Track | None] = [None] * len(boxes_xyxy)
        changes = []
        for t, n in self._match(boxes_xyxy, embeddings, time_s):
            owners[n] = self.tracks[t]
            self._continue(self.tracks[t], boxes_xyxy[n], float(scores[n]), embeddings[n], time_s)
        for n, owner in enumerate(owners):
            if owner is None and not (low_score is not None and low_score[n]):
                owners[n] = self._begin(boxes_xyxy[n], float(scores[n]), embeddings[n], time_s)
        for track in (o for o in owners if o is not None):
            if not track.active and (first or track.id or track.hits >= self.config.min_hits):
                track.id, track.active = track.id or self.ids.next(), True
                changes.append(TrackChange("appear", track.id, time_s))
        return owners, changes + self._prune(time_s)

    def shift(self, dx_px: float, dy_px: float) -> None:
        """The camera turned: everything is expected so many pixels further on."""
        if dx_px or dy_px:
            for track in self.tracks:
                state: np.ndarray = track.kalman.statePost
                state[:2, 0] = state[:2, 0] + np.array((dx_px, dy_px))

    def scene_change(self) -> None:
        """A new shot begins: positions mean nothing any more, only likeness does."""
        for track in self.tracks:
            track.position_known = False

    @property
    def active_count(self) -> int:
        return sum(track.active for track in self.tracks)

    def _predict(self, time_s: float) -> None:
        step_s = 0.0 if self._time_s is None else min(max(time_s - self._time_s, 0.0), 1.0)
        self._time_s = time_s
        for track in self.tracks:
            if time_s - track.seen_s > self.config.lost_s:
                track.kalman.statePost[4:] = 0  # unseen for long: it rests where it was expected
            predict(track.kalman, step_s)

    def _match(
        self, boxes_xyxy: np.ndarray, embeddings: np.ndarray, time_s: float
    ) -> list[tuple[int, int]]:
        """Pairs (track, candidate) of least total cost among those that are possible."""
        if not self.tracks or not len(boxes_xyxy):
            return []
        cost = self._cost(boxes_xyxy, embeddings, time_s)
        finite = np.where(np.isfinite(cost), cost, 1e3)
        rows, cols = linear_sum_assignment(finite)
        return [
            (int(t), int(n)) for t, n in zip(rows, cols, strict=True) if np.isfinite(cost[t, n])
        ]

    def _cost(self, boxes_xyxy: np.ndarray, embeddings: np.ndarray, time_s: float) -> np.ndarray:
        """(T, N) cost of giving candidate n to track t; inf where it cannot be."""
        config = self.config
        expected = np.stack([track.center_size for track in self.tracks]).astype(np.float64)
        unseen_s = np.array([time_s - track.seen_s for track in self.tracks])[:, None]
        position_known = np.array([track.position_known for track in self.tracks])[:, None]
        cosine = np.stack([track.embedding for track in self.tracks]) @ np.asarray(embeddings).T
        found = to_center_size(boxes_xyxy)
        diagonal = np.array([max(track.diagonal_px, 8.0) for track in self.tracks])[:, None]
        away = np.hypot(*(expected[:, None, :2] - found[None, :, :2]).transpose(2, 0, 1))
        gate = np.minimum(config.gate + config.gate_growth * unseen_s, config.max_gate)
        away = away / (diagonal * gate)
        near = position_known & (away <= 1) & (cosine >= config.min_cosine)
        apart = 1 - box_iou(to_xyxy(expected), np.asarray(boxes_xyxy, np.float64))
        # Tracks seen a moment ago go first: an old one may only take what they leave.
        cost = 0.5 * apart + 0.3 * away + 0.5 * (1 - cosine) + 0.3 * np.minimum(unseen_s, 1.0)
        cost = np.where(near, cost, np.inf)
        anywhere = ~position_known & (cosine >= config.reid_threshold)
        return np.where(anywhere, 2.0 + (1 - cosine), cost)

    def _begin(
        self, box_xyxy: np.ndarray, score: float, embedding: np.ndarray, time_s: float
    ) -> Track:
        kalman, embedding = new_kalman(box_xyxy), np.array(embedding, np.float64)
        track = Track(kalman, embedding, diagonal_of(box_xyxy), score, time_s)
        self.tracks.append(track)
        return track

    def _continue(
        self, track: Track, box_xyxy: np.ndarray, score: float, embedding: np.ndarray, time_s: float
    ) -> None:
        if not track.position_known:
            track.kalman, track.position_known = new_kalman(box_xyxy), True
        correct(track.kalman, box_xyxy)
        mixed = 0.9 * track.embedding + 0.1 * np.asarray(embedding)
        track.embedding = mixed / max(float(np.linalg.norm(mixed)), 1e-9)
        track.diagonal_px = max(diagonal_of(box_xyxy), 0.98 * track.diagonal_px)
        track.score += 0.3 * (score - track.score)
        track.seen_s, track.hits = time_s, track.hits + 1

    def _prune(self, time_s: float) -> list[TrackChange]:
        """Report what was lost, forget what has been unseen for too long."""
        changes, kept = [], []
        for track in self.tracks:
            unseen_s = time_s - track.seen_s
            if track.active and unseen_s > self.config.lost_s:
                track.active = False
                changes.append(TrackChange("lost", track.id, time_s))
            # A candidate seen only once is noise unless it shows again at once.
            patience_s = self.config.max_age_s if track.id else self.config.lost_s
            if unseen_s <= patience_s:
                kept.append(track)
        kept.sort(key=lambda track: -track.seen_s)
        self.tracks = kept[: self.config.max_tracks]
        return changes

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on as if nothing had happened, as plain JSON."""
        return {"time_s": self._time_s, "tracks": [_track_to_json(t) for t in self.tracks]}

    def restore(self, state: dict[str, Any]) -> None:
        self._time_s = state["time_s"]
        self.tracks = [_track_from_json(t) for t in state["tracks"]]


def new_kalman(box_xyxy: np.ndarray) -> cv2.KalmanFilter:
    """Constant velocity for the centre, constant size; float64, pixels and seconds."""
    kalman = cv2.KalmanFilter(6, 4, 0, cv2.CV_64F)
    kalman.measurementMatrix = np.eye(4, 6)
    kalman.statePost = np.vstack([to_center_size(np.asarray(box_xyxy)[None]).T, np.zeros((2, 1))])
    size = max(float(np.hypot(*kalman.statePost[2:4, 0])), 1.0)
    kalman.errorCovPost = np.diag([0.05, 0.05, 0.1, 0.1, 1.0, 1.0]) ** 2 * size**2
    return kalman


def predict(kalman: cv2.KalmanFilter, step_s: float) -> None:
    """Move the state `step_s` seconds on."""
    if step_s <= 0:
        return
    size = max(float(np.hypot(*kalman.statePost[2:4, 0])), 1.0)
    transition = np.eye(6)
    transition[0, 4] = transition[1, 5] = step_s
    kalman.transitionMatrix = transition
    # Spectral densities in diagonals: hands and cameras change speed by about one each second.
    kalman.processNoiseCov = np.diag([0.02, 0.02, 0.1, 0.1, 1.0, 1.0]) ** 2 * size**2 * step_s
    kalman.predict()
    kalman.statePost, kalman.errorCovPost = kalman.statePre.copy(), kalman.errorCovPre.copy()


def correct(kalman: cv2.KalmanFilter, box_xyxy: np.ndarray) -> None:
    """Take a measured box in."""
    measured = to_center_size(np.asarray(box_xyxy, np.float64)[None]).T
    size = max(float(np.hypot(*measured[2:, 0])), 1.0)
    kalman.measurementNoiseCov = np.diag([0.04, 0.04, 0.08, 0.08]) ** 2 * size**2
    kalman.correct(np.ascontiguousarray(measured))


def diagonal_of(box_xyxy: np.ndarray) -> float:
    return float(np.hypot(box_xyxy[2] - box_xyxy[0], box_xyxy[3] - box_xyxy[1]))


def to_center_size(boxes_xyxy: np.ndarray) -> np.ndarray:
    """(N, 4) edges -> (N, 4) centre x, y and width, height."""
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    return np.hstack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]])


def to_xyxy(center_size: np.ndarray) -> np.ndarray:
    """Inverse of `to_center_size`."""
    half = center_size[:, 2:] / 2
    return np.hstack([center_size[:, :2] - half, center_size[:, :2] + half])


def box_iou(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> np.ndarray:
    """(A, 4) and (B, 4) pixel edges -> (A, B) intersection over union; 0 for empty boxes."""
    low = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    high = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(-1)
    area_a = np.clip(a_xyxy[:, 2:] - a_xyxy[:, :2], 0, None).prod(-1)
    area_b = np.clip(b_xyxy[:, 2:] - b_xyxy[:, :2], 0, None).prod(-1)
    return inside / np.maximum(area_a[:, None] + area_b[None] - inside, 1e-9)


_PLAIN = (
    "diagonal_px",
    "score",
    "seen_s",
    "id",
    "hits",
    "active",
    "position_known",
    "selected_rate",
)


def _track_to_json(track: Track) -> dict[str, Any]:
    plain = {k: getattr(track, k) for k in _PLAIN}
    return plain | {
        "embedding": track.embedding.tolist(),
        "state": track.kalman.statePost.tolist(),
        "covariance": track.kalman.errorCovPost.tolist(),
    }


def _track_from_json(data: dict[str, Any]) -> Track:
    kalman = new_kalman(np.zeros(4))
    kalman.statePost = np.array(data["state"], np.float64)
    kalman.errorCovPost = np.array(data["covariance"], np.float64)
    plain = {k: data[k] for k in _PLAIN}
    return Track(kalman, np.array(data["embedding"], np.float64), **plain)


def stack(rows: Sequence[np.ndarray], width: int) -> np.ndarray:
    """(N, width) float64 of N vectors, also when N is 0."""
    return np.array(rows, np.float64).reshape(-1, width)
