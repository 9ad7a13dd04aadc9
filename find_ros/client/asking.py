"""Questions under way, as plain state machines: no ROS here.

Each is fed by the client's thread with the messages that concern it and with the time, says which
text to publish now, and completes its future.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from typing import Any, Generic, Protocol, TypeVar

from find_ros.client.errors import (
    ClientError,
    NoLocalizerError,
    NotFoundInTimeError,
    NoTransformError,
    PromptRefusedError,
)
from find_ros.client.frames import Frames
from find_ros.client.lease import Lease
from find_ros.client.results import LocateResult

T = TypeVar("T")
# A camera with depth may miss it for a frame: so long a better answer is waited for.
PLACE_WAIT_S = 1.0


class Localizer(Protocol):
    """What questions ask about the other side.

    name: of the node. is_there: someone listens to prompts now. says: its diagnostics in words.
    """

    name: str
    discovery_s: float

    @property
    def is_there(self) -> bool: ...
    @property
    def says(self) -> str: ...


class Question(Generic[T]):
    """One question to the localizer.

    Args:
        text: the request. prompt_id: its id, "" for the node's own prompt.
        localizer: the other side. now_s, timeout_s: steady seconds.
    """

    def __init__(
        self, text: str, prompt_id: str, localizer: Localizer, now_s: float, timeout_s: float
    ) -> None:
        self.text, self.prompt_id, self.localizer = text, prompt_id, localizer
        self.began_s, self.timeout_s = now_s, timeout_s
        self.future: Future[T] = Future()
        self.lease = Lease()
        self._was_there = False

    @property
    def is_over(self) -> bool:
        """Done, or cancelled by its caller."""
        return self.future.done()

    def due(self, now_s: float) -> str | None:
        """The text to publish now."""
        if self.is_over or not self.localizer.is_there:
            return None
        self._was_there = True
        if not self.lease.is_due(now_s):
            return None
        self.lease.sent(now_s)
        return self.text

    def on_status(self, status: Mapping[str, Any], now_s: float) -> None:
        """A message of ~/prompt_status with this question's id."""
        if status["state"] == "refused":
            self.fail(PromptRefusedError(status["error"]))
        elif status["state"] in ("active", "waiting"):
            self.lease.heard(now_s)
        else:
            self.lease.lost()

    def on_answer(self, result: LocateResult, now_s: float) -> None:
        """An answer with this question's id."""
        self.lease.heard(now_s)

    def tick(self, now_s: float) -> None:
        """Give up when it is time."""
        waited_s = now_s - self.began_s
        if not self._was_there and waited_s >= min(self.timeout_s, self.localizer.discovery_s):
            self.fail(
                NoLocalizerError(
                    f"No localizer is at {self.localizer.name!r}: start one (ros2 launch find_ros "
                    "localize.launch.py), give its name as Finder(localizer=...), and check "
                    "ROS_DOMAIN_ID."
                )
            )
        elif waited_s >= self.timeout_s:
            self.fail(self.out_of_time())

    def out_of_time(self) -> ClientError:
        return NoLocalizerError(
            f"The localizer {self.localizer.name!r} did not reply within {self.timeout_s:g} s"
            f"{self._excuse()}."
        )

    def fail(self, error: ClientError) -> None:
        with contextlib.suppress(InvalidStateError):  # done, or cancelled by its caller just now
            self.future.set_exception(error)

    def complete(self, value: T) -> None:
        with contextlib.suppress(InvalidStateError):
            self.future.set_result(value)

    def _excuse(self) -> str:
        return f" (it says: {self.localizer.says})" if self.localizer.says else ""


