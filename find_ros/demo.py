"""make demo: a camera, a sentence, and what the node found, across processes over DDS.

python -m find_ros.demo --out out/demo
python -m find_ros.demo --out out/demo --video cups.mp4 --prompt "the <red cup>"
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import find_core
from find_core.errors import FindError
from find_core.support.command_line import fraction, number
from find_core.support.json_text import json_text
from find_ros.demo_field import lifted_cloud
from find_ros.demo_results import prompt_of, rows_of, write_files, write_page

DEFAULT_SAMPLE = Path(__file__).parents[1] / "find_core" / "share" / "samples" / "tabletop"
DEFAULT_PROMPT = "the <red bowl> in front of the <white mug>"
# How long the nodes may take to come up (a first load of weights), and to answer one frame.
START_S, SILENCE_S = 180.0, 120.0
# Starts a node of the name that follows.
START_MODULE = "find_ros.start"
ANSWER, OVERLAY = "/localizer/localization", "/localizer/overlay/compressed"


@dataclass
class Received:
    """Answers by stamp, in order of arrival; images wait here for the video."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    images: dict[int, np.ndarray] = field(default_factory=dict)
    prompt_error: str | None = None
    last_s: float = field(default_factory=time.monotonic)

    def on_answer(self, msg: Any) -> None:
        line = json.loads(msg.data)
        if not self.lines or line["stamp_ns"] > self.lines[-1]["stamp_ns"]:  # not a repetition
            self.lines.append(line)
        self.last_s = time.monotonic()

    def on_overlay(self, msg: Any) -> None:
        from find_ros.messages.images import compressed_to_rgb, stamp_to_ns

        self.images[stamp_to_ns(msg.header.stamp)] = compressed_to_rgb(msg)

    def on_prompt(self, msg: Any) -> None:
        self.prompt_error = json.loads(msg.data)["error"]


