"""What the live page costs: how far it is behind the overlay topic, and what the localizer notices.

    python benchmarks/live_page.py --json benchmarks/results/live_page.json --check
    python benchmarks/live_page.py --model tiny --rounds 1 --seconds 3        # a dry run

A camera of 10 Hz, the localizer and the page are processes that speak over DDS on this machine; the
page is open in Debian's Chromium. Each image carries its number as black and white squares, which the
browser reads from what it shows. The cost is a ratio: the same localizer with the page closed and open,
in turns. (`benchmarks/page` is something else: it writes docs/benchmarks.md.) About six minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.page.format import shipped
from benchmarks.report import publish
from find_core.images import read_image
from find_ros.support.resources import use_fastdds_profile

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "find_core/share/samples/tabletop/rgb"
SLEEP_MS = 50
HZ = 10.0
BITS, SQUARE_PX, CODE_TOP = 12, 50, 440
TARGETS = {"behind_p95_ms": 150.0, "cost": 0.05, "ten_rate": 0.5, "ten_gap_s": 1.0, "leave_s": 30.0}
"""Of the rate of answers: what one page may take, and what ten must leave; seconds of silence beyond
those without a page; seconds until the subscriptions are gone."""
IMAGE = '[data-testid="picture"] img'
WATCH = """
    const css = arguments[0], bits = arguments[1], square = arguments[2], top = arguments[3];
    const canvas = document.createElement('canvas');
    window.findSeen = [];
    document.addEventListener('load', event => {
        const image = event.target;
        if (!image.matches || !image.matches(css)) return;
        requestAnimationFrame(() => {
            const shown = performance.timeOrigin + performance.now();
            canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
            const context = canvas.getContext('2d', {willReadFrequently: true});
            context.drawImage(image, 0, 0);
            let number = 0;
            for (let k = 0; k < bits; k++)
                if (context.getImageData(square * (k + 0.5), top + 20, 1, 1).data[0] > 127) number |= 1 << k;
            window.findSeen.push([number, shown / 1000]);
        });
    }, true);"""


def main() -> int:
    options, given = _parse()
    if options.node:
        return _node(given)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    use_fastdds_profile()
    import rclpy

    rclpy.init(args=[])
    robot = Robot()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    report: dict[str, Any] = {"machine": machine, "model": options.model, "camera_hz": HZ}
    report["fingerprint"] = shipped()[0] if options.model == "find-tabletop" else None
    load_before = os.getloadavg()[0]
    try:
        with _localizer(robot, f"sleep-{SLEEP_MS}", "<x>"):
            report["latency"] = _latency(robot, options.seconds * options.rounds)
        with _localizer(robot, options.model, "the <red bowl> and the <white mug>") as process:
            report |= _cost(robot, process.pid, options.rounds, options.seconds)
    finally:
        robot.close()
        rclpy.try_shutdown()
    report["load_average"] = {"before": load_before, "after": os.getloadavg()[0]}
    report["missed"] = _missed(report)
    publish(report, options.json)
    print("\n".join(report["missed"]), file=sys.stderr)
    return 1 if options.check and report["missed"] else 0


def _parse() -> tuple[argparse.Namespace, list[str]]:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    add = parser.add_argument
    add("--model", default="find-tabletop", help="of the localizer whose cost is measured")
    add("--rounds", type=int, default=6, help="closed and open, so many times")
    add("--seconds", type=float, default=15.0, help="of each measurement")
    add("--json", type=Path, help="write the figures here")
    add("--check", action="store_true", help="exit 1 when a target is missed")
    add("--node", action="store_true", help=argparse.SUPPRESS)  # the localizer's process
    return parser.parse_known_args()


class Robot:
    """The camera, and what listens to the localizer, in this process.

    Attributes:
        answered_s: when an answer came, `time.monotonic`.
        overlaid_s: number of an image -> when its overlay came, seconds since 1970.
    """

    def __init__(self) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import QoSProfile, ReliabilityPolicy
        from sensor_msgs.msg import Image
        from std_msgs.msg import String

        self.node = rclpy.create_node("live_page_benchmark")
        self.profile = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.answered_s: list[float] = []
        self.overlaid_s: dict[int, float] = {}
        self._numbers: dict[int, int] = {}  # by stamp
        self._images = [read_image(path) for path in sorted(SAMPLE.glob("*.jpg"))]
        self._camera = self.node.create_publisher(Image, "image", self.profile)
        self.node.create_subscription(String, "localizer/localization", self._on_answer, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=t, daemon=True) for t in (self._spin, self._publish)
        ]
        for thread in self._threads:
            thread.start()

    @contextlib.contextmanager
    def overlays(self) -> Iterator[None]:
        """Listen to the overlay topic."""
        from sensor_msgs.msg import Image

        subscription = self.node.create_subscription(
            Image, "localizer/overlay", self._on_overlay, self.profile
        )
        self._executor.wake()
        try:
            yield
        finally:
            self.node.destroy_subscription(subscription)

    def subscribers(self) -> dict[str, int]:
        """How many listen, by topic."""
        topics = ("/image", "/localizer/localization", "/diagnostics")
        return {topic: self.node.count_subscribers(topic) for topic in topics}

    def close(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(5)
        self.node.destroy_node()

    def _on_answer(self, msg: Any) -> None:
        self.answered_s.append(time.monotonic())

    def _on_overlay(self, msg: Any) -> None:
        from find_ros.messages.images import stamp_to_ns

        number = self._numbers.get(stamp_to_ns(msg.header.stamp))
        if number is not None:
            self.overlaid_s[number] = time.time()

    def _spin(self) -> None:
        while not self._ending.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def _publish(self) -> None:
        from std_msgs.msg import Header

        from find_ros.messages.images import array_to_image, stamp_to_ns

        began_s, number = time.monotonic(), 0
        while not self._ending.wait(max(0.0, began_s + number / HZ - time.monotonic())):
            image = coded(self._images[number % len(self._images)], number)
            header = Header(frame_id="camera", stamp=self.node.get_clock().now().to_msg())
            self._numbers[stamp_to_ns(header.stamp)] = number % 2**BITS
            self._camera.publish(array_to_image(image, "rgb8", header))
            number += 1


def coded(image: np.ndarray, number: int) -> np.ndarray:
    """(H, W, 3) uint8 with `number` (modulo 2**BITS) as squares at its bottom."""
    image = image.copy()
    for k in range(BITS):
        image[CODE_TOP:, SQUARE_PX * k : SQUARE_PX * (k + 1)] = 255 * (number >> k & 1)
    return image


@contextlib.contextmanager
def _localizer(robot: Robot, model: str, prompt: str) -> Iterator[subprocess.Popen[bytes]]:
    given = ["-p", f"model:={model}", "-p", f"prompt:={prompt}", "-p", "max_age_s:=0.0"]
    process = subprocess.Popen([sys.executable, __file__, "--node", "--ros-args", *given])
    before = len(robot.answered_s)
    try:
        _until(lambda: len(robot.answered_s) > before + 5, 300, "an answer", process)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _node(given: list[str]) -> int:
    from benchmarks.ros_latency import SleepFind
    from find_ros import localizer
    from find_ros.pipeline.model_loader import register_model

    register_model(f"sleep-{SLEEP_MS}", lambda device: SleepFind(SLEEP_MS / 1000))
    return int(localizer.main(given) or 0)


def _until(condition: Callable[[], Any], timeout_s: float, what: str, process: Any = None) -> float:
    """Seconds that it took."""
    began_s = time.monotonic()
    while not condition():
        if time.monotonic() - began_s > timeout_s or (process and process.poll() is not None):
            raise RuntimeError(f"{what} did not come within {timeout_s:.0f} s.")
        time.sleep(0.02)
    return time.monotonic() - began_s


def _latency(robot: Robot, seconds: float) -> dict[str, Any]:
    """From an overlay's arrival to the frame in which the browser shows that image."""
    from tests.web.browser import Browser, PageProcess

    with robot.overlays(), PageProcess(["-m", "find_ros.page"]) as served, Browser() as browser:
        browser.open(served.url)
        browser.wait(lambda: browser.natural_size(IMAGE)[0] > 0, "the first picture")
        browser.driver.execute_script(WATCH, IMAGE, BITS, SQUARE_PX, CODE_TOP)
        browser.wait(lambda: len(_seen(browser)) > 10, "pictures")
        robot.overlaid_s.clear()
        browser.driver.execute_script("window.findSeen = []")
        began_s = time.monotonic()
        time.sleep(seconds)
        overlay_hz = len(robot.overlaid_s) / (time.monotonic() - began_s)
        time.sleep(1.0)  # for what is on its way
        seen, overlaid = _seen(browser), dict(robot.overlaid_s)
    behind = [1e3 * (shown_s - overlaid[n]) for n, shown_s in seen if n in overlaid]
    if len(behind) < 5:
        raise RuntimeError(f"Of {len(overlaid)} overlays the browser showed {len(behind)} images.")
    p50, p95, p99 = np.percentile(behind, [50, 95, 99])
    return {
        "p50_ms": round(p50, 1), "p95_ms": round(p95, 1), "p99_ms": round(p99, 1),
        "max_ms": round(max(behind), 1), "overlays": len(overlaid), "shown": len(behind),
        "overlay_hz": round(overlay_hz, 2), "inference_ms": SLEEP_MS,
    }  # fmt: skip


