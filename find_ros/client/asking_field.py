"""A question to the field server under way; see `find_ros.client.asking`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from dataclasses import replace
from typing import Any, Protocol

from find_ros.client.errors import (
    ClientError,
    NoFieldServerError,
    NoTransformError,
    PromptRefusedError,
)
from find_ros.client.frames import Frames
from find_ros.client.results import FieldHit

# A query is answered once; only where its answer may have been lost it is sent again.
LOST_S = 15.0


class FieldServer(Protocol):
    """What questions ask about the other side.

    listening: the answers' publishers that are matched, an empty set when no one takes queries. It
    changes when a server is restarted.
    """

    name: str
    discovery_s: float

    @property
    def listening(self) -> frozenset[bytes]: ...


class FieldQuestion:
    """What does the field hold of this prompt? Arguments as of `asking.LocateQuestion`."""

    def __init__(
        self,
        text: str,
        query_id: str,
        server: FieldServer,
        now_s: float,
        timeout_s: float,
        *,
        target_frame: str,
        frames: Frames,
        now_ns: int,
    ) -> None:
        self.text, self.query_id, self.server = text, query_id, server
        self.began_s, self.timeout_s = now_s, timeout_s
        self.future: Future[list[FieldHit]] = Future()
        self._target_frame, self._frames, self._now_ns = target_frame, frames, now_ns
        self._asked: frozenset[bytes] = frozenset()
        self._asked_s = float("-inf")

    @property
    def is_over(self) -> bool:
        return self.future.done()

    def due(self, now_s: float) -> str | None:
        """The text to publish now: at first, and to a server that was not there before."""
        servers = self.server.listening
        if self.is_over or not servers:
            return None
        if servers <= self._asked and now_s - self._asked_s < LOST_S:
            return None
        self._asked, self._asked_s = self._asked | servers, now_s
        return self.text

    def on_answer(self, reply: Mapping[str, Any]) -> None:
        """A message of ~/answer with this question's id."""
        if self.is_over:
            return
        if reply["error"]:
            self.fail(PromptRefusedError(reply["error"]))
            return
        hits = FieldHit.from_answer(reply["answer"])
        try:
            moved = [self._moved(hit) for hit in hits]
        except NoTransformError as error:
            self.fail(error)
            return
        with contextlib.suppress(InvalidStateError):
            self.future.set_result(moved)

    def tick(self, now_s: float) -> None:
        waited_s = now_s - self.began_s
        if self.is_over:
            return
        name = self.server.name
        if not self._asked and waited_s >= min(self.timeout_s, self.server.discovery_s):
            self.fail(
                NoFieldServerError(
                    f"No field server is at {name!r}: start one (ros2 launch find_ros "
                    "field.launch.py), give its name as Finder(field_server=...), and check "
                    "ROS_DOMAIN_ID."
                )
            )
        elif waited_s >= self.timeout_s:
            sentence = f"The field server {name!r} did not answer within {self.timeout_s:g} s."
            self.fail(NoFieldServerError(sentence))

    def fail(self, error: ClientError) -> None:
        with contextlib.suppress(InvalidStateError):  # done, or cancelled by its caller just now
            self.future.set_exception(error)

    def _moved(self, hit: FieldHit) -> FieldHit:
        if not self._target_frame:
            return hit
        T = self._frames.lookup(self._target_frame, hit.place.frame_id, self._now_ns)
        return replace(hit, place=hit.place.moved(self._target_frame, T))
