"""A running localizer and its camera as the page's source."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from find_core.page.source import Moment, PageError, TakeMoment, sizes_around
from find_core.prompts.prompt import Prompt
from find_ros.client import Finder
from find_ros.messages.errors import UNUSABLE
from find_ros.messages.images import (
    check_compressed_size,
    check_size,
    compressed_to_rgb,
    image_to_rgb,
    stamp_to_ns,
)
from find_ros.page.answers import findings_of, localization_of
from find_ros.page.localizer_link import LocalizerLink
from find_ros.page.pairing import Pairing
from find_ros.support import qos

# A page that draws for a moment must not lose the image that is answered next.
IMAGES = QoSProfile(
    depth=5, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT
)
UNANSWERED_S = 3.0
"""Without answers for so long the camera's plain images are shown."""
PLAIN_PERIOD_S = 0.1
SILENT_S = 2.0
LOOK_S = 1.0
PROMPT_S = 30.0
MAX_MEGAPIXELS = 64.0
MAX_AGE_S = 3600.0


class RosSource:
    """Subscribes while a page is open; a node and a thread of its own.

    Args:
        context: of rclpy, with the remappings.
        localizer: name of its node. cameras: of the localizer, where it has several.
        compressed: take `image/compressed`.
    """

    def __init__(
        self,
        context: Context,
        *,
        localizer: str = "localizer",
        cameras: Sequence[str] = (),
        compressed: bool = False,
    ) -> None:
        self.cameras = tuple(cameras)
        self.camera = self.cameras[0] if self.cameras else ""
        self.prompt = ""
        self._localizer, self._compressed = localizer, compressed
        self.node = rclpy.create_node(f"find_page_{os.getpid()}", context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self.name = self.node.resolve_topic_name(localizer).strip("/")
        self._lock = threading.RLock()
        self._subscriptions: list[Any] = []
        self._link: LocalizerLink | None = None
        self._finder: Finder | None = None
        self._ending = False
        self._begin(lambda _: None)
        self._timer = self.node.create_timer(LOOK_S, self._look)
        self._thread = threading.Thread(target=self._spin, name="page source", daemon=True)
        self._thread.start()

    @property
    def threshold(self) -> float | None:
        return self._link.threshold if self._link is not None else None

    @property
    def input_px(self) -> int:
        return self._link.input_px if self._link is not None else 0

    @property
    def input_sizes(self) -> tuple[int, ...]:
        link = self._link
        if link is None or not (own_px := link.own_input_px) or not (now_px := link.input_px):
            return ()
        return tuple(sorted({*sizes_around(own_px), now_px}))

    def open(self, take: TakeMoment) -> None:
        with self._lock:
            self._begin(take)
            self._link = LocalizerLink(self.node, self._localizer)
            # Named from the root: the client's node has no remappings.
            self._finder = Finder(
                self.node,
                localizer=self._link.full_name,
                cameras=self.cameras,
                discovery_s=PROMPT_S,
            )
            self._subscribe()

    def close(self) -> None:
        with self._lock:
            self._unsubscribe()
            if self._link is not None:
                self._link.destroy()
            if self._finder is not None:
                self._finder.close()
            self._link = self._finder = None

    def shut_down(self) -> None:
        """Leave the network; afterwards it is of no use."""
        self.close()
        self._ending = True
        self._thread.join()
        with contextlib.suppress(Exception):  # a context that is down already
            self._executor.shutdown(timeout_sec=1.0)
            self.node.destroy_node()

    def set_prompt(self, prompt: Prompt) -> None:
        finder = self._finder
        if finder is None:
            raise PageError("No page is open.")
        finder.set_prompt(prompt, timeout_s=PROMPT_S)

    def set_threshold(self, threshold: float) -> None:
        if self._link is None:
            raise PageError("No page is open.")
        self._link.set_threshold(threshold)

    def set_input_px(self, input_px: int) -> None:
        if self._link is None:
            raise PageError("No page is open.")
        self._link.set_input_px(input_px)

    def show_camera(self, name: str) -> None:
        with self._lock:
            self.camera = name
            if self._subscriptions:
                self._unsubscribe()
                self._begin(self._take)
                self._subscribe()

    def waits_for(self) -> list[str]:
        link = self._link
        told = link.waits_for() if link is not None else ""
        return [sentence for sentence in (told, self._no_image, self._trouble) if sentence]

    def _begin(self, take: TakeMoment) -> None:
        self._take, self._pairing = take, Pairing()
        self._no_image = self._trouble = ""
        self._image_s = self._opened_s = time.monotonic()
        self._answered_s = self._plain_s = float("-inf")

    def _subscribe(self) -> None:
        prefix = f"{self.camera}/" if self.camera else ""
        kind, end = (CompressedImage, "/compressed") if self._compressed else (Image, "")
        answers = f"{self._localizer}/{prefix}localization"
        self._subscriptions = [
            self.node.create_subscription(kind, f"{prefix}image{end}", self._on_image, IMAGES),
            self.node.create_subscription(String, answers, self._on_answer, qos.ANSWERS),
        ]
        self._executor.wake()

    def _unsubscribe(self) -> None:
        for subscription in self._subscriptions:
            self.node.destroy_subscription(subscription)
        self._subscriptions = []

    def _spin(self) -> None:
        while not self._ending and self.node.context.ok():
            try:
                self._executor.spin_once(timeout_sec=0.1)
            except ExternalShutdownException:
                return
            except Exception as error:  # of one message; a subscription that is just destroyed
                with contextlib.suppress(Exception):
                    self.node.get_logger().warning(f"{type(error).__name__}: {error}")

    def _on_image(self, msg: Any) -> None:
        self._image_s = now_s = time.monotonic()
        if (pair := self._pairing.put_image(stamp_to_ns(msg.header.stamp), msg)) is not None:
            self._answered(*pair)
            return
        unanswered = now_s - max(self._answered_s, self._opened_s) > UNANSWERED_S
        if unanswered and now_s - self._plain_s >= PLAIN_PERIOD_S:
            self._plain_s = now_s
            self._show(msg, None)

    def _on_answer(self, msg: Any) -> None:
        answer = json.loads(msg.data)
        if answer.get("prompt_id"):
            return  # of somebody who asks beside the node's own prompt
        if (pair := self._pairing.put_answer(answer["stamp_ns"], answer)) is not None:
            self._answered(*pair)

    def _answered(self, msg: Any, answer: Mapping[str, Any]) -> None:
        self._answered_s = time.monotonic()
        self.prompt = answer["prompt"]
        self._show(msg, answer)

    def _show(self, msg: Any, answer: Mapping[str, Any] | None) -> None:
        try:
            if self._compressed:
                check_compressed_size(msg, MAX_MEGAPIXELS)
                image_rgb = compressed_to_rgb(msg)
            else:
                check_size(msg, MAX_MEGAPIXELS)
                image_rgb = image_to_rgb(msg)
        except UNUSABLE as error:
            self._trouble = f"the image cannot be shown: {error}".rstrip(".")
            return
        self._trouble = ""
        stamp_ns = stamp_to_ns(msg.header.stamp)
        moment = Moment(image_rgb, stamp_ns, self._taken_s(stamp_ns))
        if answer is not None:
            moment = Moment(
                image_rgb, stamp_ns, moment.taken_s, answer["prompt"], localization_of(answer),
                answer["relevance_smoothed"], findings_of(answer),
            )  # fmt: skip
        self._take(moment)

    def _taken_s(self, stamp_ns: int) -> float:
        """When the image was taken; now, where its stamp is of another clock."""
        age_s = (self.node.get_clock().now().nanoseconds - stamp_ns) * 1e-9
        return time.monotonic() - (age_s if 0 <= age_s <= MAX_AGE_S else 0.0)

    def _look(self) -> None:
        """Once a second: why no image comes, and the threshold that others may have set."""
        with self._lock:
            if self._link is None or not self._subscriptions:
                return
            self._link.ask()
            self._no_image = ""
            if time.monotonic() - self._image_s > SILENT_S:
                kind = "CompressedImage" if self._compressed else "Image"
                topic = self._subscriptions[0].topic_name
                why = qos.explain_silence(self.node, topic, f"sensor_msgs/msg/{kind}", False)
                self._no_image = f"{why} (give the camera's topic: -r image:=...)"
