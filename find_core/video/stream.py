"""Video, one frame at a time: when does it happen, where, and is it still the same one.

    stream = StreamLocalizer(find, "the <red cup>")
    frame = stream.update(image_rgb, stamp_ns)
    frame.relevance, frame.interval, frame.localization.entities[0].track_id, frame.events

Memory is bounded whatever the length of the stream. `find_core.video.offline` runs the same class
over files, folders and bags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from find_core.errors import FindError, PromptError
from find_core.images import check_image
from find_core.masks import split_disconnected, split_instance
from find_core.results import Entity, Instance, Localization
from find_core.video.shots import THUMBNAIL_WIDTH_PX, motion_between, thumbnail
from find_core.video.timeline import Interval, IntervalCutter, Smoother, TimelineConfig
from find_core.video.tracking import IdSource, Track, TrackChange, Tracker, TrackerConfig, stack

if TYPE_CHECKING:
    from find_core.predictor import CompiledPrompt, Find, Scene
    from find_core.prompts.prompt import Prompt


@dataclass(frozen=True)
class StreamConfig:
    """Attributes:
    timeline: smoothing and hysteresis; None: opens at the threshold, closes at 0.7 of it.
    tracker: association.
    weak: a best candidate with this part of the threshold may continue a track, not begin one.
    cut: a new shot begins where two frames are less alike than this, -1 to 1, shifts of the camera
        allowed for; None: no check.
    """

    timeline: TimelineConfig | None = None
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    weak: float = 0.6
    cut: float | None = 0.5


@dataclass(frozen=True)
class Event:
    """A target appeared or was lost.

    Attributes:
        kind: "appear" | "lost". prompt_index, entity_index: which target. label: its name.
        track_id: which one of them. time_s, stamp_ns: of the frame in which it was noticed.
        count: how many of this entity are followed now; 1 after "appear": the first one came;
            0 after "lost": the last one went.
    """

    kind: str
    prompt_index: int
    entity_index: int
    label: str
    track_id: int
    time_s: float
    stamp_ns: int
    count: int

    def to_json(self) -> dict[str, Any]:
        return dict(self.__dict__) | {"time_s": round(self.time_s, 6)}


@dataclass(frozen=True, eq=False)
class PromptFrame:
    """One prompt's answer in one frame.

    Attributes:
        localization: entities and instances with `track_id`. An entity is the instance whose
            track was the best candidate in most of the last frames, so that it does not flicker
            between look-alikes; the other instances follow by score.
        relevance_raw: of this frame alone, [0, 1]. relevance: smoothed with the past.
        interval: the relevant stretch that lasts now, None outside.
        closed: the stretch that ended with this frame, None mostly.
    """

    localization: Localization
    relevance_raw: float
    relevance: float
    interval: Interval | None
    closed: Interval | None


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """All prompts' answers in one frame; the properties speak of the first prompt.

    Attributes:
        index: frames since the start or `reset`. stamp_ns, time_s: the frame's, time_s counted
            from the first frame's stamp. cut: a new shot begins here.
        prompts: one per prompt, in order. events: of all prompts.
    """

    index: int
    stamp_ns: int
    time_s: float
    cut: bool
    prompts: tuple[PromptFrame, ...]
    events: tuple[Event, ...]

    @property
    def localization(self) -> Localization:
        return self.prompts[0].localization

    @property
    def relevance_raw(self) -> float:
        return self.prompts[0].relevance_raw

    @property
    def relevance(self) -> float:
        return self.prompts[0].relevance

    @property
    def interval(self) -> Interval | None:
        return self.prompts[0].interval

    def to_json(self, prompt_index: int = 0) -> dict[str, Any]:
        """The line of `localizations.jsonl` (schemas/localization.schema.json)."""
        answer = self.prompts[prompt_index]
        line = {"frame_index": self.index, "time_s": round(self.time_s, 6)}
        line |= {"prompt_index": prompt_index, "cut": self.cut}
        return line | answer.localization.to_json()


class StreamLocalizer:
    """Localizes prompts in a stream of frames and follows what it finds.

    Args:
        find: a loaded `Find`.
        prompts: one prompt or several (str, `Prompt` or `CompiledPrompt`).
        threshold: score at which a thing counts as found; None: the model's own.
        config: smoothing, tracking, cuts.
        fast: object-level matching only (`Scene.localize(fast=True)`).

    One object serves one stream, from one thread at a time.
    """

    def __init__(
        self,
        find: Find,
        prompts: Prompt | str | CompiledPrompt | Sequence[Prompt | str | CompiledPrompt],
        *,
        threshold: float | None = None,
        config: StreamConfig | None = None,
        fast: bool = False,
    ) -> None:
        self.find, self.fast = find, fast
        self.config = config or StreamConfig()
        self.set_threshold(threshold)
        self.set_prompts(prompts)

    def set_threshold(self, threshold: float | None) -> None:
        """Change the score at which things count as found, from the next frame on."""
        if threshold is not None and not 0 <= threshold <= 1:
            raise FindError(f"A threshold lies between 0 and 1, got {threshold}.")
        self.threshold = threshold
        level = threshold if threshold is not None else _threshold_of(self.find)
        self._level = level
        self.timeline = self.config.timeline or TimelineConfig(enter=level, leave=0.7 * level)

    def set_prompts(self, prompts: Any) -> None:
        """Look for something else from the next frame on; starts the stream anew."""
        several = isinstance(prompts, list | tuple)
        self.prompts: list[CompiledPrompt] = [
            self.find.compile(p) if _is_plain(p) else p for p in (prompts if several else [prompts])
        ]
        if not self.prompts:
            raise PromptError("No prompt was given: e.g. StreamLocalizer(find, 'the <red cup>').")
        self.reset()

    set_prompt = set_prompts

    def reset(self) -> None:
        """Forget all frames; track ids go on counting, so that none is ever used twice."""
        ids = getattr(self, "_ids", None) or IdSource()
        self._ids = ids
        self._followers = [
            _Follower(n, prompt, self.timeline, self.config, self._level, ids)
            for n, prompt in enumerate(self.prompts)
        ]
        self._index = 0
        self._first_ns: int | None = None
        self._last_ns: int | None = None
        self._thumbnail: np.ndarray | None = None
        self._stalled = False

    def update(
        self, image_rgb: np.ndarray, stamp_ns: int, *, scene: Scene | None = None
    ) -> VideoFrame:
        """Take the next frame.

        Args:
            image_rgb: (H, W, 3) uint8 RGB.
            stamp_ns: its time in nanoseconds. A stamp before the last one, or more than
                `TimelineConfig.break_s` after it, begins anew (a bag that loops, a stalled camera).
            scene: the encoded image, when the caller has it already.

        Raises:
            ImageError: not (H, W, 3) uint8.
        """
        image_rgb = check_image(image_rgb, "Frame")
        time_s = self._begin_frame(int(stamp_ns))
        cut = self._take_picture(image_rgb) or self._stalled
        scene = scene if scene is not None else self.find.encode(image_rgb)
        found = scene.localize_many(self.prompts, threshold=self.threshold, fast=self.fast)
        answers, events = [], []
        for follower, localization in zip(self._followers, found, strict=True):
            answer, changed = follower.update(localization, time_s, int(stamp_ns), cut)
            answers.append(answer)
            events += changed
        frame = VideoFrame(
            self._index, int(stamp_ns), time_s, cut, tuple(answers), tuple(events)
        )  # fmt: skip
        self._index += 1
        return frame

    def _begin_frame(self, stamp_ns: int) -> float:
        """Keep the clock; seconds since the first frame."""
        last, self._last_ns = self._last_ns, stamp_ns
        if last is not None and stamp_ns < last:  # time ran backwards: another recording
            index = self._index
            self.reset()
            self._index, self._last_ns = index, stamp_ns
        first = self._first_ns = stamp_ns if self._first_ns is None else self._first_ns
        self._stalled = last is not None and stamp_ns - last > self.timeline.break_s * 1e9
        return (stamp_ns - first) * 1e-9

    def _take_picture(self, image_rgb: np.ndarray) -> bool:
        """Let the tracks follow the camera's own motion; True where a new shot begins."""
        before, self._thumbnail = self._thumbnail, thumbnail(image_rgb)
        if before is None:
            return False
        motion = motion_between(before, self._thumbnail)
        if self.config.cut is not None and motion.likeness < self.config.cut:
            return True
        scale = image_rgb.shape[1] / THUMBNAIL_WIDTH_PX
        for follower in self._followers:
            follower.shift(motion.shift_px[0] * scale, motion.shift_px[1] * scale)
        return False

    def state(self) -> dict[str, Any]:
        """Plain JSON with which `restore` continues as if the stream had never stopped."""
        seen = None if self._thumbnail is None else self._thumbnail.tolist()
        clock = {"index": self._index, "first_ns": self._first_ns, "last_ns": self._last_ns}
        followers = [follower.state() for follower in self._followers]
        return clock | {"last_id": self._ids.last, "thumbnail": seen, "followers": followers}

    def restore(self, state: dict[str, Any]) -> None:
        self._index, self._first_ns = state["index"], state["first_ns"]
        self._last_ns, self._ids.last = state["last_ns"], state["last_id"]
        seen = state["thumbnail"]
        self._thumbnail = None if seen is None else np.array(seen, np.float32)
        for follower, saved in zip(self._followers, state["followers"], strict=True):
            follower.restore(saved)


