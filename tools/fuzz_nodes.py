"""Hostile messages over DDS to the localizer (twice: images, compressed images) and the field server.

    python tools/fuzz_nodes.py --messages 10000 --json out/fuzz_nodes.json

Every so often, and at the end, a good frame, a good prompt and a good query must be answered. Fails
where a process ended, went deaf, lost a frame in its books, said something that is no JSON or too
long, or kept memory.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from find_core.support.json_text import figures_text, json_text
from find_ros.support.resources import use_fastdds_profile
from tools.hostile import HEIGHT, WIDTH, Hostile
from tools.suspect import Suspect

NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("localizer", {"use_depth": True, "target_frame": "world", "pose_source": "topic"}),
    "packed": ("localizer", {"compressed": True}),
    "field": ("field_server", {"lift_live": True, "pose_source": "topic", "lift_rate_hz": 30.0}),
}
PROMPT = "the <mug>"
PATIENCE_S = 120.0  # for one answer on a machine that has other things to do


class Range:
    """The node that sends and listens, and the processes under fire."""

    def __init__(self, seed: int, folder: Path) -> None:
        import rclpy

        self.rng, self.hostile = random.Random(seed), Hostile(random.Random(seed))
        self.sent: Counter[str] = Counter()
        self._publishers: dict[str, Any] = {}
        rclpy.init(args=[])
        self.node = rclpy.create_node("stranger")
        self.suspects = {name: self._start(name, folder) for name in NODES}
        self._listen()

    def _start(self, name: str, folder: Path) -> Suspect:
        module, parameters = NODES[name]
        parameters = {"model": "tiny", **parameters}
        if module == "localizer":
            parameters["prompt"] = PROMPT
        else:
            parameters["save_path"] = str(folder / "live.field")
        command = [
            sys.executable,
            "-m",
            "find_ros.start",
            module,
            "--ros-args",
            "-r",
            f"__ns:=/{name}",
        ]
        for key, value in parameters.items():
            command += ["-p", f"{key}:={figures_text(value)}"]
        log = folder / f"{name}.log"
        with log.open("wb") as out:
            return Suspect(
                name, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT), log
            )

    def _listen(self) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from geometry_msgs.msg import PoseArray
        from std_msgs.msg import String

        def text(suspect: Suspect, topic: str) -> Any:
            return lambda msg: suspect.hears(topic, msg.data)

        def poses(suspect: Suspect) -> Any:
            def hear(msg: Any) -> None:
                numbers = [(p.position.x, p.position.y, p.position.z) for p in msg.poses]
                if not np.isfinite(numbers).all():
                    suspect.fault("a hit at no finite place")

            return hear

        for suspect in self.suspects.values():
            server = suspect.name == "field"
            base = f"/{suspect.name}/{'field_server' if server else 'localizer'}"
            for topic in ("answer",) if server else ("localization", "prompt_status"):
                self.node.create_subscription(String, f"{base}/{topic}", text(suspect, topic), 100)
            if server:
                self.node.create_subscription(PoseArray, f"{base}/hits", poses(suspect), 10)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)

    def _on_diagnostics(self, msg: Any) -> None:
        for status in msg.status:
            suspect = self.suspects.get(status.name.split("/")[1])
            if suspect is not None:
                suspect.reads_diagnostics(status.message, status.values)

    def spin(self, seconds: float) -> None:
        import rclpy

        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            rclpy.spin_once(self.node, timeout_sec=left_s)

    def wait(self, condition: Any, suspect: Suspect, what: str, act: Any) -> bool:
        """Spin until `condition()`, acting five times a second; False, and a fault, when it does not come."""
        end_s, next_s = time.monotonic() + PATIENCE_S, 0.0
        while not condition():
            now_s = time.monotonic()
            if suspect.process.poll() is not None:
                suspect.fault(f"ended with {suspect.process.returncode}")
                return False
            if now_s > end_s:
                suspect.fault(f"deaf: no {what} within {PATIENCE_S:g} s")
                return False
            if now_s >= next_s:
                next_s = now_s + 0.2
                act()
            self.spin(0.02)
        return True

    def publish(self, topic: str, msg: Any) -> None:
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(type(msg), topic, 20)
        self._publishers[topic].publish(msg)

    def now_ns(self) -> int:
        return int(self.node.get_clock().now().nanoseconds)

    def attack(self) -> None:
        """Bad messages to each node: one, or a frame of several in which some are bad."""
        for name in self.suspects:
            if name != "packed" and self.rng.random() < 0.4:
                for topic, msg in self._bad_frame():
                    self._send(name, topic, msg)
            else:
                self._send(name, *self._bad_message(name))

    def _bad_message(self, name: str) -> tuple[str, Any]:
        from std_msgs.msg import String

        now_ns, hostile = self.now_ns(), self.hostile
        node, told = ("field_server", "query") if name == "field" else ("localizer", "prompt")
        kind = self.rng.choice(("image", "image", "prompt", "prompt", "reference", "other"))
        if kind == "prompt":
            return f"{node}/{told}", String(data=hostile.prompt())
        if kind == "reference":
            return f"{node}/reference", hostile.image(now_ns)
        if name == "packed":
            return "image/compressed", hostile.compressed(now_ns)
        if kind == "image":
            return "image", hostile.image(now_ns)
        others = {
            "depth": hostile.depth,
            "camera_info": hostile.camera_info,
            "camera_pose": hostile.pose,
        }
        topic = self.rng.choice(list(others))
        return topic, others[topic](now_ns)

    def _bad_frame(self) -> list[tuple[str, Any]]:
        """Image, depth, calibration and pose of one stamp, some of them bad."""
        now_ns, hostile, rng = self.now_ns(), self.hostile, self.rng
        good = dict(good_frame(now_ns))
        bad = {"depth": hostile.depth, "camera_info": hostile.camera_info, "camera_pose": hostile.pose,
               "image": hostile.image}  # fmt: skip
        for topic in rng.sample(list(bad), rng.choice((1, 1, 1, 2))):
            header, good[topic] = good[topic].header, bad[topic](now_ns)
            if rng.random() < 0.9:
                good[topic].header = header
        return list(good.items())

    def _send(self, name: str, topic: str, msg: Any) -> None:
        self.publish(f"/{name}/{topic}", msg)
        self.sent[f"{name} {type(msg).__name__} {topic}"] += 1

    def show(self, name: str) -> int:
        """A good frame; its stamp in ns."""
        from find_ros.messages.images import rgb_to_compressed

        now_ns = self.now_ns()
        if name == "packed":
            image = dict(good_frame(now_ns))["image"]
            rgb = np.frombuffer(image.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
            self.publish("/packed/image/compressed", rgb_to_compressed(rgb, image.header))
            return now_ns
        for topic, msg in good_frame(now_ns):
            self.publish(f"/{name}/{topic}", msg)
        return now_ns

    def check(self, number: int) -> None:
        """Every node still answers what is good."""
        from std_msgs.msg import String

        for suspect in self.suspects.values():
            name = suspect.name
            if suspect.is_lost:
                continue
            if name == "field":
                wanted = f"good {number}"
                text = json_text({"id": wanted, "prompt": PROMPT})
                lifted = int(suspect.values.get("lifted", 0))
                self.wait(
                    lambda w=wanted, s=suspect: w in s.query_ids, suspect, "answer to a good query",
                    lambda t=text: self.publish("/field/field_server/query", String(data=t)),
                )  # fmt: skip
                self.wait(
                    lambda s=suspect, n=lifted: int(s.values.get("lifted", 0)) > n, suspect,
                    "good frame lifted", lambda: self.show("field"),
                )  # fmt: skip
                continue
            prompt = f"the <mug{number}>"
            self.wait(
                lambda p=prompt, s=suspect: s.active == p, suspect, "good prompt taken",
                lambda p=prompt, n=name: self.publish(f"/{n}/localizer/prompt", String(data=p)),
            )  # fmt: skip
            shown = set[int]()
            self.wait(
                lambda s=suspect, t=shown: t & s.stamps_ns, suspect, "answer to a good frame",
                lambda n=name, t=shown: t.add(self.show(n)),
            )  # fmt: skip

    def settle(self) -> None:
        """With nothing sent, nothing stays in flight, and the books balance."""
        for suspect in self.suspects.values():
            self.wait(
                lambda s=suspect: s.values.get("in_flight") == "0", suspect, "end of what is in flight",
                lambda: None,
            )  # fmt: skip
        self.spin(3.0)

    def finish(self) -> dict[str, Any]:
        import rclpy

        out: dict[str, Any] = {"sent": dict(sorted(self.sent.items()))}
        out["nodes"] = {name: suspect.end() for name, suspect in self.suspects.items()}
        self.node.destroy_node()
        rclpy.try_shutdown()
        return out


def good_frame(stamp_ns: int) -> list[tuple[str, Any]]:
    """(topic, message) of one RGB-D frame, the image last."""
    from geometry_msgs.msg import PoseStamped
    from sensor_msgs.msg import CameraInfo
    from std_msgs.msg import Header

    from find_ros.messages.images import array_to_image, ns_to_stamp

    header = Header(stamp=ns_to_stamp(stamp_ns), frame_id="camera")
    pose = PoseStamped(header=Header(stamp=header.stamp, frame_id="world"))
    pose.pose.orientation.w = 1.0
    info = CameraInfo(header=header, height=HEIGHT, width=WIDTH)
    info.k = [100.0, 0.0, WIDTH / 2, 0.0, 100.0, HEIGHT / 2, 0.0, 0.0, 1.0]
    depth = array_to_image(np.full((HEIGHT, WIDTH), 1500, np.uint16), "16UC1", header)
    image = array_to_image(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), "rgb8", header)
    return [("camera_pose", pose), ("camera_info", info), ("depth", depth), ("image", image)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--messages", type=int, default=10_000, help="in all")
    parser.add_argument("--pause-s", type=float, default=0.01, help="between two volleys")
    parser.add_argument("--check-every", type=int, default=1500, help="messages")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--logs", type=Path, help="folder to keep the nodes' output in")
    options = parser.parse_args()
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    use_fastdds_profile()
    with tempfile.TemporaryDirectory() as made:
        folder = options.logs or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        found = run(options, Range(options.seed, folder))
    print(figures_text(found, indent=1))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(figures_text(found, indent=1) + "\n")
    return 1 if any(node["faults"] for node in found["nodes"].values()) else 0


def run(options: argparse.Namespace, firing: Range) -> dict[str, Any]:
    """Check, fire, check ... settle."""
    try:
        firing.check(0)
        for suspect in firing.suspects.values():
            suspect.began_mb = suspect.peak_mb()
        checked = 0
        while (sent := sum(firing.sent.values())) < options.messages:
            firing.attack()
            firing.spin(options.pause_s)
            if sent - checked >= options.check_every:
                checked = sent
                print(f"{sent} messages", flush=True)
                firing.check(sent)
        firing.check(options.messages + 1)
        firing.settle()
    finally:
        found = firing.finish()
    return {"messages": sum(firing.sent.values()), **found}


if __name__ == "__main__":
    sys.exit(main())
