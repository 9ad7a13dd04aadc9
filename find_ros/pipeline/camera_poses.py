"""Where the camera was when the image was taken: from tf, or from a pose topic.

tf needs tf2_ros, which comes with a ROS installation but not as a wheel. The pose topic
(`camera_pose`, geometry_msgs/PoseStamped: the camera's optical frame in `header.frame_id`) serves
machines without it, and robots whose visual odometry publishes poses rather than tf.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Protocol

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

from find_ros.messages.errors import PoseError
from find_ros.messages.images import stamp_to_ns
from find_ros.messages.poses import MAX_GAP_NS, interpolate, pose_to_matrix
from find_ros.support.last_net import GuardedNode
from find_ros.support.qos import COMMAND

try:
    import tf2_ros

    TF_AVAILABLE = True
except ImportError:
    TF_AVAILABLE = False

TF_MISSING = (
    "tf2_ros is not installed, so poses are taken from the topic camera_pose "
    "(geometry_msgs/PoseStamped) instead of /tf: publish the camera's there, or install tf2_ros"
)
MAX_POSES = 400


class PoseSource(Protocol):
    def lookup(self, target: str, camera_frame: str, stamp_ns: int) -> np.ndarray:
        """(4, 4) T_target_camera at `stamp_ns`; raises PoseError."""
        ...

    def destroy(self) -> None: ...


class TfPoses:
    """Transforms from /tf and /tf_static.

    Args:
        wait_s: how long a lookup may wait for a transform that is on its way.
    """

    def __init__(self, node: Node, wait_s: float) -> None:
        self._buffer = tf2_ros.Buffer(node=node)
        self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)
        self._wait = Duration(seconds=wait_s)

    def lookup(self, target: str, camera_frame: str, stamp_ns: int) -> np.ndarray:
        if stamp_ns < 0:  # rclpy has no such time
            raise PoseError("no_transform", "The image's stamp lies before the year 1970.")
        try:
            time = Time(nanoseconds=stamp_ns, clock_type=rclpy_ros_time())
            found = self._buffer.lookup_transform(target, camera_frame, time, self._wait)
        except tf2_ros.TransformException as error:
            raise PoseError(
                "no_transform", f"No transform {target} <- {camera_frame}: {error}."
            ) from None
        return pose_to_matrix(found.transform.translation, found.transform.rotation)

    def destroy(self) -> None:
        self._listener.unregister()


class TopicPoses:
    """Poses of one camera from a topic, interpolated to the image's stamp.

    A pose that is none (what trackers send when they have lost their way) is left out and told.
    """

    def __init__(self, node: GuardedNode, topic: str) -> None:
        self._node, self._lock = node, threading.Lock()
        self._poses: deque[tuple[int, str, np.ndarray]] = deque(maxlen=MAX_POSES)
        self._subscription = node.create_subscription(PoseStamped, topic, self.add, COMMAND)
        self._topic = self._subscription.topic_name

    def add(self, msg: Any) -> None:
        stamp_ns = stamp_to_ns(msg.header.stamp)
        try:
            T = pose_to_matrix(msg.pose.position, msg.pose.orientation)
        except PoseError as error:
            self._node.throttled_log.warn(f"pose:{self._topic}", f"{self._topic}: {error}")
            return
        with self._lock:
            back_ns = self._poses[-1][0] - stamp_ns if self._poses else 0
            if back_ns > MAX_GAP_NS:
                self._poses.clear()  # time ran backwards: another recording
            elif back_ns > 0:
                return  # overtaken by its neighbours, between which it is interpolated
            self._poses.append((stamp_ns, msg.header.frame_id, T))

    def lookup(self, target: str, camera_frame: str, stamp_ns: int) -> np.ndarray:
        with self._lock:
            poses = [(ns, T) for ns, frame, T in self._poses if frame == target]
            frames = sorted({frame for _, frame, _ in self._poses})
        topic = self._topic
        if not poses:
            seen = f"it speaks of {', '.join(frames)}" if frames else "nothing came in"
            raise PoseError("no_transform", f"No pose in {target!r} on {topic} ({seen}).")
        return interpolate(poses, stamp_ns)

    def destroy(self) -> None:
        self._node.destroy_subscription(self._subscription)


def rclpy_ros_time() -> Any:
    from rclpy.clock_type import ClockType

    return ClockType.ROS_TIME
