"""A peer on the ROS graph that is there to be killed: it films, listens, and asks a localizer things.

    python -m tools.peer --camera front --hz 5

Ends by a signal alone; `benchmarks/ros_soak.py` kills such peers with SIGKILL and starts new ones.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--camera", default="front")
    parser.add_argument("--hz", type=float, default=5.0)
    options = parser.parse_args()
    import rclpy
    from lifecycle_msgs.srv import GetState
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header, String

    from find_ros.messages.images import array_to_image

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    rclpy.init(args=[])
    node = rclpy.create_node("peer")
    images = node.create_publisher(Image, f"{options.camera}/image", 5)
    base = f"/localizer/{options.camera}"
    for kind, topic in ((String, "localization"), (Image, "overlay"), (Image, "label_image")):
        node.create_subscription(kind, f"{base}/{topic}", lambda msg: None, 5)
    state = node.create_client(GetState, "/localizer/get_state")
    pixels = np.full((480, 640, 3), 60, np.uint8)

    def act() -> None:
        header = Header(stamp=node.get_clock().now().to_msg(), frame_id=f"{options.camera}_optical")
        images.publish(array_to_image(pixels, "rgb8", header))
        if state.service_is_ready():  # and be gone, perhaps, before the answer comes
            state.call_async(GetState.Request())

    node.create_timer(1 / options.hz, act)
    rclpy.spin(node)


@dataclass
class Peers:
    """Processes that live for some seconds each and are killed.

    Attributes: cameras: what they film. life_s: (shortest, longest), from the start of Python on.
    killed: how many were.
    """

    cameras: list[str]
    rng: random.Random
    life_s: tuple[float, float] = (6.0, 25.0)
    killed: int = 0
    _living: dict[str, tuple[subprocess.Popen[bytes], float]] = field(default_factory=dict)

    def tick(self, now_s: float) -> None:
        """Kill whose time has come, start who is missing."""
        for camera in self.cameras:
            process, end_s = self._living.get(camera, (None, 0.0))
            if process is not None and now_s >= end_s:
                process.kill()
                process.wait()
                self.killed += 1
                del self._living[camera]
            elif process is None:
                command: list[Any] = [sys.executable, "-m", "tools.peer", "--camera", camera]
                self._living[camera] = (
                    subprocess.Popen(command),
                    now_s + self.rng.uniform(*self.life_s),
                )

    def end(self) -> None:
        for process, _ in self._living.values():
            process.kill()
            process.wait()
        self._living = {}


if __name__ == "__main__":
    main()
