"""One prompt through time: its smoothed relevance, its intervals, and the tracks of its entities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from find_core.masks import split_disconnected, split_instance
from find_core.protocols import CompiledLike
from find_core.results import Entity, Instance, Localization
from find_core.support.moved import keep_old_arguments
from find_core.video.frame_results import Event, PromptFrame
from find_core.video.timeline import IntervalSegmenter, Smoother, TimelineConfig
from find_core.video.tracking import IdSource, Track, TrackChange, Tracker, TrackerConfig, stack


@keep_old_arguments(weak="low_score_ratio", cut="scene_change")
@dataclass(frozen=True)
class StreamConfig:
    """How a stream is smoothed, followed and divided into shots.

    Attributes:
        timeline: smoothing and hysteresis; None: opens at the threshold, closes at 0.7 of it.
        tracker: association.
        low_score_ratio: a best candidate with this part of the threshold may continue a track, not
            begin one.
        scene_change: a new shot begins where two frames are less alike than this, -1 to 1, shifts
            of the camera allowed for; None: no check.
    """

    timeline: TimelineConfig | None = None
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    low_score_ratio: float = 0.6
    scene_change: float | None = 0.5


class Follower:
    """Smoothing, intervals and one tracker per entity, for one prompt.

    Args:
        level: score in [0, 1] from which an entity counts as found. ids: shared by a stream.
    """

    def __init__(
        self,
        prompt_index: int,
        prompt: CompiledLike,
        timeline: TimelineConfig,
        config: StreamConfig,
        level: float,
        ids: IdSource,
    ) -> None:
        self.prompt_index, self.config, self.level = prompt_index, config, level
        self.smoother, self.segmenter = Smoother(timeline.smooth_s), IntervalSegmenter(timeline)
        self.trackers = [Tracker(config.tracker, ids) for _ in prompt.entity_embeddings]
        self.targets: list[int | None] = [None] * len(self.trackers)

    def set_threshold(self, level: float, timeline: TimelineConfig) -> None:
        """From the next frame on; tracks, the smoothed curve and an open interval go on."""
        self.level, self.segmenter.config = level, timeline
        self.smoother.smooth_s = timeline.smooth_s

    def shift(self, dx_px: float, dy_px: float) -> None:
        for tracker in self.trackers:
            tracker.shift(dx_px, dy_px)

    def update(
        self, localization: Localization, time_s: float, stamp_ns: int, scene_change: bool
    ) -> tuple[PromptFrame, list[Event]]:
        closed = None
        if scene_change:
            closed = self.segmenter.finish()
            self.smoother.reset()
        entities, events = [], []
        for k, (entity, tracker) in enumerate(zip(localization, self.trackers, strict=True)):
            if scene_change:
                tracker.scene_change()
            entity, changes = self._follow(k, entity, tracker, time_s, localization.separated)
            entities.append(entity)
            events += [
                Event(c.kind, self.prompt_index, k, entity.label, c.track_id, time_s, stamp_ns, n)
                for n, c in _counted(changes, tracker.active_count)
            ]
        raw = float(localization.relevance)
        smooth = self.smoother.update(time_s, raw)
        closed = self.segmenter.update(time_s, smooth) or closed
        localization = replace(localization, entities=tuple(entities))
        return PromptFrame(localization, raw, smooth, self.segmenter.open, closed), events

    def _follow(
        self, k: int, entity: Entity, tracker: Tracker, time_s: float, separated: bool
    ) -> tuple[Entity, list[TrackChange]]:
        """Give the instances of entity `k` their track ids; the entity is the steadiest of them.

        Args:
            separated: the scene has taken the masks apart already.
        """
        found = list(entity.instances) if entity.found else []
        if not separated:
            found = split_disconnected(found)
        least = self.config.low_score_ratio * self.level
        low_score = not found and entity.score >= least and entity.mask.any()
        candidates = found
        if low_score:
            candidates = [entity if separated else split_instance(entity)[0]]
        width = len(entity.embedding)
        owners, changes = tracker.update(
            stack([c.box_xyxy for c in candidates], 4),
            np.array([c.score for c in candidates]),
            stack([c.embedding for c in candidates], width),
            time_s,
            np.full(len(candidates), low_score),
        )
        if low_score:
            return replace(entity, track_id=_id_of(owners[0])), changes
        if not found:
            return entity, changes
        _vote(owners, chosen=_index_of(entity, found))
        order = sorted(range(len(found)), key=lambda n: -found[n].score)
        first = max(order, key=lambda n: self._claim(k, owners[n]))
        self.targets[k] = _id_of(owners[first])
        order.sort(key=lambda n: n != first)
        instances = tuple(replace(found[n], track_id=_id_of(owners[n])) for n in order)
        best = {k: getattr(instances[0], k) for k in ("score", "mask", "box_xyxy", "embedding")}
        return replace(entity, track_id=instances[0].track_id, instances=instances, **best), changes

    def _claim(self, k: int, owner: Track | None) -> float:
        """How strongly a track claims to be entity `k`; the one that is it now has an advantage."""
        if owner is None:
            return 0.0
        return owner.selected_rate + (0.25 if owner.id and owner.id == self.targets[k] else 0.0)

    def state(self) -> dict[str, Any]:
        smoother = [self.smoother.time_s, self.smoother.value]
        trackers = [tracker.state() for tracker in self.trackers]
        saved = {"smoother": smoother, "segmenter": self.segmenter.state()}
        return saved | {"trackers": trackers, "targets": self.targets}

    def restore(self, state: dict[str, Any]) -> None:
        self.smoother.time_s, self.smoother.value = state["smoother"]
        self.segmenter.restore(state["segmenter"])
        self.targets = list(state["targets"])
        for tracker, saved in zip(self.trackers, state["trackers"], strict=True):
            tracker.restore(saved)


def _index_of(entity: Entity, found: Sequence[Instance]) -> int:
    """Which of the instances is the frame's own best candidate."""
    shared = [np.count_nonzero(instance.mask & entity.mask) for instance in found]
    return int(np.argmax(shared))


def _vote(owners: Sequence[Track | None], chosen: int) -> None:
    """Each frame's best candidate is a vote for its track; old selected_rate fade."""
    for n, owner in enumerate(owners):
        if owner is not None:
            owner.selected_rate += 0.3 * (float(n == chosen) - owner.selected_rate)


def _id_of(owner: Track | None) -> int | None:
    return owner.id if owner is not None and owner.id else None


def _counted(changes: Sequence[TrackChange], active_after: int) -> list[tuple[int, TrackChange]]:
    """Each change with the number followed right after it."""
    steps = [1 if change.kind == "appear" else -1 for change in changes]
    active = active_after - sum(steps)
    return [(active + sum(steps[: n + 1]), change) for n, change in enumerate(changes)]
