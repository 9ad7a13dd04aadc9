"""The last net round everything that a node runs: one message must not end it, nor make it deaf.

Callbacks, timers and services of a `GuardedNode` and threads begun with `LastNet.start_thread` may
raise whatever they like. It is counted, told once in a sentence, and the node goes on. A thread
whose loop itself is broken cannot go on: it ends the node rather than leave it "ready" and deaf.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from find_ros.support.log_throttle import ThrottledLogger
from find_ros.support.text import SENTENCE_LIMIT, printable, sentence_of


class LastNet:
    """Catches for one node.

    Args:
        warn: takes (kind, sentence) of what was caught, at a sane rate.
        is_ending: true once the node is going down: what fails then is no news.
        end_node: called with a sentence when the node cannot go on.
    """

    def __init__(
        self,
        warn: Callable[[str, str], object],
        is_ending: Callable[[], bool],
        end_node: Callable[[str], object],
    ) -> None:
        self._warn, self._is_ending, self._end_node = warn, is_ending, end_node
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def caught(self, where: str, error: BaseException) -> None:
        """Count an exception and say so, unless the node is going down anyway."""
        if self._is_ending():
            return
        with self._lock:
            self._counts[where] += 1
        self._warn(
            f"exception:{where}",
            f"{where} failed, and the node goes on: {type(error).__name__}: {sentence_of(error)}",
        )

    def wrapped(self, where: str, callback: Callable[..., Any]) -> Callable[..., Any]:
        """`callback` in the net. A service's response then says that it failed.

        The callable is looked up as `__wrapped__` at each call, so that tests can make it raise.
        """

        @functools.wraps(callback)
        def guarded(*args: Any) -> Any:
            try:
                return guarded.__wrapped__(*args)  # type: ignore[attr-defined]
            except Exception as error:
                self.caught(where, error)
                return _failed(args[1], error) if len(args) == 2 else None

        return guarded

    def start_thread(self, name: str, run: Callable[[], None]) -> threading.Thread:
        """Start `run` in a daemon thread; if it raises, the node ends with a sentence."""

        def guarded() -> None:
            try:
                run()
            except BaseException as error:
                self.caught(f"thread {name}", error)
                if not self._is_ending():
                    self._end_node(
                        f"The thread {name!r} cannot go on, so the node ends: "
                        f"{type(error).__name__}: {sentence_of(error)}"
                    )

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread

    def values(self) -> dict[str, int]:
        """{"exceptions/<where>": count} for diagnostics."""
        with self._lock:
            return {f"exceptions/{printable(k)}": n for k, n in sorted(self._counts.items())}


class GuardedNode(Node):
    """A node whose callbacks stand in the last net, those of helpers and of rclpy included.

    Attributes:
        exit_status: what its process ends with.
    """

    exit_status = 0

    @functools.cached_property
    def throttled_log(self) -> ThrottledLogger:
        return ThrottledLogger(self._warn)

    @functools.cached_property
    def net(self) -> LastNet:
        """Made on first use: rclpy creates services of its own before our constructors run."""
        return LastNet(
            lambda kind, sentence: self.throttled_log.warn(kind, sentence),
            lambda: not self.context.ok(),
            self.end,
        )

    def end(self, sentence: str) -> None:
        """End the process that spins this node, with status 1."""
        if self.context.ok():
            self.get_logger().fatal(printable(sentence, SENTENCE_LIMIT))
            self.exit_status = 1
            self.context.try_shutdown()

    def create_subscription(  # type: ignore[override]
        self, msg_type: Any, topic: str, callback: Callable[..., Any], *args: Any, **options: Any
    ) -> Any:
        guarded = self.net.wrapped(topic, callback)
        return super().create_subscription(msg_type, topic, guarded, *args, **options)

    def create_service(  # type: ignore[override]
        self, srv_type: Any, srv_name: str, callback: Callable[..., Any], **options: Any
    ) -> Any:
        guarded = self.net.wrapped(srv_name, callback)
        return super().create_service(srv_type, srv_name, guarded, **options)

    def create_timer(  # type: ignore[override]
        self, timer_period_sec: float, callback: Callable[..., Any], *args: Any, **options: Any
    ) -> Any:
        where = f"timer {getattr(callback, '__name__', 'callback').lstrip('_')}"
        guarded = self.net.wrapped(where, callback)
        return super().create_timer(timer_period_sec, guarded, *args, **options)

    def _warn(self, sentence: str) -> None:
        if self.context.ok():  # a frame caught in the middle of a shutdown is no news
            self.get_logger().warning(sentence)


def start_plain_thread(name: str, run: Callable[[], None]) -> threading.Thread:
    """As `LastNet.start_thread`, without a node to end."""
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def _failed(response: Any, error: Exception) -> Any:
    """A service's response, saying that it failed where it has words for that."""
    if hasattr(response, "success") and hasattr(response, "message"):
        response.success, response.message = False, sentence_of(error)
    return response