class LocateQuestion(Question[LocateResult]):
    """Where is it, in an image taken from now on?

    Args:
        began_ns: images stamped before are not fresh; None: all are.
        target_frame: of the place, which is then a must; "" : the localizer's, where it has one.
        frames: how to get there.
    """

    def __init__(
        self, *question: Any, began_ns: int | None, target_frame: str, frames: Frames
    ) -> None:
        super().__init__(*question)
        self.began_ns, self.target_frame, self.frames = began_ns, target_frame, frames
        self.answers = self.stale = 0
        self.best: LocateResult | None = None
        self._flat: tuple[LocateResult, float] | None = (
            None  # found without a place, and since when
        )
        self._no_transform: NoTransformError | None = None

    def on_answer(self, result: LocateResult, now_s: float) -> None:
        super().on_answer(result, now_s)
        if self.began_ns is not None and result.stamp_ns < self.began_ns:
            self.stale += 1
            return
        self.answers += 1
        if self.best is None or result.score > self.best.score:
            self.best = result
        if not result.found:
            return
        if result.place is not None:
            self._take(result)
        elif not self.target_frame and not _may_have_a_place(result):
            self.complete(result)
        elif self._flat is None:
            self._flat = result, now_s

    def tick(self, now_s: float) -> None:
        flat = self._flat
        if flat is not None and not self.target_frame and now_s - flat[1] >= PLACE_WAIT_S:
            self.complete(flat[0])
        super().tick(now_s)

    def _take(self, result: LocateResult) -> None:
        assert result.place is not None
        if not self.target_frame:
            self.complete(result)
            return
        try:
            source = result.place.frame_id
            T = self.frames.lookup(self.target_frame, source, result.stamp_ns)
        except NoTransformError as error:  # it may come with the next images
            self._no_transform = error
        else:
            self.complete(result.moved(self.target_frame, T))

    def out_of_time(self) -> ClientError:
        """What was missing, as near as it can be told."""
        if self._no_transform is not None:
            return self._no_transform
        within = f"within {self.timeout_s:g} s"
        if not self.lease.acknowledged:
            return super().out_of_time()
        if self.best is None and self.stale and not self.localizer.says:
            sentence = (
                f"All {self.stale} answers {within} are about images stamped before the question: "
                "compare the cameras' clock with this one, or give Finder(check_stamps=False) for "
                "recordings."
            )
            return NotFoundInTimeError(sentence)
        if self.best is None:
            sentence = f"{self.localizer.name!r} took the prompt but answered no new image {within}"
            return NotFoundInTimeError(f"{sentence}{self._excuse()}.")
        if self._flat is not None:
            found = self._flat[0]
            cause = found.without_3d or "the camera has no depth, or none on the object"
            sentence = (
                f"{found.label!r} was found (score {found.score:.2f}), but without a place {within}: "
                f"{cause}."
            )
            if found.without_3d == "no_transform":
                return NoTransformError(f"{sentence} The localizer misses it{self._excuse()}.")
            return NotFoundInTimeError(sentence, self.answers, self.best)
        sentence = (
            f"{self.best.label!r} was not found in {self.answers} images {within}: the best score "
            f"was {self.best.score:.2f}."
        )
        return NotFoundInTimeError(sentence, self.answers, self.best)


def _may_have_a_place(result: LocateResult) -> bool:
    """Whether the camera has depth."""
    return bool(result.without_3d) or "objects_3d" in result.answer


class WatchQuestion(Question[None]):
    """Every answer from now on, until it is cancelled.

    Args:
        began_ns: as of `LocateQuestion`. callback: takes each answer.
    """

    def __init__(
        self, *question: Any, began_ns: int | None, callback: Callable[[LocateResult], object]
    ) -> None:
        super().__init__(*question)
        self._began_ns, self._callback = began_ns, callback

    def on_answer(self, result: LocateResult, now_s: float) -> None:
        super().on_answer(result, now_s)
        if self._began_ns is None or result.stamp_ns >= self._began_ns:
            self._callback(result)

    def tick(self, now_s: float) -> None:
        """It waits for ever: a localizer may come later."""


class SetPromptQuestion(Question[None]):
    """The node's own prompt.

    Args:
        shown: how a status shows the request's text.
    """

    def __init__(self, *question: Any, shown: str) -> None:
        super().__init__(*question)
        self._shown = shown

    def on_status(self, status: Mapping[str, Any], now_s: float) -> None:
        if status["prompt"] != self._shown or not self.lease.was_sent:
            return  # of somebody else, or from before
        super().on_status(status, now_s)
        if status["state"] == "active":
            self.complete(None)
