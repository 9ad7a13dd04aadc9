"""What encoding once and compiling once save, measured side by side in one run.

    python benchmarks/core.py --json out/core.json --check

Ratios, not absolute times: every pair is timed in alternation on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import find_core as fc
from find_core.model import TokenGroup
from find_core.predictor import Find
from find_core.support.files import write_text

TARGETS = {
    # name: (least ratio, sentence when missed)
    "compiled_prompt": (1.3, "a prompt compiled anew costs less than 1.3x a compiled one"),
    "encoded_scene": (4.0, "a further prompt on an encoded scene is less than 4x cheaper"),
    "eight_prompts": (1.2, "eight prompts in one batch are less than 1.2x cheaper than one by one"),
}


def milliseconds(slow: Callable, fast: Callable, rounds: int) -> tuple[float, float]:
    """Median times of both, taken in turns so that both see the same neighbours."""
    times: tuple[list[float], list[float]] = ([], [])
    for i in range(rounds + 2):
        for store, call in zip(times, (slow, fast), strict=True):
            start = time.perf_counter()
            call()
            if i >= 2:  # warm-up
                store.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[0]), statistics.median(times[1])


def measure(find: Find, rounds: int) -> dict[str, dict[str, float]]:
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    text = "the <white mug> next to the <plate>"
    prompts = [find.compile(f"the <{thing}>") for thing in "abcdefgh"]
    compiled, scene = find.compile(text), find.encode(image)

    def uncompiled() -> None:
        find._compile(fc.Prompt.parse(text))
        scene.localize(compiled)

    pairs = {
        "compiled_prompt": (uncompiled, lambda: scene.localize(compiled)),
        "encoded_scene": (
            lambda: find.encode(image).localize(compiled),
            lambda: scene.localize(compiled),
        ),
        "eight_prompts": (
            lambda: [scene.localize(p) for p in prompts],
            lambda: scene.localize_many(prompts),
        ),
        "object_match": (lambda: scene.localize(compiled), lambda: scene.relevance(compiled)),
    }
    assert TokenGroup.OBJECT in scene.objects.embeddings  # computed before timing starts
    found = {}
    for name, (slow, fast) in pairs.items():
        slow_ms, fast_ms = milliseconds(slow, fast, rounds)
        found[name] = {"slow_ms": slow_ms, "fast_ms": fast_ms, "ratio": slow_ms / fast_ms}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="See the top.")
    parser.add_argument("--model", default="find-tabletop")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    figures = measure(fc.load(args.model, device="cpu"), args.rounds)
    for name, row in figures.items():
        print(
            f"{name:18s} {row['slow_ms']:8.1f} ms -> {row['fast_ms']:7.1f} ms  {row['ratio']:6.2f}x"
        )
    if args.json:
        text = json.dumps({"threads": torch.get_num_threads(), **figures}, indent=1)
        write_text(args.json, text + "\n")
    missed = [t[1] for n, t in TARGETS.items() if figures[n]["ratio"] < t[0]]
    if args.check and missed:
        print(f"Target missed: {missed[0]}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
