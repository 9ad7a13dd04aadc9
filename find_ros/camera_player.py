"""The camera player: a recording or a V4L device as a ROS camera.

    ros2 run find_ros camera_player --ros-args -p source:=kitchen.mp4 -p loop:=true

Publishes image (and image/compressed), camera_info, and for RGB-D folders depth, camera_pose and,
where tf2_msgs is installed, /tf.
"""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds; Ctrl-C ends it without a word
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

import json
import math
import sys
import threading
import time
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header, String

from find_core.errors import FindError
from find_core.video.sources.base import thin
from find_core.video.sources.image_encodings import MM_PER_M
from find_ros.messages.images import (
    array_to_image,
    ns_to_stamp,
    rgb_to_compressed,
    stamp_to_ns,
)
from find_ros.messages.poses import matrix_to_quaternion
from find_ros.player_parameters import TABLE, PlayerParameters
from find_ros.sources.base import PlayedFrame, PlayerSource
from find_ros.sources.open import open_player_source
from find_ros.sources.pace import Pace
from find_ros.support import qos
from find_ros.support.last_net import GuardedNode
from find_ros.support.node_main import GRACE_S, run_node
from find_ros.support.parameters import declare_parameters
from find_ros.support.text import SENTENCE_LIMIT, printable

try:
    from tf2_msgs.msg import TFMessage
except ImportError:
    TFMessage = None

SETTLE_S = 0.5