def _seen(browser: Any) -> list[tuple[int, float]]:
    return browser.driver.execute_script("return window.findSeen || []")


def _cost(robot: Robot, pid: int, rounds: int, seconds: float) -> dict[str, Any]:
    """The localizer without a page, with one, and with ten; then what closing leaves."""
    from tests.web.browser import Browser, PageProcess

    with PageProcess(["-m", "find_ros.page"]) as served:
        # What the page before this one left in the graph goes first.
        _until(lambda: robot.subscribers()["/image"] == 1, 60, "the localizer's subscription alone")
        alone = robot.subscribers()
        with Browser() as browser:
            turns: dict[str, list[dict[str, float]]] = {"closed": [], "one": [], "ten": []}
            for n in range(rounds):
                # Both orders, so that a machine that becomes slower favours neither.
                for kind in ("closed", "one") if n % 2 == 0 else ("one", "closed"):
                    browser.open(served.url if kind == "one" else "about:blank")
                    wanted = alone["/image"] + (kind == "one")
                    _until(lambda w=wanted: robot.subscribers()["/image"] == w, 60, "the page")
                    turns[kind].append(_turn(robot, pid, seconds))
            _open_ten(browser, served.url)
            _until(lambda: robot.subscribers()["/image"] == alone["/image"] + 1, 60, "one set")
            turns["ten"].append(_turn(robot, pid, seconds))
            fresh = _fresh(browser)
        left_s = _until(lambda: robot.subscribers() == alone, 120, "the page's end")
    pairs = list(zip(turns["closed"], turns["one"]))
    ratios = {
        key: round(float(np.median([one[key] / closed[key] for closed, one in pairs])), 4)
        for key in ("answers_hz", "cpu_ms_per_answer")
    }
    closed_hz = float(np.median([turn["answers_hz"] for turn in turns["closed"]]))
    longest_s = max(turn["longest_gap_s"] for turn in turns["closed"])
    return {
        "turns": turns, "one_to_closed": ratios,
        "ten_to_closed_hz": round(turns["ten"][0]["answers_hz"] / closed_hz, 4),
        "ten_extra_gap_s": round(turns["ten"][0]["longest_gap_s"] - longest_s, 3),
        "ten_pages_fresh": fresh, "subscriptions_gone_s": round(left_s, 2), "subscribers": alone,
    }  # fmt: skip


