"""Does every node end at the first SIGINT or SIGTERM, at any moment after its start?

    python tools/end_nodes.py --tries 30 --busy 2 --json out/end_nodes.json

A node is started as `ros2 run` starts it, gets one signal at a random moment, and has to be gone
within 2 s, without a traceback. `--busy` processes compete for the CPUs meanwhile.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.support.json_text import figures_text

LIMIT_S, GIVE_UP_S = 2.0, 20.0
NODES: dict[str, list[str]] = {
    "localizer": ["model:=find-tabletop", "prompt:='the <mug>'", "use_depth:=true"],
    "field_server": ["model:=find-tabletop", "lift_live:=true"],
    "camera_player": ["source:={source}", "loop:=true"],
}
SPIN = "while True: pass"


def one_try(node: str, number: signal.Signals, after_s: float, source: Path) -> dict[str, Any]:
    """Start, wait, signal; how it ended."""
    command = [sys.executable, "-m", "find_ros.start", node, "--ros-args"]
    for value in NODES[node]:
        command += ["-p", value.format(source=source)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with tempfile.TemporaryFile("w+b") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        time.sleep(after_s)
        by_itself = process.poll()
        began_s = time.monotonic()
        process.send_signal(number)
        try:
            status: int | None = process.wait(GIVE_UP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = None
        seconds = time.monotonic() - began_s
        log.seek(0)
        said = log.read().decode(errors="replace")
    return {"signal": number.name, "after_s": round(after_s, 2), "seconds": round(seconds, 2),
            "status": status, "ended_by_itself": by_itself, "said": said}  # fmt: skip


def judge(tried: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts, and what is wrong."""
    seconds = [t["seconds"] for t in tried]
    return {
        "tries": len(tried),
        "late": sum(s > LIMIT_S for s in seconds),
        "hung": sum(t["status"] is None for t in tried),
        "tracebacks": sum("Traceback" in t["said"] for t in tried),
        "ended_by_themselves": sum(t["ended_by_itself"] is not None for t in tried),
        "statuses": dict(sorted(Counter(str(t["status"]) for t in tried).items())),
        "seconds": {"median": float(np.median(seconds)), "longest": max(seconds)},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--tries", type=int, default=30, help="of each node")
    parser.add_argument("--node", action="append", choices=sorted(NODES), help="only these")
    parser.add_argument(
        "--within-s",
        type=float,
        default=10.0,
        help="the signal comes by then; on a busy machine nodes need longer to be up",
    )
    parser.add_argument("--busy", type=int, default=2, help="processes that take the CPUs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    # A shell's background jobs ignore SIGINT, and so would the nodes.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rivals = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(options.busy)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "images"
            source.mkdir()
            for n in range(5):
                cv2.imwrite(str(source / f"{n}.png"), np.full((48, 64, 3), 40 * n, np.uint8))
            found = {node: _tries(node, source, options) for node in options.node or NODES}
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(figures_text(found, indent=1) + "\n")
    return int(any(f["late"] or f["hung"] or f["tracebacks"] for f in found.values()))


def _tries(node: str, source: Path, options: argparse.Namespace) -> dict[str, Any]:
    rng, tried = random.Random(f"{options.seed} {node}"), []
    for _ in range(options.tries):
        number = rng.choice((signal.SIGINT, signal.SIGTERM))
        tried.append(one_try(node, number, rng.uniform(0, options.within_s), source))
        newest = tried[-1]
        if newest["seconds"] > LIMIT_S or "Traceback" in newest["said"]:
            print(node, {k: v for k, v in newest.items() if k != "said"})
            print("   ", "\n    ".join(newest["said"].strip().splitlines()[-15:]), flush=True)
    found = judge(tried)
    print(node, figures_text(found), flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
