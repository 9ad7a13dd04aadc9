"""Diagnostics in numbers, and in sentences what the node waits for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType

from find_ros.support.last_net import GuardedNode
from find_ros.support.text import SENTENCE_LIMIT, printable, sentence_of

PERIOD_S = 1.0
# How often a standing "waiting for" sentence is said again.
REPEAT_S = 10.0
# Time for discovery before the first "waiting for" sentence.
PATIENCE_S = 2.0


class DiagnosticsPublisher:
    """Publishes /diagnostics once a second, and logs what the node waits for when that changes.

    Args:
        name: of the status, e.g. "/localizer: localizer".
        status: gives (level, message, {key: value}).
        waiting: gives the sentences of what is missing now; empty when all is well.
    """

    def __init__(
        self,
        node: GuardedNode,
        status: Callable[[], tuple[bytes, str, Mapping[str, Any]]],
        waiting: Callable[[], list[str]],
    ) -> None:
        self._node, self._status, self._waiting = node, status, waiting
        self._name = f"{node.get_fully_qualified_name()}: {node.get_name()}"
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        # A steady timer: a simulation whose clock stands still is one of the things to report.
        node.create_timer(PERIOD_S, self._tick, clock=self._steady)
        self._missing_since_s: dict[str, float] = {}
        self._said: tuple[frozenset[str], float] = (frozenset(), -REPEAT_S)

    def _tick(self) -> None:
        try:
            level, message, values = self._status()
            missing = self._patient(self._waiting())
        except Exception as error:  # who reads /diagnostics is told too
            self._node.net.caught("diagnostics", error)
            level, message, missing = DiagnosticStatus.ERROR, sentence_of(error), []
            values = self._node.net.values()
        self._say(missing)
        if missing:
            level = max(level, DiagnosticStatus.WARN)
            message = f"waiting: {'; '.join(missing)}"
        status = DiagnosticStatus(
            level=level, name=self._name, message=printable(message, SENTENCE_LIMIT)
        )
        status.values = [
            KeyValue(key=printable(key), value=printable(value)) for key, value in values.items()
        ]
        out = DiagnosticArray(status=[status])
        out.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(out)

    def _patient(self, sentences: Iterable[str]) -> list[str]:
        """The sentences that have been true for `PATIENCE_S`."""
        now_s = self._now_s()
        self._missing_since_s = {s: self._missing_since_s.get(s, now_s) for s in sentences}
        return [s for s, since in self._missing_since_s.items() if now_s - since >= PATIENCE_S]

    def _say(self, missing: list[str]) -> None:
        said, when_s = self._said
        now_s = self._now_s()
        if missing and (frozenset(missing) != said or now_s - when_s >= REPEAT_S):
            waiting = printable("; ".join(missing), 2 * SENTENCE_LIMIT)
            self._node.get_logger().warning(f"Waiting: {waiting}.")
            self._said = (frozenset(missing), now_s)
        elif not missing and said:
            self._node.get_logger().info("All that was waited for is there.")
            self._said = (frozenset(), now_s)

    def _now_s(self) -> float:
        return self._steady.now().nanoseconds * 1e-9


def percentile_ms(seconds: Iterable[float], percent: float) -> float:
    """Percentile of durations in seconds, in milliseconds; 0 when there are none."""
    values = list(seconds)
    return float(np.percentile(values, percent)) * 1e3 if values else 0.0


def memory_mb() -> float:
    """Resident memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
