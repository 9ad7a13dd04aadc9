"""Ask the localizer and the field server in one call each, blocking or in asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions

from find_ros.client.asking import LocateQuestion, SetPromptQuestion, WatchQuestion
from find_ros.client.asking_field import FieldQuestion
from find_ros.client.errors import ClientError
from find_ros.client.frames import FixedTransforms, Frames, tf_of
from find_ros.client.lease import TTL_S, new_id
from find_ros.client.requests import AnyPrompt, References, prompt_json
from find_ros.client.results import FieldHit, LocateResult
from find_ros.client.watching import Watch
from find_ros.client.wire import AnyQuestion, Wire
from find_ros.support.resources import use_fastdds_profile
from find_ros.support.text import printable

T = TypeVar("T")
# A question completes by its own clock; a blocking caller looks on a little longer.
GRACE_S = 2.0
# Answers that an asyncio reader may be behind; the oldest go.
MAX_BEHIND = 100


class Finder:
    """Asks beside the node's own prompt, so that asking disturbs nobody.

    Args:
        node: whose rclpy context, namespace and clock are used. The client has a node and a thread
            of its own: questions may be asked from callbacks, and nobody has to spin.
        localizer, field_server: names of the nodes; relative ones in the node's namespace.
        cameras: of the localizer, where it has several.
        transforms: {(target, source): (4, 4) T_target_source} that are fixed and known. Others come
            from tf where tf2_ros is installed.
        check_stamps: only images stamped after the question count. False for recordings whose
            stamps lie in the past.
        discovery_s: how long a node may take to be seen.

    A context manager; `close()` takes its prompts back. Methods are thread-safe, but a callback of
    `watch` cannot ask.

    Raises (all methods): `find_ros.client.errors`.
    """

    def __init__(
        self,
        node: Any,
        *,
        localizer: str = "localizer",
        field_server: str = "field_server",
        cameras: Sequence[str] = (),
        transforms: FixedTransforms | None = None,
        check_stamps: bool = True,
        discovery_s: float = 5.0,
    ) -> None:
        sim = node.has_parameter("use_sim_time") and node.get_parameter("use_sim_time").value
        self._open(
            node.context, node.get_namespace(), localizer, field_server, cameras, transforms,
            check_stamps, discovery_s, bool(sim),
        )  # fmt: skip

    @classmethod
    @contextmanager
    def standalone(
        cls,
        *,
        localizer: str = "localizer",
        field_server: str = "field_server",
        cameras: Sequence[str] = (),
        transforms: FixedTransforms | None = None,
        check_stamps: bool = True,
        discovery_s: float = 5.0,
        namespace: str = "/",
        use_sim_time: bool = False,
        args: Sequence[str] = (),
    ) -> Iterator[Finder]:
        """A finder with a ROS context of its own, for a script that has no node.

        Args:
            args: of rclpy, such as ["--ros-args", "-r", "/tf:=/robot/tf"].
        """
        use_fastdds_profile()
        context = Context()
        rclpy.init(args=list(args), context=context, signal_handler_options=SignalHandlerOptions.NO)
        finder = cls.__new__(cls)
        try:
            finder._open(
                context, namespace, localizer, field_server, cameras, transforms,
                check_stamps, discovery_s, use_sim_time,
            )  # fmt: skip
            with finder:
                yield finder
        finally:
            context.try_shutdown()

    def _open(
        self,
        context: Context,
        namespace: str,
        localizer: str,
        field_server: str,
        cameras: Sequence[str],
        transforms: FixedTransforms | None,
        check_stamps: bool,
        discovery_s: float,
        use_sim_time: bool,
    ) -> None:
        self._check_stamps = check_stamps
        self._fixed = Frames(transforms or {}, None)  # before the thread: it may be refused
        self._wire = Wire(
            context,
            namespace=namespace,
            localizer=_absolute(localizer, namespace),
            field_server=_absolute(field_server, namespace),
            cameras=cameras,
            use_sim_time=use_sim_time,
            discovery_s=discovery_s,
        )
        self._frames = Frames(transforms or {}, tf_of(self._wire.node))

    def close(self) -> None:
        self._wire.close()

    def __enter__(self) -> Finder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Where is it?

    def locate(
        self,
        prompt: AnyPrompt,
        references: References | None = None,
        *,
        timeout_s: float = 5.0,
        target_frame: str = "",
    ) -> LocateResult:
        """The first image from now on in which the prompt's first entity is found.

        Args:
            prompt: a sentence with `<entities>`, or a `find_core.Prompt`.
            references: what a name in the sentence looks like: an image, (H, W, 3) uint8 RGB or a
                file's path, or a `find_core.Reference` (a box in an image).
            target_frame: of the place, which is then a must. Without it, the place is in the
                localizer's frame, and None where no depth is.

        Raises:
            NoLocalizerError, PromptRefusedError, NotFoundInTimeError, NoTransformError.
        """
        return self._wait(self._locate(prompt, references, timeout_s, target_frame), timeout_s)

    def locate_future(
        self,
        prompt: AnyPrompt,
        references: References | None = None,
        *,
        timeout_s: float = 5.0,
        target_frame: str = "",
    ) -> Future[LocateResult]:
        """`locate` that returns at once, for loops that tick; `cancel()` takes the prompt back."""
        return self._locate(prompt, references, timeout_s, target_frame).future

    async def locate_async(
        self,
        prompt: AnyPrompt,
        references: References | None = None,
        *,
        timeout_s: float = 5.0,
        target_frame: str = "",
    ) -> LocateResult:
        """`locate` in asyncio; cancelling it takes the prompt back."""
        question = self._locate(prompt, references, timeout_s, target_frame)
        return await asyncio.wrap_future(question.future)

    def watch(
        self,
        prompt: AnyPrompt,
        callback: Callable[[LocateResult], object],
        references: References | None = None,
    ) -> Watch:
        """Call back with the answer for each image from now on, found or not, until it is closed.

        The callback runs in the client's thread. Restarts of the localizer are bridged. A prompt
        that is refused ends the watch: `Watch.check()` raises.

        Raises:
            PromptRefusedError: it cannot be understood.
        """
        prompt_id = new_id()
        text = prompt_json(prompt, references, id=prompt_id, ttl_s=TTL_S)
        question = WatchQuestion(
            text, prompt_id, self._wire.localizer, time.monotonic(), float("inf"),
            began_ns=self._fresh_from_ns(), callback=callback,
        )  # fmt: skip
        self._wire.ask(question)
        return Watch(question)

    async def watch_async(
        self, prompt: AnyPrompt, references: References | None = None
    ) -> AsyncIterator[LocateResult]:
        """`watch` as an asynchronous iterator; a slow reader misses the oldest answers."""
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[LocateResult](MAX_BEHIND)

        def put(result: LocateResult) -> None:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(result)

        with self.watch(
            prompt, lambda result: loop.call_soon_threadsafe(put, result), references
        ) as watch:
            while True:
                try:
                    yield await asyncio.wait_for(queue.get(), 1.0)
                except asyncio.TimeoutError:
                    watch.check()

    # The node's own prompt, which everyone sees.

    def set_prompt(
        self, prompt: AnyPrompt, references: References | None = None, *, timeout_s: float = 5.0
    ) -> None:
        """Set what the node itself looks for, and return once it does.

        Raises:
            NoLocalizerError, PromptRefusedError: the old one stays.
        """
        self._wait(self._set_prompt(prompt, references, timeout_s), timeout_s)

    async def set_prompt_async(
        self, prompt: AnyPrompt, references: References | None = None, *, timeout_s: float = 5.0
    ) -> None:
        """`set_prompt` in asyncio."""
        question = self._set_prompt(prompt, references, timeout_s)
        await asyncio.wrap_future(question.future)

    # What is in the field?

    def ask_field(
        self,
        prompt: AnyPrompt,
        references: References | None = None,
        *,
        timeout_s: float = 15.0,
        target_frame: str = "",
    ) -> list[FieldHit]:
        """The field server's hits in prompt order, best first; empty when there are none.

        Args:
            prompt, references: as of `locate`.
            timeout_s: a first query loads the language model.
            target_frame: of the places; "": the field's own.

        Raises:
            NoFieldServerError, PromptRefusedError, NoTransformError.
        """
        return self._wait(self._ask_field(prompt, references, timeout_s, target_frame), timeout_s)

    async def ask_field_async(
        self,
        prompt: AnyPrompt,
        references: References | None = None,
        *,
        timeout_s: float = 15.0,
        target_frame: str = "",
    ) -> list[FieldHit]:
        """`ask_field` in asyncio."""
        question = self._ask_field(prompt, references, timeout_s, target_frame)
        return await asyncio.wrap_future(question.future)

    def _locate(
        self, prompt: AnyPrompt, references: References | None, timeout_s: float, target_frame: str
    ) -> LocateQuestion:
        prompt_id, began_ns = new_id(), self._fresh_from_ns()
        text = prompt_json(prompt, references, id=prompt_id, ttl_s=TTL_S)
        question = LocateQuestion(
            text, prompt_id, self._wire.localizer, time.monotonic(), timeout_s,
            began_ns=began_ns, target_frame=target_frame, frames=self._frames,
        )  # fmt: skip
        self._wire.ask(question)
        return question

    def _set_prompt(
        self, prompt: AnyPrompt, references: References | None, timeout_s: float
    ) -> SetPromptQuestion:
        text = prompt_json(prompt, references)
        question = SetPromptQuestion(
            text, "", self._wire.localizer, time.monotonic(), timeout_s, shown=printable(text)
        )
        self._wire.ask(question)
        return question

    def _ask_field(
        self, prompt: AnyPrompt, references: References | None, timeout_s: float, target_frame: str
    ) -> FieldQuestion:
        query_id = new_id()
        text = prompt_json(prompt, references, id=query_id)
        question = FieldQuestion(
            text, query_id, self._wire.field_server, time.monotonic(), timeout_s,
            target_frame=target_frame, frames=self._frames, now_ns=self._wire.now_ns(),
        )  # fmt: skip
        self._wire.ask(question)
        return question

    def _fresh_from_ns(self) -> int | None:
        return self._wire.now_ns() if self._check_stamps else None

    def _wait(self, question: AnyQuestion, timeout_s: float) -> Any:
        future: Future[Any] = question.future
        if self._wire.is_own_thread:
            future.cancel()
            raise ClientError("A callback of watch() cannot ask: do it in another thread.")
        try:
            return future.result(timeout_s + GRACE_S)
        finally:
            future.cancel()  # of no effect on one that is done


def _absolute(name: str, namespace: str) -> str:
    return name if name.startswith("/") else f"{namespace.rstrip('/')}/{name}"