def _turn(robot: Robot, pid: int, seconds: float) -> dict[str, float]:
    cpu_s, first, began_s = _cpu_s(pid), len(robot.answered_s), time.monotonic()
    time.sleep(seconds)
    times = np.array([began_s, *robot.answered_s[first:], time.monotonic()])
    answers, took_s = len(times) - 2, times[-1] - times[0]
    return {
        "answers_hz": round(answers / took_s, 4), "longest_gap_s": round(float(np.diff(times).max()), 3),
        "cpu_ms_per_answer": round(1e3 * (_cpu_s(pid) - cpu_s) / max(answers, 1), 3),
    }  # fmt: skip


def _cpu_s(pid: int) -> float:
    """User and system time of a process and its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _open_ten(browser: Any, url: str) -> None:
    browser.open(url)
    for _ in range(9):
        browser.driver.switch_to.new_window("window")
        browser.open(url)
    browser.wait(lambda: browser.natural_size(IMAGE)[0] > 0, "the tenth picture")


def _fresh(browser: Any) -> int:
    """How many pages go on to a newer picture within half a minute."""
    count = 0
    for handle in browser.driver.window_handles:
        browser.driver.switch_to.window(handle)
        address = browser.find(IMAGE).get_attribute("src")
        with contextlib.suppress(RuntimeError):
            _until(lambda a=address: browser.find(IMAGE).get_attribute("src") != a, 30, "a picture")
            count += 1
    return count


def _missed(report: dict[str, Any]) -> list[str]:
    """A sentence for each target that is missed."""
    latency, ratio = report["latency"], report["one_to_closed"]
    checks = {
        f"The page is {latency['p95_ms']} ms (p95) behind the overlay": latency["p95_ms"] > TARGETS["behind_p95_ms"],
        f"One page leaves {ratio['answers_hz']} of the answers": ratio["answers_hz"] < 1 - TARGETS["cost"],
        f"One page makes an answer cost {ratio['cpu_ms_per_answer']} times the processor": ratio["cpu_ms_per_answer"] > 1 + TARGETS["cost"],
        f"Ten pages leave {report['ten_to_closed_hz']} of the answers": report["ten_to_closed_hz"] < TARGETS["ten_rate"],
        f"With ten pages the node is silent {report['ten_extra_gap_s']} s longer": report["ten_extra_gap_s"] > TARGETS["ten_gap_s"],
        f"Of ten pages {report['ten_pages_fresh']} go on": report["ten_pages_fresh"] < 10,
        f"Subscriptions stay for {report['subscriptions_gone_s']} s": report["subscriptions_gone_s"] > TARGETS["leave_s"],
    }  # fmt: skip
    return [f"{sentence}: missed." for sentence, missed in checks.items() if missed]


if __name__ == "__main__":
    sys.exit(main())
