"""The client's own node and thread.

A node of its own, so that questions may be asked from callbacks of the caller's node, and whether
or not anyone spins that.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_msgs.msg import String

from find_ros.client.asking import Question
from find_ros.client.asking_field import FieldQuestion
from find_ros.client.errors import ClientError
from find_ros.client.lease import new_id
from find_ros.client.requests import removal_json
from find_ros.client.results import LocateResult
from find_ros.support import qos

TICK_S = 0.05
AnyQuestion = Question[Any] | FieldQuestion


class LocalizerTopics:
    """The localizer's side of the wire; `asking.Localizer`."""

    def __init__(self, node: Any, name: str, discovery_s: float) -> None:
        self.name, self.discovery_s = name, discovery_s
        self._publisher = node.create_publisher(String, f"{name}/prompt", qos.COMMAND)
        self._status_name = f"{name}: {name.rsplit('/', 1)[-1]}"
        self._waiting = ""
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    @property
    def is_there(self) -> bool:
        return bool(self._publisher.get_subscription_count())

    @property
    def says(self) -> str:
        return self._waiting

    def publish(self, text: str) -> None:
        self._publisher.publish(String(data=text))

    def _on_diagnostics(self, msg: Any) -> None:
        for status in msg.status:
            if status.name == self._status_name:
                self._waiting = status.message if status.level != b"\0" else ""


class FieldTopics:
    """The field server's side of the wire; `asking_field.FieldServer`."""

    def __init__(self, node: Any, name: str, discovery_s: float) -> None:
        self.name, self.discovery_s, self._node = name, discovery_s, node
        self._publisher = node.create_publisher(String, f"{name}/query", qos.COMMAND)

    @property
    def listening(self) -> frozenset[bytes]:
        if not self._publisher.get_subscription_count():
            return frozenset()
        found = self._node.get_publishers_info_by_topic(f"{self.name}/answer")
        return frozenset(bytes(info.endpoint_gid) for info in found)

    def publish(self, text: str) -> None:
        self._publisher.publish(String(data=text))


class Wire:
    """Carries questions and answers until `close`.

    Args:
        context: of rclpy. namespace: of the node. localizer, field_server: absolute node names.
        cameras: of the localizer, where it has several. use_sim_time: follow /clock.
        discovery_s: how long a node may take to be seen.
    """

    def __init__(
        self,
        context: Context,
        *,
        namespace: str = "/",
        localizer: str,
        field_server: str,
        cameras: Sequence[str],
        use_sim_time: bool,
        discovery_s: float,
    ) -> None:
        self.context = context
        self.node = node = rclpy.create_node(
            f"finder_{os.getpid()}_{new_id().rsplit('/', 1)[1]}",
            context=context,
            namespace=namespace,
            start_parameter_services=False,
            parameter_overrides=[Parameter("use_sim_time", value=use_sim_time)],
        )
        self.localizer = LocalizerTopics(node, localizer, discovery_s)
        self.field_server = FieldTopics(node, field_server, discovery_s)
        node.create_subscription(String, f"{localizer}/prompt_status", self._on_status, qos.STATUS)
        for camera in cameras or ("",):
            topic = f"{localizer}/{camera}/localization" if camera else f"{localizer}/localization"
            node.create_subscription(String, topic, self._listener(camera), qos.ANSWERS)
        node.create_subscription(String, f"{field_server}/answer", self._on_field, qos.COMMAND)
        self._questions: list[AnyQuestion] = []
        self._lock = threading.Lock()
        self._closing = False
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._run, name="find_ros client", daemon=True)
        self._thread.start()

    @property
    def is_own_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def now_ns(self) -> int:
        return int(self.node.get_clock().now().nanoseconds)

    def ask(self, question: AnyQuestion) -> None:
        """Carry a question until it is over.

        Raises:
            ClientError: the client is closed.
        """
        with self._lock:
            if self._closing or not self.context.ok():
                raise ClientError("The client is closed, or its ROS context is shut down.")
            self._questions.append(question)
        self._executor.wake()

    def close(self) -> None:
        """Take our prompts back and leave the network; open questions fail."""
        with self._lock:
            self._closing = True
        if not self.is_own_thread:
            self._thread.join()

    def _run(self) -> None:
        ticked_s = 0.0
        try:
            while not self._closing and self.context.ok():
                try:
                    self._executor.spin_once(timeout_sec=TICK_S if self._questions else 4 * TICK_S)
                except ExternalShutdownException:
                    break
                except Exception as error:  # a message that cannot be taken apart, or a callback
                    self._warn(error)
                if (now_s := time.monotonic()) - ticked_s < TICK_S:
                    continue
                ticked_s = now_s
                try:
                    self._tick(now_s)
                except Exception as error:  # a context that goes down under us
                    self._warn(error)
        finally:
            self._leave()

    def _tick(self, now_s: float) -> None:
        for question in self._open():
            question.tick(now_s)
            if (text := question.due(now_s)) is not None:
                is_field = isinstance(question, FieldQuestion)
                (self.field_server if is_field else self.localizer).publish(text)
            if question.is_over:
                self._end(question)

    def _end(self, question: AnyQuestion) -> None:
        with self._lock:
            if question in self._questions:
                self._questions.remove(question)
        if isinstance(question, Question) and question.prompt_id:
            self.localizer.publish(removal_json(question.prompt_id))

    def _open(self) -> list[AnyQuestion]:
        with self._lock:
            return list(self._questions)

    def _leave(self) -> None:
        with self._lock:
            self._closing = True
        for question in self._open():
            question.fail(ClientError("The client was closed before an answer came."))
            with contextlib.suppress(Exception):  # the context may be down already
                self._end(question)
        with contextlib.suppress(Exception):
            self._executor.shutdown(timeout_sec=1.0)
            self.node.destroy_node()

    def _listener(self, camera: str) -> Any:
        def on_localization(msg: String) -> None:
            # Most messages are for others: only ours are taken apart.
            ids = {q.prompt_id: q for q in self._open() if isinstance(q, Question) and q.prompt_id}
            if not any(prompt_id in msg.data for prompt_id in ids):
                return
            answer = json.loads(msg.data)
            question = ids.get(answer.get("prompt_id", ""))
            if question is not None and not question.is_over:
                question.on_answer(LocateResult.from_answer(answer, camera), time.monotonic())

        return on_localization

    def _on_status(self, msg: String) -> None:
        status = json.loads(msg.data)
        for question in self._open():
            if isinstance(question, Question) and question.prompt_id == status["id"]:
                question.on_status(status, time.monotonic())

    def _on_field(self, msg: String) -> None:
        reply = json.loads(msg.data)
        for question in self._open():
            if isinstance(question, FieldQuestion) and question.query_id == reply["id"]:
                question.on_answer(reply)

    def _warn(self, error: Exception) -> None:
        with contextlib.suppress(Exception):
            what = f"{type(error).__name__}: {error}"
            self.node.get_logger().warning(f"In a callback of the client: {what}")