class Processes:
    """The two nodes as processes, each with its log in the output folder."""

    def __init__(self, out: Path) -> None:
        self.out, self._running = out, []  # type: ignore[var-annotated]

    def start(self, module: str, parameters: dict[str, Any]) -> subprocess.Popen[bytes]:
        arguments = [f"{name}:={json_text(value)}" for name, value in parameters.items()]
        command = [sys.executable, "-m", START_MODULE, module, "--ros-args"]
        for argument in arguments:
            command += ["-p", argument]
        with (self.out / f"{module}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self._running.append(process)
        return process

    def log_tail(self, module: str) -> str:
        path = self.out / f"{module}.log"
        lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
        return "\n".join(lines[-8:])

    def stop(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self._running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def main(args: Sequence[str] | None = None) -> int:
    options = _parse(args)
    console = Console()
    # A robot on the same network must not see this camera, nor this node the robot's.
    os.environ.setdefault("ROS_DOMAIN_ID", str(40 + os.getpid() % 50))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    options.out.mkdir(parents=True, exist_ok=True)
    processes = Processes(options.out)
    try:
        received = _play(options, processes, console)
        processes.stop()
        results = received.lines, received.images, options.threshold
        write_files(options.out, *results)
        with console.status("Lifting the recording into a field"):
            prompt, source = prompt_of(options.prompt), options.video or str(DEFAULT_SAMPLE)
            cloud = lifted_cloud(source, prompt, lambda: find_core.load(options.model))
        write_page(options.out, options.prompt, *results, cloud)
    except (FindError, RuntimeError) as error:
        console.print(f"[red]make demo:[/red] {error}", highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        processes.stop()
    _summary(console, options, received)
    return 0


def _parse(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m find_ros.demo",
        description="Play a recording into the localizer over DDS and keep what it says.",
        epilog='example: python -m find_ros.demo --video cups.mp4 --prompt "the <red cup>"',
    )
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for the results")
    parser.add_argument("--video", help="video file, folder or device; default: the shipped sample")
    parser.add_argument("--prompt", help=f"what to look for; default: {DEFAULT_PROMPT!r}")
    parser.add_argument("--model", default="find-tabletop", help="as the localizer's parameter")
    parser.add_argument(
        "--fps", type=number(above=0), default=5.0, help="frames a second taken of a video"
    )
    parser.add_argument(
        "--threshold", type=fraction, default=0.5, help="of the timeline's intervals"
    )
    return parser.parse_args(args)


def _prompt(options: argparse.Namespace) -> str:
    """The prompt asked for, or the one that comes with the sample."""
    if options.prompt:
        return str(options.prompt)
    meta = DEFAULT_SAMPLE / "meta.json"
    if not options.video and meta.is_file():
        return str(json.loads(meta.read_text(encoding="utf-8")).get("prompt", DEFAULT_PROMPT))
    return DEFAULT_PROMPT


def _play(options: argparse.Namespace, processes: Processes, console: Console) -> Received:
    """Run both nodes to the end of the recording."""
    import rclpy
    from sensor_msgs.msg import CompressedImage
    from std_msgs.msg import String

    from find_ros.support import qos

    options.prompt = _prompt(options)
    source = options.video or str(DEFAULT_SAMPLE)
    if not options.video and not DEFAULT_SAMPLE.is_dir():
        raise RuntimeError(f"The sample is not at {DEFAULT_SAMPLE}: give VIDEO=path.")
    total = _count(source, options.fps)  # says at once when there is nothing to play
    localizer = processes.start(
        "localizer",
        {
            "model": options.model,
            "prompt": options.prompt,
            "image_reliability": "reliable",
            "max_age_s": 0.0,
            "jpeg_quality": 92,
        },
    )
    rclpy.init(args=[])
    node = rclpy.create_node("find_ros_demo")
    received = Received()
    try:
        node.create_subscription(String, ANSWER, received.on_answer, 50)
        node.create_subscription(CompressedImage, OVERLAY, received.on_overlay, 50)
        node.create_subscription(
            String, "/localizer/prompt_status", received.on_prompt, qos.LATCHED
        )
        with console.status("Starting the localizer"):
            _await_localizer(node, localizer, received, processes)
        player = processes.start(
            "camera_player",
            {
                "source": source,
                "reliability": "reliable",
                "lockstep_topic": ANSWER,
                "lockstep_timeout_s": 20.0,
                "max_fps": options.fps,
                "exit_at_end": True,
                "wait_for_subscriber_s": 30.0,
            },
        )
        _collect(node, localizer, player, received, processes, total, console)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return received


def _await_localizer(
    node: Any, process: subprocess.Popen[bytes], received: Received, processes: Processes
) -> None:
    import rclpy

    end_s = time.monotonic() + START_S
    while received.prompt_error is None or not node.count_publishers(OVERLAY):
        rclpy.spin_once(node, timeout_sec=0.1)
        if process.poll() is not None or time.monotonic() > end_s:
            raise RuntimeError(f"the localizer did not start:\n{processes.log_tail('localizer')}")
        log = processes.log_tail("localizer")
        if "Not configured:" in log:
            raise RuntimeError(log.split("Not configured:")[1].strip())
    if received.prompt_error:
        raise RuntimeError(received.prompt_error)


def _collect(
    node: Any,
    localizer: subprocess.Popen[bytes],
    player: subprocess.Popen[bytes],
    received: Received,
    processes: Processes,
    total: int | None,
    console: Console,
) -> None:
    import rclpy

    received.last_s, ended_s = time.monotonic(), None
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Localizing", total=total)
        while ended_s is None or time.monotonic() - ended_s < 1.0:
            rclpy.spin_once(node, timeout_sec=0.1)
            progress.update(task, completed=len(received.lines))
            if ended_s is None and player.poll() is not None:
                ended_s = time.monotonic()
            if localizer.poll() is not None:
                raise RuntimeError(f"the localizer ended:\n{processes.log_tail('localizer')}")
            if time.monotonic() - received.last_s > SILENCE_S:
                raise RuntimeError(f"no answer for {SILENCE_S:.0f} s; see the logs in --out.")
    if player.returncode or not received.lines:
        tail = processes.log_tail("camera_player" if player.returncode else "localizer")
        raise RuntimeError(f"nothing arrived:\n{tail}")


def _count(source: str, fps: float) -> int | None:
    """About how many frames will be played, for the progress bar; None where that is not known."""
    from find_ros.sources.open import open_player_source

    opened = open_player_source(source)
    if not opened.frame_count or not opened.duration_s:
        return None
    return min(opened.frame_count, round(opened.duration_s * fps) + 1)


def _summary(console: Console, options: argparse.Namespace, received: Received) -> None:
    lines = received.lines
    table = Table(title=f"{options.prompt}  ({len(lines)} frames)", title_justify="left")
    for column in ("entity", "found in", "best score", "at", "tracks"):
        table.add_column(column)
    for row in rows_of(lines):
        share = f"{row.found_in} of {row.frames}"
        best, when = f"{row.best_score:.2f}", f"{row.best_s:.1f} s"
        table.add_row(row.label, share, best, when, str(row.tracks))
    console.print(table)
    names = "localizations.jsonl, annotated.mp4, timeline.png"
    console.print(f"{options.out}/: {names}", highlight=False)
    console.print(f"Open {options.out / 'index.html'}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
