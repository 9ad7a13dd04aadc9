"""Camera, video or folder with a model in this process, as the page's source."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from find_core.errors import FindError
from find_core.page.source import Finding, Moment, PageError, TakeMoment, sizes_around
from find_core.prompts.prompt import Prompt
from find_core.protocols import CompiledLike, FindLike, LocalizedImage
from find_core.results import Localization
from find_core.video.sources.base import Source, SourceFrame
from find_core.video.stream import StreamLocalizer, VideoFrame

LATE_S = 0.1
"""A frame of a recording that is so late is left out, as a camera's would be."""
SLIP_S = 1.0
"""A recording that cannot be read in its own time is played slower."""
SHORTEST_S = 0.2
"""One picture alone is shown again after so long."""
RETRY_S = 2.0
END_S = 10.0


class StreamSource:
    """Frames of a source, localized as fast as the model goes.

    Recordings are played in their own time, again and again; frames that the model has no time for
    are left out. Nothing is read or computed while no page is open.

    Args:
        find: the model. source: where frames come from.
        threshold: score from which a thing counts as found; None: the model's own.
        sized: gives the model at another input size, in pixels of the shorter side; None: that
            cannot be chosen.
        watch: gets each moment too, from the thread that makes them.
    """

    cameras: tuple[str, ...] = ()
    camera = ""

    def __init__(
        self,
        find: FindLike[LocalizedImage],
        source: Source,
        threshold: float | None = None,
        sized: Callable[[int], FindLike[LocalizedImage]] | None = None,
        watch: TakeMoment | None = None,
    ) -> None:
        self.find, self.source, self.name = find, source, source.name
        self._sized, self._sizing = sized, threading.Lock()
        self.input_sizes = sizes_around(self.input_px) if sized is not None else ()
        self._threshold, self._watch = threshold, watch
        self._compiled: CompiledLike | None = None
        self._compiling = 0
        self._trouble = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def prompt(self) -> str:
        return self._compiled.prompt.markup if self._compiled is not None else ""

    @property
    def threshold(self) -> float:
        return self.find.config.threshold if self._threshold is None else self._threshold

    @property
    def input_px(self) -> int:
        return self.find.config.vision.short_side_px

    def open(self, take: TakeMoment) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(take, self._stop), name="page source", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(END_S)

    def set_prompt(self, prompt: Prompt) -> None:
        self._compiling += 1
        try:
            self._compiled = self.find.compile(prompt)
        finally:
            self._compiling -= 1

    def set_threshold(self, threshold: float) -> None:
        self._threshold = threshold

    def set_input_px(self, input_px: int) -> None:
        if self._sized is None:
            raise PageError("The input size cannot be chosen here.")
        with self._sizing:
            if input_px != self.input_px:
                self.find = self._sized(input_px)

    def show_camera(self, name: str) -> None:
        """There is one."""

    def waits_for(self) -> list[str]:
        out = [self._trouble] if self._trouble else []
        if self._compiling:
            out.append("the prompt is being read")
        elif self._compiled is None:
            out.append("no prompt yet: say what to look for")
        return out

    def _run(self, take: TakeMoment, stop: threading.Event) -> None:
        while not stop.is_set():
            began_s = time.monotonic()
            try:
                self._play(take, stop)
                stop.wait(max(0.0, SHORTEST_S - (time.monotonic() - began_s)))
                if self.source.is_live:
                    self._trouble = f"{self.name} has ended"
                    stop.wait(RETRY_S)
            except FindError as error:  # unplugged, say: it may come back
                self._trouble = str(error).rstrip(".")
                stop.wait(RETRY_S)
            except Exception as error:  # the page says it; a thread that is gone would not
                self._trouble = f"{type(error).__name__}: {error}"
                stop.wait(RETRY_S)

    def _play(self, take: TakeMoment, stop: threading.Event) -> None:
        stream: StreamLocalizer | None = None
        for frame in self._paced(stop):
            if stop.is_set():
                return
            stream = self._follow(stream)
            taken_s, stamp_ns = time.monotonic(), time.time_ns()
            if stream is None:
                moment = Moment(frame.image, stamp_ns, taken_s)
            else:
                video = stream.update(frame.image, stamp_ns)
                moment = _moment(frame, video, stream, taken_s)
            take(moment)
            if self._watch is not None:
                self._watch(moment)
            self._trouble = ""

    def _follow(self, stream: StreamLocalizer | None) -> StreamLocalizer | None:
        """The stream that answers the newest prompt with the newest threshold."""
        wanted, threshold = self._compiled, self._threshold
        if wanted is None:
            return None
        if stream is None or stream.find is not self.find:  # prompts serve at every input size
            return StreamLocalizer(self.find, wanted, threshold=threshold)
        if stream.prompts[0] is not wanted:
            stream.set_prompts(wanted)
        if stream.threshold != threshold:
            stream.set_threshold(threshold)
        return stream

    def _paced(self, stop: threading.Event) -> Iterator[SourceFrame]:
        began_s = time.monotonic()
        for frame in self.source.frames():
            if self.source.is_live:
                yield frame
                continue
            late_s = time.monotonic() - (began_s + frame.time_s)
            if late_s < 0 and stop.wait(-late_s):
                return
            if late_s > SLIP_S:
                began_s += late_s
            elif late_s > LATE_S:
                continue
            yield frame


def _moment(
    frame: SourceFrame, video: VideoFrame, stream: StreamLocalizer, taken_s: float
) -> Moment:
    found = video.localization
    markup = stream.prompts[0].prompt.markup
    return Moment(
        frame.image, video.stamp_ns, taken_s, markup, found, video.relevance, findings_of(found)
    )


def findings_of(localization: Localization) -> tuple[Finding, ...]:
    """One row an instance; an entity that was not found has one row all the same."""
    return tuple(
        Finding(entity.label, instance.score, entity.found, instance.track_id)
        for entity in localization.entities
        for instance in (entity.instances or (entity,))
    )
