"""How much the localizer node adds to the model, and how old its answers are.

    python benchmarks/ros_latency.py --json out/ros_latency.json
    python benchmarks/ros_latency.py --model tiny --frames 20        # without weights

The node under measurement is the real one, spun in this process so that its own clocks can be read;
cameras and listeners are another process, over DDS, with the shipped Fast DDS profile.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from find_core.prompts.prompt import as_prompt
from find_core.results import Entity, Instance, Localization
from find_core.support.files import write_text
from find_core.support.json_text import figures_text, json_text
from find_ros.support.resources import use_fastdds_profile

TARGET_OVERHEAD_MS, TARGET_AGE_MARGIN_MS, TARGET_JAIN = 5.0, 15.0, 0.99
SIZES = {"640x480": (640, 480), "1280x720": (1280, 720)}


class SleepFind:
    """A model that takes a known time: what is measured around it is the node's."""

    device, name, config = "cpu", "sleep", SimpleNamespace(threshold=0.5)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def compile(self, prompt: Any) -> Any:
        prompt = as_prompt(prompt)
        return SimpleNamespace(prompt=prompt, entity_embeddings=np.eye(4)[: len(prompt.entities)])

    def encode(self, image: np.ndarray) -> SleepFind:
        self.size = image.shape[:2]
        time.sleep(self.seconds)
        return self

    def localize_many(self, prompts: Any, **options: Any) -> list[Localization]:
        mask = np.zeros(self.size, bool)
        mask[10:60, 20:90] = True
        instance = Instance(0.9, mask, np.array([20.0, 10, 90, 60]), np.eye(4)[0])
        one = {k: getattr(instance, k) for k in ("score", "mask", "box_xyxy", "embedding")}
        entity = Entity(**one, label="x", found=True, instances=(instance,))
        return [Localization(0.9, (entity,), *self.size) for _ in prompts]


# Inference times measured with, milliseconds: models "sleep-50" and so on.
SLEEPS_MS = (50, 100, 300)


def _register_models() -> None:
    from find_ros.pipeline.model_loader import register_model

    for ms in SLEEPS_MS:
        register_model(f"sleep-{ms}", lambda device, s=ms / 1000: SleepFind(s))


def main() -> int:
    options = _parse()
    if options.camera:
        return _camera(json.loads(options.camera))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    use_fastdds_profile()
    import rclpy

    rclpy.init(args=[])
    _register_models()
    results: dict[str, Any] = {"machine": _machine(), "model": options.model}
    load_before = os.getloadavg()[0]
    results["overhead"] = {
        name: _overhead(options.model, size, options.frames) for name, size in SIZES.items()
    }
    results["age"] = {f"{ms} ms": _age(ms, options.seconds) for ms in (100, 300)}
    results["fairness"] = _fairness(options.seconds)
    results["prompt_swap"] = _swap(options.model, options.swaps)
    results["first_sentence_s"] = _first_sentence()
    rclpy.try_shutdown()
    results["load_average"] = {"before": load_before, "after": os.getloadavg()[0]}
    missed = _report(results)
    if options.json:
        write_text(options.json, figures_text(results, indent=1) + "\n")
    return 1 if options.check and missed else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="find-tabletop", help="of overhead and prompt swap")
    parser.add_argument("--frames", type=int, default=60, help="for each picture size")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each 60 Hz run")
    parser.add_argument("--swaps", type=int, default=10, help="prompt changes")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--camera", help=argparse.SUPPRESS)  # the other process
    return parser.parse_args()


# The node, in this process.


@contextmanager
def _localizer(parameters: dict[str, Any]) -> Iterator[Any]:
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.parameter import Parameter

    from find_ros.localizer import Localizer

    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    node = Localizer(parameter_overrides=overrides)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    ending = threading.Event()

    def spin() -> None:
        while not ending.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        _until(lambda: node.prompts is not None and node.prompts.active and node.pipelines, 300)
        yield node
    finally:
        ending.set()
        thread.join(5)
        node.close()
        node.destroy_node()


def _until(condition: Callable[[], Any], timeout_s: float) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            raise RuntimeError(f"Nothing happened for {timeout_s:.0f} s: is DDS working?")
        time.sleep(0.01)


@contextmanager
def _cameras(**plan: Any) -> Iterator[None]:
    command = [sys.executable, __file__, "--camera", json_text(plan)]
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


# What is measured.


