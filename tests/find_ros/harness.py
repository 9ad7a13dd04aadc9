"""A robot around the node under test: cameras to publish, topics to hear, processes to start."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jsonschema
import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header, String

from find_core.schemas import load_schema
from find_ros.messages.images import array_to_image, ns_to_stamp, stamp_to_ns
from find_ros.schemas import load_schema as load_ros_schema
from tests.find_core.video.fakes import paint

ROOT = Path(__file__).parents[2]
# Two busy cores: a process may take long to come up, and this is never a measurement.
PATIENCE_S = 90.0
HEIGHT, WIDTH = 72, 96
RED_BOX = (20, 16, 30, 20)  # x, y, w, h
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)


def scene(dx: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A red and a blue rectangle on grey."""
    x, y, w, h = RED_BOX
    return paint([("red", x + dx, y, w, h), ("blue", 60, 40, 20, 20)], height, width)


class Process:
    """A node as a process that has the models of the tests, its output kept."""

    def __init__(
        self,
        module: str,
        parameters: dict | None = None,
        remap: dict | None = None,
        starter: str = "tests.find_ros.node",
    ):
        self.module = module
        command = [sys.executable, "-m", starter, module, "--ros-args"]
        for name, value in (parameters or {}).items():
            command += ["-p", f"{name}:={json.dumps(value)}"]
        for name, value in (remap or {}).items():
            command += ["-r", f"{name}:={value}"]
        self._log = tempfile.NamedTemporaryFile("w+b", suffix=".log")  # noqa: SIM115
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        self.process = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, cwd=ROOT, env=environment
        )

    @property
    def log(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def interrupt(self, timeout_s: float = 30.0) -> int:
        """SIGINT; the exit status. Raises TimeoutExpired where it does not end."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            try:
                self.interrupt()
            except subprocess.TimeoutExpired:
                self.kill()


class Robot:
    """Publishes and hears; everything polls with `PATIENCE_S`, nothing sleeps blindly."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("robot")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.heard: dict[str, list] = {}
        self._publishers: dict[tuple, object] = {}

    def close(self) -> None:
        self.executor.remove_node(self.node)
        self.node.destroy_node()

    def hear(self, kind, topic: str, profile=10) -> list:
        """Messages of a topic from now on, in a list that grows while waiting."""
        if topic not in self.heard:
            self.heard[topic] = []
            self.node.create_subscription(kind, topic, self.heard[topic].append, profile)
        del self.heard[topic][:]
        return self.heard[topic]

    def publish(self, topic: str, msg, profile=10) -> None:
        key = (topic, type(msg).__name__, str(profile))
        if key not in self._publishers:
            self._publishers[key] = self.node.create_publisher(type(msg), topic, profile)
        self._publishers[key].publish(msg)

    def wait(self, condition, what: str = "", process: Process | None = None, act=None):
        """Spin until `condition()` is true, calling `act()` ten times a second; its value."""
        end_s, next_s = time.monotonic() + PATIENCE_S, 0.0
        while not (value := condition()):
            now_s = time.monotonic()
            log = process.log if process else ""
            assert now_s < end_s, f"waited {PATIENCE_S} s for {what or condition}\n{log}"
            assert not process or process.process.poll() is None, f"{what}: it ended\n{log}"
            if act and now_s >= next_s:
                next_s = now_s + 0.1
                act()
            self.executor.spin_once(timeout_sec=0.05)
        return value

    def call(self, kind, service: str, request, repeat: bool = False):
        """Call a service; `repeat` asks again where the one found belongs to a process that ended."""
        client = self.node.create_client(kind, service)
        self.wait(client.service_is_ready, f"service {service}")
        futures = [client.call_async(request)]
        end_s = time.monotonic() + 2.0

        def ask_again():
            nonlocal end_s
            if repeat and time.monotonic() > end_s:
                end_s = time.monotonic() + 2.0
                futures.append(client.call_async(request))

        self.wait(lambda: any(f.done() for f in futures), f"answer of {service}", act=ask_again)
        self.node.destroy_client(client)
        return next(f.result() for f in futures if f.done())

    def change_state(self, transition: int, name: str = "localizer") -> bool:
        self.state(name)  # it is there and answers
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, f"/{name}/change_state", request).success

    def state(self, name: str = "localizer") -> str:
        answer = self.call(GetState, f"/{name}/get_state", GetState.Request(), repeat=True)
        return answer.current_state.label

    def now_ns(self) -> int:
        return self.node.get_clock().now().nanoseconds

    def header(self, frame: str = "camera", stamp_ns: int | None = None) -> Header:
        return Header(
            stamp=ns_to_stamp(self.now_ns() if stamp_ns is None else stamp_ns), frame_id=frame
        )

    def show(self, rgb=None, topic="/image", profile=BEST_EFFORT, **header) -> int:
        """Publish one picture; its stamp in ns."""
        msg = array_to_image(scene() if rgb is None else rgb, "rgb8", self.header(**header))
        self.publish(topic, msg, profile)
        return stamp_to_ns(msg.header.stamp)

    def show_rgbd(
        self, depth: np.ndarray, encoding: str, info: CameraInfo, prefix: str = "/"
    ) -> int:
        header = self.header()
        self.publish(f"{prefix}camera_info", info)
        self.publish(f"{prefix}depth", array_to_image(depth, encoding, header), BEST_EFFORT)
        picture = array_to_image(scene(), "rgb8", header)
        self.publish(f"{prefix}image", picture, BEST_EFFORT)
        return stamp_to_ns(header.stamp)

    def pose(self, T: np.ndarray, frame: str, stamp_ns: int) -> None:
        from find_ros.messages.poses import matrix_to_quaternion

        msg = PoseStamped(header=self.header(frame, stamp_ns))
        p, q = msg.pose.position, msg.pose.orientation
        p.x, p.y, p.z = map(float, T[:3, 3])
        q.x, q.y, q.z, q.w = matrix_to_quaternion(T[:3, :3])
        self.publish("/camera_pose", msg)

    def prompt(self, text: str, topic: str = "/localizer/prompt", profile=10) -> None:
        self.publish(topic, String(data=text), profile)


def camera_info(fx: float = 100.0, width: int = WIDTH, height: int = HEIGHT) -> CameraInfo:
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob")
    info.k = [fx, 0.0, width / 2, 0.0, fx, height / 2, 0.0, 0.0, 1.0]
    info.p = [fx, 0.0, width / 2, 0.0, 0.0, fx, height / 2, 0.0, 0.0, 0.0, 1.0, 0.0]
    info.d = [0.0] * 5
    return info


def answers(messages: list) -> list[dict]:
    """What JSON topics said; whatever a localizer said is held against its schemas."""
    return [_parsed(m.data) for m in messages]


@functools.lru_cache(maxsize=4096)  # polled many times
def _parsed(text: str) -> dict:
    data = json.loads(text)
    if "entities" in data:
        jsonschema.validate(data, load_schema("localization"))
        assert {"frame_id", "stamp_ns", "prompt_id"} <= set(data), "where, when and to whom"
    if "active" in data:
        jsonschema.validate(data, load_ros_schema("prompt_status"))
    return data


def diagnostics(messages: list, node: str = "localizer") -> dict:
    """The newest values of the node's status, and its message under "message"."""
    for msg in reversed(messages):
        for status in msg.status:
            if status.name.endswith(f": {node}"):
                return {v.key: v.value for v in status.values} | {"message": status.message}
    return {}