class _Follower:
    """Smoothing, intervals and one tracker per entity, for one prompt."""

    def __init__(
        self,
        prompt_index: int,
        prompt: CompiledPrompt,
        timeline: TimelineConfig,
        config: StreamConfig,
        level: float,
        ids: IdSource,
    ) -> None:
        self.prompt_index, self.config, self.level = prompt_index, config, level
        self.smoother, self.cutter = Smoother(timeline.smooth_s), IntervalCutter(timeline)
        self.trackers = [Tracker(config.tracker, ids) for _ in prompt.entity_embeddings]
        self.targets: list[int | None] = [None] * len(self.trackers)

    def shift(self, dx_px: float, dy_px: float) -> None:
        for tracker in self.trackers:
            tracker.shift(dx_px, dy_px)

    def update(
        self, localization: Localization, time_s: float, stamp_ns: int, cut: bool
    ) -> tuple[PromptFrame, list[Event]]:
        closed = None
        if cut:
            closed = self.cutter.finish()
            self.smoother.reset()
        entities, events = [], []
        for k, (entity, tracker) in enumerate(zip(localization, self.trackers, strict=True)):
            if cut:
                tracker.cut()
            entity, changes = self._follow(k, entity, tracker, time_s, localization.separated)
            entities.append(entity)
            events += [
                Event(c.kind, self.prompt_index, k, entity.label, c.track_id, time_s, stamp_ns, n)
                for n, c in _counted(changes, tracker.live_count)
            ]
        raw = float(localization.relevance)
        smooth = self.smoother.update(time_s, raw)
        closed = self.cutter.update(time_s, smooth) or closed
        localization = replace(localization, entities=tuple(entities))
        return PromptFrame(localization, raw, smooth, self.cutter.open, closed), events

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
        weak = not found and entity.score >= self.config.weak * self.level and entity.mask.any()
        candidates = found
        if weak:
            candidates = [entity if separated else split_instance(entity)[0]]
        width = len(entity.embedding)
        owners, changes = tracker.update(
            stack([c.box_xyxy for c in candidates], 4),
            np.array([c.score for c in candidates]),
            stack([c.embedding for c in candidates], width),
            time_s,
            np.full(len(candidates), weak),
        )
        if weak:
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
        return owner.votes + (0.25 if owner.id and owner.id == self.targets[k] else 0.0)

    def state(self) -> dict[str, Any]:
        smoother = [self.smoother.time_s, self.smoother.value]
        trackers = [tracker.state() for tracker in self.trackers]
        saved = {"smoother": smoother, "cutter": self.cutter.state()}
        return saved | {"trackers": trackers, "targets": self.targets}

    def restore(self, state: dict[str, Any]) -> None:
        self.smoother.time_s, self.smoother.value = state["smoother"]
        self.cutter.restore(state["cutter"])
        self.targets = list(state["targets"])
        for tracker, saved in zip(self.trackers, state["trackers"], strict=True):
            tracker.restore(saved)


def _index_of(entity: Entity, found: Sequence[Instance]) -> int:
    """Which of the instances is the frame's own best candidate."""
    shared = [np.count_nonzero(instance.mask & entity.mask) for instance in found]
    return int(np.argmax(shared))


def _vote(owners: Sequence[Track | None], chosen: int) -> None:
    """Each frame's best candidate is a vote for its track; old votes fade."""
    for n, owner in enumerate(owners):
        if owner is not None:
            owner.votes += 0.3 * (float(n == chosen) - owner.votes)


def _id_of(owner: Track | None) -> int | None:
    return owner.id if owner is not None and owner.id else None


def _counted(changes: Sequence[TrackChange], live_after: int) -> list[tuple[int, TrackChange]]:
    """Each change with the number followed right after it."""
    steps = [1 if change.kind == "appear" else -1 for change in changes]
    live = live_after - sum(steps)
    return [(live + sum(steps[: n + 1]), change) for n, change in enumerate(changes)]


def _threshold_of(find: Find) -> float:
    return float(find.config.threshold)


def _is_plain(prompt: Any) -> bool:
    return isinstance(prompt, str) or not hasattr(prompt, "entity_embeddings")