def _overhead(model: str, size: tuple[int, int], frames: int) -> dict[str, float]:
    """One frame at a time, the next when the last was answered: nothing waits for its turn."""
    warm_up = 5
    with (
        _localizer(
            {"model": model, "prompt": "the <mug> next to the <bowl>", "max_age_s": 0.0}
        ) as node,
        _cameras(size=size, hz=0.0, topics=["image"], lockstep="/localizer/localization"),
    ):
        timing = node.pipelines[""].timing
        _until(lambda: len(timing.turnaround_s) >= frames + warm_up, 60 + 5.0 * frames)
        turnaround = np.array(timing.turnaround_s)[warm_up:]
        inference = np.array(timing.inference_s)[warm_up : len(timing.turnaround_s)]
    both = min(len(turnaround), len(inference))
    return _percentiles_ms(turnaround[:both] - inference[:both]) | {
        "inference_p50_ms": round(float(np.median(inference)) * 1e3, 2),
        "frames": both,
    }


def _age(inference_ms: int, seconds: float) -> dict[str, float]:
    """60 Hz of 640x480 into a slow model: from the image's stamp to the last publish."""
    model = f"sleep-{inference_ms}"
    with (
        _localizer({"model": model, "prompt": "<x>", "max_age_s": 0.0}) as node,
        _cameras(size=SIZES["640x480"], hz=60.0, topics=["image"]),
    ):
        pipeline, counters = node.pipelines[""], node.store.counters[""]
        _until(lambda: len(pipeline.timing.age_s) >= 3, 60)
        pipeline.timing.age_s.clear()
        before = counters.snapshot()["received"]
        time.sleep(seconds)
        received = counters.snapshot()["received"] - before
        ages = np.array(pipeline.timing.age_s)
    out = _percentiles_ms(ages) | {"frames": len(ages), "received_hz": round(received / seconds, 1)}
    return out | {"target_p99_ms": 2 * inference_ms + TARGET_AGE_MARGIN_MS}


def _fairness(seconds: float) -> dict[str, Any]:
    """Four cameras at 30, 30, 15 and 60 Hz; the model could serve 20 frames a second in all."""
    names = ["front", "back", "left", "right"]
    parameters = {"model": "sleep-50", "prompt": "<x>", "cameras": names}
    topics = [f"{name}/image" for name in names]
    with _localizer(parameters | {"max_age_s": 0.0}) as node, _cameras(
        size=SIZES["640x480"], hz=30.0, topics=topics, factors=[1, 1, 0.5, 2]
    ):  # fmt: skip
        counters = node.store.counters
        _until(lambda: all(counters[n].published > 2 for n in names), 60)
        start = {n: counters[n].published for n in names}
        time.sleep(seconds)
        shares = np.array([counters[n].published - start[n] for n in names], float)
    jain = float(shares.sum() ** 2 / (len(shares) * (shares**2).sum()))
    return {"published": shares.astype(int).tolist(), "jain": round(jain, 5)}


def _swap(model: str, swaps: int) -> dict[str, float]:
    """Intervals between answers, those across a prompt change against the others."""
    from std_msgs.msg import String

    prompts = [f"the <{color} {thing}>" for thing in ("mug", "bowl", "box", "can", "plate")
               for color in ("red", "blue", "white", "green", "black")]  # fmt: skip
    with (
        _localizer({"model": model, "prompt": "the <mug>", "max_age_s": 0.0}) as node,
        _cameras(size=SIZES["640x480"], hz=30.0, topics=["image"]),
    ):
        heard: list[tuple[float, str]] = []
        node.create_subscription(
            String,
            "~/localization",
            lambda m: heard.append((time.monotonic(), json.loads(m.data)["prompt"])),
            10,
        )
        _until(lambda: len(heard) > 5, 120)
        for prompt in prompts[:swaps]:
            count = len(heard)
            node.prompts.submit(prompt)
            _until(lambda p=prompt: heard[-1][1] == p, 60)
            _until(lambda c=count: len(heard) > c + 5, 60)
    times, texts = np.array([t for t, _ in heard]), [p for _, p in heard]
    gaps = np.diff(times)
    # The compile runs beside the frames before the first answer to the new prompt.
    near = np.zeros(len(gaps), bool)
    for n in range(len(gaps)):
        near[n] = any(texts[k] != texts[k + 1] for k in range(max(0, n - 1), min(n + 2, len(gaps))))
    near[:5] = False
    calm = gaps[5:][~near[5:]]
    return {
        "interval_p50_ms": round(float(np.median(calm)) * 1e3, 1),
        "interval_p99_ms": round(float(np.quantile(calm, 0.99)) * 1e3, 1),
        "swap_interval_p50_ms": round(float(np.median(gaps[near])) * 1e3, 1),
        "swap_interval_max_ms": round(float(gaps[near].max()) * 1e3, 1),
        "gap_over_one_frame_ms": round(float(gaps[near].max() - np.median(calm)) * 1e3, 1),
    }


