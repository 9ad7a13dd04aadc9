"""What encoding once and compiling once save, measured side by side in one run.

    python benchmarks/core.py --json out/core.json --check

Ratios, not absolute times: every pair is timed in alternation on the same machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import find_core as fc
from benchmarks.report import verdict
from find_core.images import read_image
from find_core.model import TokenGroup
from find_core.predictor import Find
from find_core.support.files import write_text
from find_core.support.json_text import figures_text

SAMPLE = Path(fc.__file__).parent / "share/samples/tabletop/rgb"
THINGS = ("mug", "plate", "bowl", "apple", "carton", "bear", "bottle", "spoon", "banana", "box",
          "can", "knife", "orange", "cup", "fork", "pear")  # fmt: skip
MOST = {
    # name: (most processor time over the other's, sentence when missed)
    "sixteen_prompts_1080p": (1.2, "sixteen prompts at 1080p cost more than 1.2x of 640x480"),
    "sixteen_prompts_4k": (1.6, "sixteen prompts at 4K cost more than 1.6x of 640x480"),
    "four_cameras_as_a_list": (1.05, "four images as one list cost more than one by one"),
}
TARGETS = {
    # name: (least ratio, sentence when missed)
    "compiled_prompt": (1.3, "a prompt compiled anew costs less than 1.3x a compiled one"),
    "encoded_scene": (4.0, "a further prompt on an encoded scene is less than 4x cheaper"),
    "eight_prompts": (1.2, "eight prompts in one batch are less than 1.2x cheaper than one by one"),
}


def milliseconds(*calls: Callable, rounds: int) -> list[float]:
    """Median processor times, taken in turns so that all see the same neighbours."""
    times: list[list[float]] = [[] for _ in calls]
    for i in range(rounds + 2):
        for store, call in zip(times, calls, strict=True):
            start = time.process_time()
            call()
            if i >= 2:  # warm-up
                store.append((time.process_time() - start) * 1e3)
    return [statistics.median(store) for store in times]


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
        slow_ms, fast_ms = milliseconds(slow, fast, rounds=rounds)
        found[name] = {"slow_ms": slow_ms, "fast_ms": fast_ms, "ratio": slow_ms / fast_ms}
    return found | sizes(find, rounds)


def sizes(find: Find, rounds: int) -> dict[str, dict[str, float]]:
    """What large images and lists cost over 640x480 and one by one."""
    sample = read_image(sorted(SAMPLE.glob("*.jpg"))[0])
    prompts = [find.compile(f"the <{thing}>") for thing in THINGS]
    shapes = ((640, 480), (1920, 1080), (3840, 2160))
    shown = [cv2.resize(sample, shape, interpolation=cv2.INTER_CUBIC) for shape in shapes]
    scenes = [find.encode(image) for image in shown]
    small, large, huge = milliseconds(
        *(lambda scene=scene: scene.localize_many(prompts) for scene in scenes), rounds=rounds
    )
    cameras = [shown[0], shown[0][::-1].copy(), shown[0][:, ::-1].copy(), 255 - shown[0]]
    singly, listed = milliseconds(
        lambda: [find.encode(image) for image in cameras],
        lambda: find.encode(cameras),
        rounds=rounds,
    )
    rows = (small, large), (small, huge), (singly, listed)
    found = {
        name: {"slow_ms": least, "fast_ms": most, "ratio": most / least}
        for name, (least, most) in zip(MOST, rows, strict=True)
    }
    one = milliseconds(lambda: scenes[0].localize_many(prompts[:1]), rounds=rounds)[0]
    further = (small - one) / (len(prompts) - 1)
    return found | {"further_prompt": {"slow_ms": one, "fast_ms": further, "ratio": one / further}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="See the top.")
    parser.add_argument("--model", default="find-tabletop")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    find = fc.load(args.model, device="cpu")
    figures = measure(find, args.rounds)
    for name, row in figures.items():
        print(
            f"{name:24s} {row['slow_ms']:8.1f} ms -> {row['fast_ms']:7.1f} ms  {row['ratio']:6.2f}x"
        )
    if args.json:
        about = {"fingerprint": find.fingerprint, "threads": torch.get_num_threads()}
        write_text(args.json, figures_text(about | figures, indent=1) + "\n")
    missed = [t[1] for n, t in TARGETS.items() if figures[n]["ratio"] < t[0]]
    missed += [t[1] for n, t in MOST.items() if figures[n]["ratio"] > t[0]]
    return verdict(missed, args.check)


if __name__ == "__main__":
    sys.exit(main())
