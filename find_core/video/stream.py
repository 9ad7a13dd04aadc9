"""Video, one frame at a time: when does it happen, where, and is it still the same one.

    stream = StreamLocalizer(find, "the <red cup>")
    frame = stream.update(image_rgb, stamp_ns)
    frame.relevance, frame.interval, frame.localization.entities[0].track_id, frame.events

Memory is bounded whatever the length of the stream. `find_core.video.offline` runs the same class
over files, folders and bags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from find_core.errors import PromptError
from find_core.images import check_image
from find_core.prompts.prompt import Prompt
from find_core.protocols import CompiledLike, FindLike, LocalizedImage
from find_core.support.numbers import check_threshold
from find_core.video.follower import Follower, StreamConfig
from find_core.video.frame_results import Event, PromptFrame, VideoFrame
from find_core.video.shots import THUMBNAIL_WIDTH_PX, motion_between, thumbnail
from find_core.video.timeline import TimelineConfig
from find_core.video.tracking import IdSource

AnyPrompt = str | Prompt | CompiledLike

__all__ = ["Event", "PromptFrame", "StreamConfig", "StreamLocalizer", "VideoFrame"]


class StreamLocalizer:
    """Localizes prompts in a stream of frames and follows what it finds.

    Args:
        find: a loaded `Find`, or what can stand in for one (`find_core.protocols.FindLike`).
        prompts: one prompt or several (str, `Prompt` or `CompiledPrompt`).
        threshold: score at which an object counts as found; None: the model's own.
        config: smoothing, tracking, scene changes.
        fast: object-level matching only (`Scene.localize(fast=True)`).

    One object serves one stream, from one thread at a time.
    """

    def __init__(
        self,
        find: FindLike[LocalizedImage],
        prompts: AnyPrompt | Sequence[AnyPrompt],
        *,
        threshold: float | None = None,
        config: StreamConfig | None = None,
        fast: bool = False,
    ) -> None:
        self.find, self.fast = find, fast
        self.config = config or StreamConfig()
        self._ids = IdSource()
        self._followers: list[Follower] = []
        self.set_threshold(threshold)
        self.set_prompts(prompts)

    def set_threshold(self, threshold: float | None) -> None:
        """Change the score at which objects count as found, from the next frame on.

        Tracks and open intervals go on.

        Args:
            threshold: in [0, 1]; None: the model's own.

        Raises:
            FindError: outside [0, 1].
        """
        self.threshold = check_threshold(threshold)
        self._level = float(self.find.config.threshold if threshold is None else threshold)
        usual = TimelineConfig(enter=self._level, leave=0.7 * self._level)
        self.timeline = self.config.timeline or usual
        for follower in self._followers:
            follower.set_threshold(self._level, self.timeline)

    def set_prompts(self, prompts: AnyPrompt | Sequence[AnyPrompt]) -> None:
        """Look for something else from the next frame on; starts the stream anew.

        Raises:
            PromptError: none was given, or one is malformed.
        """
        given: Sequence[AnyPrompt] = prompts if isinstance(prompts, list | tuple) else [prompts]  # type: ignore[list-item]
        self.prompts: list[CompiledLike] = [
            self.find.compile(p) if isinstance(p, str | Prompt) else p for p in given
        ]
        if not self.prompts:
            raise PromptError("No prompt was given: e.g. StreamLocalizer(find, 'the <red cup>').")
        self.reset()

    set_prompt = set_prompts

    def reset(self) -> None:
        """Forget all frames; track ids go on counting, so that none is ever used twice."""
        self._followers = [
            Follower(n, prompt, self.timeline, self.config, self._level, self._ids)
            for n, prompt in enumerate(self.prompts)
        ]
        self._index = 0
        self._first_ns: int | None = None
        self._last_ns: int | None = None
        self._thumbnail: np.ndarray | None = None
        self._stalled = False

    def update(
        self, image_rgb: np.ndarray, stamp_ns: int, *, scene: LocalizedImage | None = None
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
        scene_change = self._take_thumbnail(image_rgb) or self._stalled
        scene = scene if scene is not None else self.find.encode(image_rgb)
        found = scene.localize_many(self.prompts, threshold=self.threshold, fast=self.fast)
        answers, events = [], []
        for follower, localization in zip(self._followers, found, strict=True):
            answer, changed = follower.update(localization, time_s, int(stamp_ns), scene_change)
            answers.append(answer)
            events += changed
        frame = VideoFrame(
            self._index, int(stamp_ns), time_s, scene_change, tuple(answers), tuple(events)
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

    def _take_thumbnail(self, image_rgb: np.ndarray) -> bool:
        """Let the tracks follow the camera's own motion; True where a new shot begins."""
        before, self._thumbnail = self._thumbnail, thumbnail(image_rgb)
        if before is None:
            return False
        motion = motion_between(before, self._thumbnail)
        if self.config.scene_change is not None and motion.similarity < self.config.scene_change:
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