def _first_sentence() -> float:
    """Seconds from 'Active' to the first sentence about what is missing."""
    from diagnostic_msgs.msg import DiagnosticArray

    with _localizer({"model": "sleep-50", "prompt": "<x>"}) as node:
        began_s, said = time.monotonic(), []
        node.create_subscription(
            DiagnosticArray,
            "/diagnostics",
            lambda m: said.append("no publisher on /image" in m.status[0].message),
            10,
        )
        _until(lambda: any(said), 60)
        return round(time.monotonic() - began_s, 2)


def _percentiles_ms(seconds: np.ndarray) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    return {"p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)}


# The cameras, in the other process.


def _camera(plan: dict[str, Any]) -> int:
    use_fastdds_profile()
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header, String

    from find_ros.messages.images import array_to_image

    rclpy.init(args=[])
    node = rclpy.create_node("cameras")
    profile = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publishers = [node.create_publisher(Image, t, profile) for t in plan["topics"]]
    answered = threading.Event()
    node.create_subscription(Image, "/localizer/label_image", lambda m: None, 5)
    if plan.get("lockstep"):
        node.create_subscription(String, plan["lockstep"], lambda m: answered.set(), 5)

    def spin() -> None:
        with contextlib.suppress(Exception):  # the other process ends this one in mid-spin
            rclpy.spin(node)

    threading.Thread(target=spin, daemon=True).start()
    width, height = plan["size"]
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    message = array_to_image(rgb, "rgb8", Header(frame_id="camera"))
    factors = plan.get("factors") or [1.0] * len(publishers)
    due = [0.0] * len(publishers)
    began_s = time.monotonic()
    try:
        while rclpy.ok():
            for k, publisher in enumerate(publishers):
                if plan["hz"] and time.monotonic() - began_s < due[k]:
                    continue
                message.header.stamp = node.get_clock().now().to_msg()
                answered.clear()
                publisher.publish(message)
                due[k] += 1 / (plan["hz"] * factors[k]) if plan["hz"] else 0
            if plan.get("lockstep"):
                answered.wait(3.0)
                time.sleep(0.02)
            else:
                next_s = began_s + min(due)
                time.sleep(max(0.0005, next_s - time.monotonic()))
    except Exception:
        return 0  # shut down in the middle of a frame
    return 0


def _machine() -> str:
    import torch

    where = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {where}, Python {platform.python_version()}"
    )


def _report(results: dict[str, Any]) -> list[str]:
    """Print a table; the names of missed targets."""
    from rich.console import Console
    from rich.table import Table

    rows = []
    for size, o in results["overhead"].items():
        target = TARGET_OVERHEAD_MS if size == "640x480" else float("inf")
        rows.append((f"overhead p50, {size}, ms", o["p50_ms"], target, o["p50_ms"] <= target))
        rows.append((f"overhead p99, {size}, ms", o["p99_ms"], float("inf"), True))
    for name, a in results["age"].items():
        target = a["target_p99_ms"]
        rows.append((f"age p99, 60 Hz into {name}, ms", a["p99_ms"], target, a["p99_ms"] <= target))
    jain = results["fairness"]["jain"]
    rows.append(("Jain index, four cameras", jain, TARGET_JAIN, jain >= TARGET_JAIN))
    swap = results["prompt_swap"]
    frame_ms, gap_ms = swap["interval_p50_ms"], swap["gap_over_one_frame_ms"]
    rows.append(("prompt swap: extra gap, ms", gap_ms, frame_ms, gap_ms <= frame_ms))
    rows.append(("first 'waiting' sentence, s", results["first_sentence_s"], 5.0,
                 results["first_sentence_s"] <= 5.0))  # fmt: skip
    table = Table(title=f"{results['machine']}; model {results['model']}")
    for column in ("what", "measured", "target", "met"):
        table.add_column(column)
    for what, measured, target, met in rows:
        shown = "" if target == float("inf") else f"{target:g}"
        table.add_row(what, f"{measured:g}", shown, "yes" if met else "NO")
    Console().print(table)
    return [what for what, _, _, met in rows if not met]


if __name__ == "__main__":
    sys.exit(main())