class CameraPlayer(GuardedNode):
    """See the package page for topics and parameters."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("camera_player", **node_options)
        self.parameters = p = declare_parameters(self, PlayerParameters, is_configured=lambda: True)
        if not p.source:
            self.destroy_node()
            raise ValueError("camera_player needs something to play: -p source:=video.mp4")
        self._source = open_player_source(
            p.source, world_frame=p.world_frame, warn=self.throttled_log.warn
        )
        self._stopping, self._answered = threading.Event(), threading.Event()
        self._stamp_ns = self._lockstep_zero_ns = 0
        self._create_publishers()
        if p.lockstep_topic:
            self.create_subscription(String, p.lockstep_topic, self._on_answer, 10)
        # The first tick tells that the node is being spun; then frames come from their own thread.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._start = self.create_timer(0.0, self._on_start, clock=steady)
        self._thread: threading.Thread | None = None

    def close(self) -> bool:
        self._stopping.set()
        self._answered.set()
        if self._thread is None:
            return True
        self._thread.join(GRACE_S)
        return not self._thread.is_alive()

    def _create_publishers(self) -> None:
        p, create = self.parameters, self.create_publisher
        best = p.reliability == "best_effort"
        policy = ReliabilityPolicy.BEST_EFFORT if best else ReliabilityPolicy.RELIABLE
        profile = QoSProfile(depth=2, reliability=policy)
        self._image = create(Image, "image", profile)
        self._info = create(CameraInfo, "camera_info", qos.OUTPUT)
        self._compressed = (
            create(CompressedImage, "image/compressed", profile) if p.compressed else None
        )
        self._depth = create(Image, "depth", profile) if self._source.has_depth else None
        self._pose = (
            create(PoseStamped, "camera_pose", qos.OUTPUT) if self._source.has_pose else None
        )
        self._tf = create(TFMessage, "/tf", 100) if TFMessage and self._source.has_pose else None

    def _on_start(self) -> None:
        self._start.cancel()
        self._thread = self.net.start_thread("player", self._play)

    def _on_answer(self, msg: String) -> None:
        """Wakes the player; what is no localization is nobody's answer."""
        try:
            answer = json.loads(msg.data)
        except (ValueError, RecursionError):
            return
        stamp_ns = answer.get("stamp_ns") if isinstance(answer, dict) else None
        if isinstance(stamp_ns, int) and stamp_ns >= self._stamp_ns:
            self._answered.set()

    def _play(self) -> None:
        """Plays to the end, again and again when looping; ends the process where asked to."""
        try:
            self.get_logger().info(f"Playing {self._what()}.")
            self._wait_for_subscriber()
            count = self._play_once(self._source)
            while self.parameters.loop and count and not self._stopping.is_set():
                count += self._play_once(self._source)
            if self.context.ok():  # after a signal there is nobody left to tell
                self.get_logger().info(f"Played {count} frames.")
        except Exception as error:
            if self._stopping.is_set() or not self.context.ok():
                return  # a publisher that went away with the node
            own = isinstance(error, FindError)
            what = str(error) if own else f"Playing broke off: {type(error).__name__}: {error}"
            self.get_logger().error(printable(what, SENTENCE_LIMIT))
            self.exit_status = 1
        if self.parameters.exit_at_end or self.exit_status:
            self.context.try_shutdown()

    def _what(self) -> str:
        """What is played, and where."""
        source, p = self._source, self.parameters
        frames, seconds = source.frame_count, source.duration_s
        length = "" if frames is None else f", {frames} frames"
        length += "" if seconds is None else f", {seconds:.1f} s"
        beside = [name for name, there in (("depth", source.has_depth), ("poses", source.has_pose)) if there]  # fmt: skip
        parts = f", with {' and '.join(beside)}" if beside else ""
        again = ", again and again" if p.loop and not source.is_live else ""
        return printable(f"{p.source!r} on {self._image.topic_name}{length}{parts}{again}", SENTENCE_LIMIT)  # fmt: skip

    def _play_once(self, source: PlayerSource) -> int:
        count = 0
        self._lockstep_zero_ns = self.get_clock().now().nanoseconds
        pace = Pace(lambda sentence: self.throttled_log.warn("clock", sentence))
        frames: Any = source.frames()
        if self.parameters.max_fps:
            frames = thin(frames, 1 / self.parameters.max_fps)
        for frame in frames:
            if not source.is_live and not self.parameters.lockstep_topic:
                self._stopping.wait(pace.wait_s(frame.time_s, self.parameters.rate_hz))
            if self._stopping.is_set():
                break
            self._publish(frame)
            count += 1
            if self.parameters.lockstep_topic and not self._await_answer():
                self._publish(frame)  # it, or its answer, may have been lost while nodes met
                self._await_answer()
        return count

    def _await_answer(self) -> bool:
        return self._answered.wait(self.parameters.lockstep_timeout_s)

    def _wait_for_subscriber(self) -> None:
        end_s = time.monotonic() + self.parameters.wait_for_subscriber_s
        lockstep = self.parameters.lockstep_topic
        while time.monotonic() < end_s and not self._stopping.wait(0.05):
            if self._image.get_subscription_count() and (
                not lockstep or self.count_publishers(lockstep)
            ):
                # We see them; they may need a moment longer to see us.
                self._stopping.wait(SETTLE_S)
                return

    def _publish(self, frame: PlayedFrame) -> None:
        p = self.parameters
        now_ns = self.get_clock().now().nanoseconds
        if p.lockstep_topic:
            now_ns = self._lockstep_zero_ns + round(frame.time_s * 1e9)
        header = Header(stamp=ns_to_stamp(now_ns), frame_id=p.frame_id)
        self._answered.clear()
        self._stamp_ns = stamp_to_ns(header.stamp)
        if self._pose is not None and frame.T_world_camera is not None:
            self._publish_pose(frame.T_world_camera, header)
        self._info.publish(_camera_info(frame, header, p.horizontal_fov_deg))
        if self._depth is not None and frame.depth_m is not None:
            self._depth.publish(_depth_image(frame.depth_m, p.depth_encoding, header))
        pixels = frame.image_rgb
        if p.encoding == "bgr8":
            pixels = pixels[..., ::-1]
        elif p.encoding == "mono8":
            pixels = (pixels @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)
        self._image.publish(array_to_image(pixels, p.encoding, header))
        if self._compressed is not None:
            self._compressed.publish(rgb_to_compressed(frame.image_rgb, header, 90))

    def _publish_pose(self, T_world_camera: np.ndarray, header: Header) -> None:
        position = [float(v) for v in T_world_camera[:3, 3]]
        rotation = matrix_to_quaternion(T_world_camera[:3, :3])
        pose = PoseStamped(header=Header(stamp=header.stamp, frame_id=self.parameters.world_frame))
        _fill(pose.pose.position, position)
        _fill(pose.pose.orientation, rotation)
        assert self._pose is not None
        self._pose.publish(pose)
        if self._tf is not None:
            transform = TransformStamped(header=pose.header, child_frame_id=header.frame_id)
            _fill(transform.transform.translation, position)
            _fill(transform.transform.rotation, rotation)
            self._tf.publish(TFMessage(transforms=[transform]))


def _fill(message: Any, values: Any) -> None:
    """Set x, y, z (and w)."""
    for name, value in zip("xyzw", values, strict=False):
        setattr(message, name, value)


def _depth_image(depth_m: np.ndarray, encoding: str, header: Header) -> Image:
    if encoding == "32FC1":
        return array_to_image(depth_m.astype(np.float32), encoding, header)
    depth_mm = np.clip(np.nan_to_num(depth_m) * MM_PER_M, 0, 65535).round().astype(np.uint16)
    return array_to_image(depth_mm, encoding, header)


def _camera_info(frame: PlayedFrame, header: Header, fov_deg: float) -> CameraInfo:
    height, width = frame.image_rgb.shape[:2]
    K = frame.K
    if K is None:
        focal_px = width / 2 / math.tan(math.radians(fov_deg) / 2)
        K = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
    info = CameraInfo(header=header, height=height, width=width, distortion_model="plumb_bob")
    info.d, info.k = [0.0] * 5, K.ravel().tolist()
    info.r = np.eye(3).ravel().tolist()
    info.p = np.hstack([K, np.zeros((3, 1))]).ravel().tolist()
    return info


def main(args: list[str] | None = None) -> int:
    return run_node(CameraPlayer, TABLE, args)


if __name__ == "__main__":
    sys.exit(main())
