"""What the page knows of the localizer beside its answers: how it is, threshold, input size."""

from __future__ import annotations

import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter

from find_core.page.source import PageError

SILENT_S = 4.0
WAIT_S = 5.0
SIZE_WAIT_S = 60.0
"""A large model on a busy machine tries another input size beside its frames for so long."""


class LocalizerLink:
    """Subscribes to /diagnostics and asks for the parameter `threshold`, until `destroy`.

    Args:
        node: that spins in a thread of its own. name: of the localizer, relative to the node.

    Attributes:
        threshold: None: not known, or the model's own.
        input_px, own_input_px: in use, and the model's own; 0: not known, or not to be changed.
    """

    def __init__(self, node: Node, name: str) -> None:
        self.node, self.full_name = node, node.resolve_topic_name(name)
        self.threshold: float | None = None
        self.input_px = self.own_input_px = 0
        self._input_px_error = ""
        self._status = f"{self.full_name}: {self.full_name.rsplit('/', 1)[-1]}"
        self._says, self._heard_s = "", time.monotonic()
        self._asked: Any = None
        self._asked_s = 0.0
        self._subscription = node.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, 10
        )
        # rclpy's client of parameters makes six clients and gives none back.
        self._getting: Any = node.create_client(GetParameters, f"{name}/get_parameters")
        self._setting: Any = node.create_client(SetParameters, f"{name}/set_parameters")

    def waits_for(self) -> str:
        """What the localizer lacks, or that it is not there; "" all is well."""
        if time.monotonic() - self._heard_s > SILENT_S:
            return f"no localizer is heard at {self.full_name} (start one, or give --localizer)"
        return self._says

    def ask(self) -> None:
        """Ask for the threshold, where the localizer is there and no question is open."""
        if self._asked is not None and not self._asked.done():
            if time.monotonic() - self._asked_s < WAIT_S:
                return
            self._getting.remove_pending_request(self._asked)  # of a localizer that went
        if self._getting.service_is_ready():
            request = GetParameters.Request(names=["threshold"])
            self._asked, self._asked_s = self._getting.call_async(request), time.monotonic()
            self._asked.add_done_callback(self._on_values)

    def set_threshold(self, threshold: float) -> None:
        """Blocks until the localizer has taken it; not from the node's own thread.

        Raises:
            PageError: it refuses, or does not answer.
        """
        self._set("threshold", threshold)
        self.threshold = threshold

    def set_input_px(self, input_px: int) -> None:
        """Blocks until the localizer sees images at this size; not from the node's own thread.

        Raises:
            PageError: it refuses, cannot, or does not answer.
        """
        self._set("input_px", input_px)
        end_s = time.monotonic() + SIZE_WAIT_S
        while self.input_px != input_px:
            if f"input_px {input_px} " in (error := self._input_px_error):
                raise PageError(f"{self.full_name}: {error}")
            if time.monotonic() > end_s:
                raise PageError(
                    f"{self.full_name} does not say that it sees images at {input_px} px now."
                )
            time.sleep(0.02)

    def _set(self, name: str, value: float | int) -> None:
        if not self._setting.service_is_ready():
            raise PageError(f"{self.full_name} does not offer its parameters.")
        wanted = Parameter(name, value=value).to_parameter_msg()
        asked: Any = self._setting.call_async(SetParameters.Request(parameters=[wanted]))
        end_s = time.monotonic() + WAIT_S
        while not asked.done():
            if time.monotonic() > end_s:
                self._setting.remove_pending_request(asked)
                raise PageError(f"{self.full_name} did not answer within {WAIT_S:g} s.")
            time.sleep(0.02)
        [result] = asked.result().results
        if not result.successful:
            raise PageError(f"{self.full_name} refuses: {result.reason}")

    def destroy(self) -> None:
        self.node.destroy_subscription(self._subscription)
        self.node.destroy_client(self._getting)
        self.node.destroy_client(self._setting)

    def _on_diagnostics(self, msg: Any) -> None:
        for status in msg.status:
            if status.name == self._status:
                self._heard_s = time.monotonic()
                fine = status.level == b"\0" and status.message == "active"
                self._says = "" if fine else status.message.removeprefix("waiting: ")
                values = {v.key: v.value for v in status.values}
                self._input_px_error = values.get("input_px_error", "")
                self.own_input_px = int(values.get("input_px_own", 0))  # an older node says none
                self.input_px = int(values.get("input_px", 0))

    def _on_values(self, future: Any) -> None:
        [value] = future.result().values or [None]
        if value is not None and value.type == ParameterType.PARAMETER_DOUBLE:
            self.threshold = value.double_value or None  # 0: the model's own, which is not told
