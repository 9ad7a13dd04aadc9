"""Does the localizer survive a robot's day: cameras that restart, gaps in poses, prompts that change;
hostile frames, prompts and references (--hostile), peers that are killed (--peers).

    python benchmarks/ros_soak.py --minutes 30 --json out/ros_soak.json --plot out/ros_soak.png

Fails (with --check) on a crash, on memory that drifts by 2 % or more after the warm-up, or when a
frame is not accounted for: received = published + dropped by cause.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from find_core.support.files import write_text
from find_core.support.json_text import figures_text, json_text
from find_ros.support.resources import use_fastdds_profile
from tools.hostile import Hostile
from tools.peer import Peers

TARGET_DRIFT = 0.02
WARM_UP = 0.2
HEIGHT, WIDTH = 480, 640
PROMPTS = [
    "the <mug>", "the <red mug> left of the <bowl>", "a <can> on the <table>", "the <mug",
    "<plate>, <fork> and <spoon>", '{"prompt": 3}', "", "the <bottle> behind the <box>",
]  # fmt: skip


@dataclass
class Camera:
    """One camera with all its misfortunes. `node`: an rclpy node. `bad`: share of hostile frames."""

    node: Any
    name: str
    rng: random.Random
    bad: float
    publishers: dict[str, Any] = field(default_factory=dict)
    away_until_s: float = 0.0

    def open(self) -> None:
        from geometry_msgs.msg import PoseStamped
        from rclpy.qos import QoSProfile, ReliabilityPolicy
        from sensor_msgs.msg import CameraInfo, Image

        best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        profile = self.rng.choice([best_effort, QoSProfile(depth=5)])
        kinds = {"image": (Image, profile), "depth": (Image, profile)}
        kinds |= {"camera_info": (CameraInfo, 5), "camera_pose": (PoseStamped, 10)}
        for topic, (kind, quality) in kinds.items():
            self.publishers[topic] = self.node.create_publisher(
                kind, f"{self.name}/{topic}", quality
            )

    def close(self) -> None:
        for publisher in self.publishers.values():
            self.node.destroy_publisher(publisher)
        self.publishers = {}

    def tick(self, now_s: float) -> str:
        """Publish a frame, or have something happen; its name."""
        if not self.publishers:
            if now_s < self.away_until_s:
                return ""
            self.open()
            return "camera_returned"
        chance = self.rng.random()
        if chance < 0.002:
            self.close()
            self.away_until_s = now_s + self.rng.uniform(0.5, 4)
            return "camera_left"
        if self.rng.random() < self.bad:
            self._publish_hostile()
            return "hostile_frame"
        self._publish_frame(with_pose=chance > 0.13, with_depth=chance > 0.08)
        return "frame"

    def _publish_hostile(self) -> None:
        """One or two of a camera's messages, bad ones, the image among them."""
        hostile, now_ns = Hostile(self.rng), self.node.get_clock().now().nanoseconds
        others = {"depth": hostile.depth, "camera_info": hostile.camera_info,
                  "camera_pose": hostile.pose}  # fmt: skip
        topic = self.rng.choice(list(others))
        self.publishers[topic].publish(others[topic](now_ns))
        self.publishers["image"].publish(hostile.image(now_ns))

    def _header(self, offset_s: float = 0.0) -> Any:
        from std_msgs.msg import Header

        from find_ros.messages.images import ns_to_stamp

        now_ns = self.node.get_clock().now().nanoseconds + int(offset_s * 1e9)
        return Header(stamp=ns_to_stamp(now_ns), frame_id=f"{self.name}_optical")

    def _publish_frame(self, with_pose: bool, with_depth: bool) -> None:
        from geometry_msgs.msg import PoseStamped
        from sensor_msgs.msg import CameraInfo
        from std_msgs.msg import Header

        from find_ros.messages.images import array_to_image

        header = self._header(self.rng.choice([0.0] * 30 + [-20.0, 20.0]))
        scale = self.rng.choice([1] * 40 + [2])  # now and then another resolution
        rgb = np.full((HEIGHT // scale, WIDTH // scale, 3), self.rng.randrange(256), np.uint8)
        rgb[50:150, 80:160] = self.rng.randrange(256)
        if with_pose:
            pose = PoseStamped(header=Header(stamp=header.stamp, frame_id="world"))
            pose.pose.orientation.w = 1.0
            self.publishers["camera_pose"].publish(pose)
        info = CameraInfo(header=header, width=WIDTH, height=HEIGHT)
        info.k = [500.0, 0.0, WIDTH / 2, 0.0, 500.0, HEIGHT / 2, 0.0, 0.0, 1.0]
        self.publishers["camera_info"].publish(info)
        if with_depth:
            depth = np.full((HEIGHT, WIDTH), 1500, np.uint16)
            self.publishers["depth"].publish(array_to_image(depth, "16UC1", header))
        self.publishers["image"].publish(array_to_image(rgb, "rgb8", header))


def main() -> int:
    options = _parse()
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    use_fastdds_profile()
    log = Path(options.log) if options.log else Path(os.devnull)
    with log.open("wb") as out:
        process = subprocess.Popen(_command(options.model), stdout=out, stderr=subprocess.STDOUT)
        try:
            results = _soak(options, process)
        finally:
            ended_s = _end(process)
    results["seconds_to_end"] = ended_s
    results["exit_status"] = process.returncode
    missed = _judge(results)
    if options.json:
        write_text(options.json, figures_text(results) + "\n")
    if options.plot:
        _plot(results, options.plot)
    return 1 if options.check and missed else 0


def _end(process: subprocess.Popen[bytes]) -> float:
    """SIGINT; seconds until it is gone. A process that hangs is killed, which shows as its status."""
    began_s = time.monotonic()
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return round(time.monotonic() - began_s, 2)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--model", default="find-tabletop", help="'tiny' needs no weights")
    parser.add_argument("--hz", type=float, default=10.0, help="of each of the two cameras")
    parser.add_argument(
        "--hostile",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="of frames, prompts and references",
    )
    parser.add_argument(
        "--peers",
        type=int,
        default=1,
        choices=(0, 1, 2),
        help="killed and started again, a camera each",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="numbers and curve")
    parser.add_argument("--plot", type=Path, help="picture of the curve")
    parser.add_argument("--log", help="the node's output")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    return parser.parse_args()


def _command(model: str) -> list[str]:
    parameters = {"model": model, "prompt": PROMPTS[0], "cameras": ["front", "wrist"]}
    parameters |= {"use_depth": True, "target_frame": "world", "pose_source": "topic"}
    command = [sys.executable, "-m", "find_ros.start", "localizer", "--ros-args"]  # as ros2 run
    for name, value in parameters.items():
        command += ["-p", f"{name}:={json_text(value)}"]
    return command


def _soak(options: argparse.Namespace, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rich.progress import Progress
    from sensor_msgs.msg import Image, PointCloud2
    from std_msgs.msg import String

    rclpy.init(args=[])
    node = rclpy.create_node("soak")
    newest: dict[str, str] = {}

    def on_diagnostics(msg: Any) -> None:
        for status in msg.status:
            newest.update({v.key: v.value for v in status.values})
            newest["at_s"] = str(time.monotonic())

    node.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, 10)
    for name in ("front", "wrist"):  # all outputs are made
        for kind, topic in ((Image, "overlay"), (Image, "label_image"), (PointCloud2, "points")):
            node.create_subscription(kind, f"/localizer/{name}/{topic}", lambda m: None, 1)
    prompt = node.create_publisher(String, "/localizer/prompt", 10)
    reference = node.create_publisher(Image, "/localizer/reference", 10)
    rng = random.Random(options.seed)
    hostile = Hostile(rng)
    cameras = [Camera(node, name, random.Random(options.seed + n), options.hostile)
               for n, name in enumerate(("front", "wrist"))]  # fmt: skip
    peers = Peers(["front", "wrist"][: options.peers], rng)
    counts: dict[str, int] = {}
    curve: list[list[float]] = []
    began_s = time.monotonic()
    end_s, next_s, sampled_s = began_s + 60 * options.minutes, began_s, began_s
    with Progress() as progress:
        task = progress.add_task("Soaking", total=60 * options.minutes)
        while time.monotonic() < end_s and process.poll() is None:
            now_s = time.monotonic()
            if now_s >= next_s:
                next_s = max(next_s + 1 / options.hz, now_s - 1.0)
                for camera in cameras:
                    what = camera.tick(now_s)
                    counts[what] = counts.get(what, 0) + bool(what)
                peers.tick(now_s)
                if rng.random() < 0.01:
                    prompt.publish(String(data=rng.choice(PROMPTS)))
                    counts["prompt"] = counts.get("prompt", 0) + 1
                if rng.random() < options.hostile:
                    prompt.publish(String(data=hostile.prompt()))
                    reference.publish(hostile.image(node.get_clock().now().nanoseconds))
                    counts["hostile_prompt"] = counts.get("hostile_prompt", 0) + 1
            rclpy.spin_once(node, timeout_sec=max(0.0, min(0.05, next_s - time.monotonic())))
            if now_s - sampled_s >= max(1.0, 60 * options.minutes / 400) and "memory_mb" in newest:
                sampled_s = now_s
                curve.append(_sample(now_s - began_s, newest))
                progress.update(task, completed=now_s - began_s)
    peers.end()
    counts["killed_peer"] = peers.killed
    ledger = _settle(node, newest, process)
    node.destroy_node()
    rclpy.try_shutdown()
    counts.pop("", None)
    return {
        "model": options.model,
        "minutes": round((time.monotonic() - began_s) / 60, 2),
        "events": counts,
        "ledger": ledger,
        "columns": ["time_s", "memory_mb", "received", "published", "dropped"],
        "curve": curve,
        "load_average": os.getloadavg()[0],
    }


def _sample(time_s: float, newest: dict[str, str]) -> list[float]:
    def total(ending: str) -> int:
        return sum(int(v) for k, v in newest.items() if k.endswith(ending))

    dropped = sum(int(v) for k, v in newest.items() if "/dropped/" in k)
    memory_mb = float(newest["memory_mb"])
    return [round(time_s, 1), memory_mb, total("/received"), total("/published"), dropped]


def _settle(node: Any, newest: dict[str, str], process: Any) -> dict[str, Any]:
    """With all cameras silent nothing stays in flight; then the books must balance."""
    import rclpy

    end_s = time.monotonic() + 30
    silent_s = time.monotonic() + 3
    while time.monotonic() < end_s and process.poll() is None:
        rclpy.spin_once(node, timeout_sec=0.1)
        fresh = float(newest.get("at_s", 0)) > silent_s
        if fresh and all(v == "0" for k, v in newest.items() if k.endswith("/in_flight")):
            break
    out: dict[str, Any] = {}
    for name in ("front", "wrist"):
        own = {k.split("/", 1)[1]: v for k, v in newest.items() if k.startswith(f"{name}/")}
        out[name] = {
            k: int(v)
            for k, v in own.items()
            if k in ("received", "published", "in_flight")
            or k.startswith(("dropped/", "without_3d/"))
        }
    return out


def _judge(results: dict[str, Any]) -> list[str]:
    curve = np.array(results["curve"])
    calm = curve[int(len(curve) * WARM_UP) :]
    tenth = max(1, len(calm) // 10)
    first, last = np.median(calm[:tenth, 1]), np.median(calm[-tenth:, 1])
    results["memory_drift"] = round(float((last - first) / first), 5)
    results["memory_mb"] = {"after_warm_up": float(first), "at_the_end": float(last)}
    unaccounted = 0
    for ledger in results["ledger"].values():
        dropped = sum(n for cause, n in ledger.items() if cause.startswith("dropped/"))
        unaccounted += abs(ledger["received"] - ledger["published"] - dropped)
    results["unaccounted"] = unaccounted
    missed = []
    if results["exit_status"] != 0:
        missed.append(f"it ended with {results['exit_status']}")
    if results["memory_drift"] >= TARGET_DRIFT:
        missed.append(f"memory drifted by {results['memory_drift']:.1%}")
    if unaccounted:
        missed.append(f"{unaccounted} frames are not accounted for")
    shown = {k: v for k, v in results.items() if k not in ("curve", "columns")}
    print(figures_text(shown, indent=1))
    print("missed: " + "; ".join(missed) if missed else "all targets met")
    return missed


def _plot(results: dict[str, Any], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curve = np.array(results["curve"])
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    memory, frames = figure.subplots(2, 1, sharex=True)
    memory.plot(curve[:, 0] / 60, curve[:, 1], color="black")
    memory.set_ylabel("resident, MB")
    for column, label in ((2, "received"), (3, "published"), (4, "dropped")):
        frames.plot(curve[:, 0] / 60, curve[:, column], label=label)
    frames.set_xlabel("minutes")
    frames.legend()
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    sys.exit(main())
