"""What a stream answers: one `VideoFrame` a frame, with one `PromptFrame` a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from find_core.results import Localization
from find_core.video.timeline import Interval


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
            from the first frame's stamp. scene_change: a new shot begins here, or the camera stalled.
        prompts: one per prompt, in order. events: of all prompts.
    """

    index: int
    stamp_ns: int
    time_s: float
    scene_change: bool
    prompts: tuple[PromptFrame, ...]
    events: tuple[Event, ...]

    @property
    def cut(self) -> bool:
        """`scene_change`, as JSON calls it."""
        return self.scene_change

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
        line |= {"prompt_index": prompt_index, "cut": self.scene_change}
        return line | answer.localization.to_json()
