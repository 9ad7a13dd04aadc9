"""Commands from publishers of either durability, without a warning at those that are not latched.

A latched (transient-local) publisher also reaches a plain subscription, but not with what it said
before that was there. A latched subscription would bring this too, and every plain publisher is
warned about one: "incompatible QoS. No messages will be sent to it". So the plain one stays, and a
latched one is there only for a moment after a latched publisher was seen first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy

from find_ros.support import qos
from find_ros.support.last_net import GuardedNode

LOOK_S = 0.25
# How long a latched publisher may take to repeat what it said.
OPEN_S = 2.0
REMEMBERED = 256


class CommandInput:
    """Subscribes to one topic.

    Args:
        kind: of the messages. topic: its name. callback: takes each message once.
    """

    def __init__(
        self, node: GuardedNode, kind: Any, topic: str, callback: Callable[[Any], None]
    ) -> None:
        self._node, self._kind, self._topic, self._callback = node, kind, topic, callback
        self._quiet = SubscriptionEventCallbacks(use_default_callbacks=False)
        self._plain = self._subscribe(qos.COMMAND)
        self._latched: Any = None
        self._close_at_s = 0.0
        self._known: set[bytes] = set()
        self._seen: deque[int] = deque(maxlen=REMEMBERED)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(LOOK_S, self._look_for_latched, clock=steady)

    def destroy(self) -> None:
        self._node.destroy_timer(self._timer)
        for subscription in (self._plain, self._latched):
            if subscription is not None:
                self._node.destroy_subscription(subscription)
        self._plain = self._latched = None

    def _subscribe(self, profile: Any) -> Any:
        return self._node.create_subscription(
            self._kind, self._topic, self._on_message, profile, event_callbacks=self._quiet
        )

    def _on_message(self, msg: Any, info: Any) -> None:
        """A publisher's own time tells a repetition from the same command given twice."""
        stamp_ns = int(info["source_timestamp"])
        if stamp_ns and stamp_ns in self._seen:
            return
        self._seen.append(stamp_ns)
        self._callback(msg)

    def _look_for_latched(self) -> None:
        publishers = self._node.get_publishers_info_by_topic(self._plain.topic_name)
        latched = {
            bytes(p.endpoint_gid)
            for p in publishers
            if p.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        }
        now_s = time.monotonic()
        if latched - self._known:
            self._close_at_s = now_s + OPEN_S
            if self._latched is None:
                self._latched = self._subscribe(qos.LATCHED_COMMAND)
        elif self._latched is not None and now_s >= self._close_at_s:
            self._node.destroy_subscription(self._latched)
            self._latched = None
        self._known = latched
