"""What the page knows of the localizer beside its answers: how it is, and its threshold."""

from __future__ import annotations

import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient

from find_core.page.source import PageError

SILENT_S = 4.0
WAIT_S = 5.0


class LocalizerLink:
    """Subscribes to /diagnostics and asks for the parameter `threshold`, until `destroy`.

    Args:
        node: that spins in a thread of its own. name: of the localizer, relative to the node.
    """

    def __init__(self, node: Node, name: str) -> None:
        self.node, self.full_name = node, node.resolve_topic_name(name)
        self.threshold: float | None = None
        self._status = f"{self.full_name}: {self.full_name.rsplit('/', 1)[-1]}"
        self._says, self._heard_s = "", time.monotonic()
        self._asked: Any = None
        self._subscription = node.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, 10
        )
        self._parameters = AsyncParameterClient(node, name)

    def waits_for(self) -> str:
        """What the localizer lacks, or that it is not there; "" all is well."""
        if time.monotonic() - self._heard_s > SILENT_S:
            return f"no localizer is heard at {self.full_name} (start one, or give --localizer)"
        return self._says

    def ask(self) -> None:
        """Ask for the threshold, where the localizer is there and no question is open."""
        if (self._asked is None or self._asked.done()) and self._parameters.services_are_ready():
            self._asked = self._parameters.get_parameters(["threshold"], callback=self._on_values)

    def set_threshold(self, threshold: float) -> None:
        """Blocks until the localizer has taken it; not from the node's own thread.

        Raises:
            PageError: it refuses, or does not answer.
        """
        if not self._parameters.services_are_ready():
            raise PageError(f"{self.full_name} does not offer its parameters.")
        asked = self._parameters.set_parameters([Parameter("threshold", value=threshold)])
        end_s = time.monotonic() + WAIT_S
        while not asked.done():
            if time.monotonic() > end_s:
                raise PageError(f"{self.full_name} did not answer within {WAIT_S:g} s.")
            time.sleep(0.02)
        [result] = asked.result().results
        if not result.successful:
            raise PageError(f"{self.full_name} refuses: {result.reason}")
        self.threshold = threshold

    def destroy(self) -> None:
        self.node.destroy_subscription(self._subscription)

    def _on_diagnostics(self, msg: Any) -> None:
        for status in msg.status:
            if status.name == self._status:
                self._heard_s = time.monotonic()
                fine = status.level == b"\0" and status.message == "active"
                self._says = "" if fine else status.message.removeprefix("waiting: ")

    def _on_values(self, future: Any) -> None:
        [value] = future.result().values or [None]
        if value is not None and value.type == ParameterType.PARAMETER_DOUBLE:
            self.threshold = value.double_value or None  # 0: the model's own, which is not told
