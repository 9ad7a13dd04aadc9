"""What computes a frame how fast, and how exactly: the runtimes of docs/speed.md, side by side.

    python benchmarks/runtime.py --json out/runtime.json --check

A new frame of 640x480 and one prompt, with 1 and 2 threads, all runtimes in turns in one process.
"before" is the slow twin: the plain modules, as training runs them. Ratios, not absolute times: with
1 thread of processor time, which other programs disturb little; with 2 of wall time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from find_core.runtime import process

process.prepare()  # before torch, as our entry points do

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

import find_core as fc  # noqa: E402
from benchmarks.report import verdict  # noqa: E402
from find_core.images import read_image  # noqa: E402
from find_core.predictor import Find  # noqa: E402
from find_core.results import Localization  # noqa: E402
from find_core.support.files import write_text  # noqa: E402
from find_core.support.json_text import figures_text  # noqa: E402

SAMPLES = Path(fc.__file__).parent / "share/samples/tabletop/rgb"
THINGS = ("mug", "plate", "bowl", "red thing", "bottle", "banana", "box", "white cup")
RUNTIMES = ("torch", "onnxruntime", "openvino", "openvino-bf16")
TARGETS: dict[str, tuple[Sequence[str], float]] = {
    # what: (rows, at least one of which is so many times as fast)
    "exact, 1 thread, over before": (("1 onnxruntime", "1 openvino", "1 torch"), 2.4),
    "OpenVINO bf16, 1 thread, over before": (("1 openvino-bf16",), 3.4),
    "2 threads over 1, exact": (("2/1 onnxruntime", "2/1 openvino"), 1.5),
}
# Maps agree to 1e-5 (tests). Where a proposal may look is a threshold on them: a pixel that lies on it
# moves single vectors by more, the folded torch path's as well as onnxruntime's.
SAME_ANSWERS = 1e-3
STARTUP_S, RESIDENT_MB = 4.0, 900


class Before:
    """The image path as it was: the modules as they are given, nothing folded, nothing kept."""

    name = "before"

    def __init__(self, find: Find) -> None:
        self._find = find

    def __call__(self, images: torch.Tensor) -> Any:
        return self._find.model.image_state(self._find.vision(images))


def open_finds(loaded: Find) -> dict[str, Find]:
    """One `Find` a runtime, with the threads that torch has now; those that are not there are left out."""

    def again(runtime: str) -> Find:
        return Find(loaded.model, loaded.vision, loaded.language, device="cpu", runtime=runtime)

    finds = {"before": again("torch")}
    finds["before"].runtime = Before(finds["before"])
    made = {runtime: again(runtime) for runtime in RUNTIMES}
    return finds | {name: find for name, find in made.items() if find.runtime_name == name}


def times(calls: dict[str, Callable], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """(processor, wall) milliseconds of each call in each round; all calls take turns."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for i in range(rounds + 2):
        for name, call in calls.items():
            cpu, wall = time.process_time(), time.perf_counter()
            call()
            if i >= 2:  # warm-up
                spent = time.process_time() - cpu, time.perf_counter() - wall
                found[name].append((1e3 * spent[0], 1e3 * spent[1]))
    return found


def ratio(slow: list[tuple[float, float]], fast: list[tuple[float, float]], clock: int) -> float:
    """Median over rounds: both calls of a round saw the same neighbours."""
    return statistics.median(a[clock] / b[clock] for a, b in zip(slow, fast, strict=True))


def measure(model: str, rounds: int, images: int) -> dict[str, Any]:
    """Speeds at 1 and 2 threads, and what share of a frame is left per stage."""
    image, calls = read_image(sorted(SAMPLES.iterdir())[0]), {}
    kept: dict[int, dict[str, Find]] = {}
    loaded = fc.load(model, device="cpu", runtime="torch")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        kept[threads] = open_finds(loaded)
        for name, find in kept[threads].items():
            prompt = find.compile("the <white mug> next to the <plate>")

            def frame(find: Find = find, prompt: Any = prompt, threads: int = threads) -> None:
                torch.set_num_threads(threads)
                find.encode(image).localize(prompt)

            calls[f"{threads} {name}"] = frame
    found = times(calls, rounds)
    rows = {
        key: {"cpu_ms": statistics.median(t[0] for t in ts), "wall_ms": statistics.median(t[1] for t in ts)}
        for key, ts in found.items()
    }  # fmt: skip
    ratios = {}
    for key, ts in found.items():
        threads, _, name = key.partition(" ")
        ratios[key] = ratio(found[f"{threads} before"], ts, int(threads) - 1)
        if threads == "2":
            ratios[f"2/1 {name}"] = ratio(found[f"1 {name}"], ts, 1)
    torch.set_num_threads(1)
    return {
        "frame": rows,
        "ratios": ratios,
        "differences": differences(kept[1], images),
        **floor(kept[1]),
    }


def differences(finds: dict[str, Find], count: int) -> dict[str, dict[str, float]]:
    """Largest differences of vectors and scores from "before", and how masks agree, on the samples."""
    files = sorted(SAMPLES.iterdir())
    images = [read_image(path) for path in files[:: max(1, len(files) // count)]]
    answers = {name: [_answers(find, image) for image in images] for name, find in finds.items()}
    found = {}
    for name, mine in answers.items():
        if name == "before":
            continue
        worst, scores, flips, ious = 0.0, 0.0, 0, []
        for (vectors, results), (twin_vectors, twin_results) in zip(mine, answers["before"], strict=True):  # fmt: skip
            worst = max(worst, float(np.abs(vectors - twin_vectors).max()))
            for a, b in zip(results, twin_results, strict=True):
                x, y = a.entities[0], b.entities[0]
                scores = max(scores, abs(x.score - y.score))
                flips += x.found != y.found
                if y.found:
                    either = (x.mask | y.mask).sum()
                    ious.append(float((x.mask & y.mask).sum() / max(1, either)))
        found[name] = {
            "embedding": worst,
            "score": scores,
            "found_flips": flips,
            "questions": len(images) * len(THINGS),
            "least_iou_of_found": min(ious, default=1.0),
            "mean_iou_of_found": statistics.fmean(ious) if ious else 1.0,
        }
    return found


def _answers(find: Find, image: np.ndarray) -> tuple[np.ndarray, list[Localization]]:
    scene = find.encode(image)
    vectors = np.concatenate([scene.embedding[None], scene.object_embeddings])
    return vectors, [scene.localize(f"the <{thing}>") for thing in THINGS]


def floor(finds: dict[str, Find]) -> dict[str, float]:
    """What a frame's arithmetic needs at this machine's measured peak, 1 thread, float32."""
    find, image = finds["before"], read_image(sorted(SAMPLES.iterdir())[0])
    prompt = find.compile("the <white mug> next to the <plate>")
    with FlopCounterMode(display=False) as counter:
        find.encode(image).localize(prompt)
    matrix, maps = torch.randn(1024, 1024), torch.randn(1, 128, 64, 96)
    maps = maps.to(memory_format=torch.channels_last)
    conv = torch.nn.Conv2d(128, 128, 3, padding=1, bias=False).to(memory_format=torch.channels_last)
    work = {
        "matmul": (lambda: matrix @ matrix, 2 * 1024**3),
        "convolution": (lambda: conv(maps), 2 * 64 * 96 * 9 * 128**2),
    }
    with torch.inference_mode():
        spent = times({name: call for name, (call, _) in work.items()}, 20)
    best = max(work[name][1] / min(t[0] for t in ts) / 1e6 for name, ts in spent.items())
    flop = counter.get_total_flops()
    return {"gflop": flop / 1e9, "peak_gflop_s": best, "floor_ms": flop / best / 1e6}


STARTUP = """
import time; start = time.perf_counter()
from find_core.runtime import process; process.prepare()
import find_core as fc, re, sys, torch
from pathlib import Path
from find_core.images import read_image
torch.set_num_threads(1)
imported = time.perf_counter()
find = fc.load(sys.argv[1], device="cpu", runtime=sys.argv[3])
scene = find.encode(read_image(sys.argv[2])); scene.localize("the <mug>")
done = time.perf_counter()
# Not getrusage: a child begins with the peak of the process that started it.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(imported - start, done - imported, time.process_time(), peak, find.runtime_name)
"""
MALLOC = """
import sys, time, torch, statistics
sys.path.insert(0, "benchmarks")
import runtime
find = runtime.fc.load(sys.argv[1], device="cpu", runtime=sys.argv[3])
if sys.argv[3] == "torch": find.runtime = runtime.Before(find)
torch.set_num_threads(1)
image = runtime.read_image(sys.argv[2]); prompt = find.compile("the <mug>")
spent = runtime.times({"": lambda: find.encode(image).localize(prompt)}, 10)[""]
print(statistics.median(t[0] for t in spent))
"""


def child(code: str, *arguments: str, **environment: str) -> list[str]:
    """The words that a fresh process prints last."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def startup(model: str, repeats: int) -> dict[str, Any]:
    """Seconds to the first answer and peak memory of a fresh process, and what keeping memory gives."""
    image = str(sorted(SAMPLES.iterdir())[0])
    found: dict[str, Any] = {}
    for runtime in ("torch", "auto"):
        runs = [child(STARTUP, model, image, runtime) for _ in range(repeats)]
        best = min(runs, key=lambda r: float(r[1]))
        names = ("import_s", "load_and_first_answer_s", "cpu_s", "peak_rss_mb")
        found[runtime] = {n: float(v) for n, v in zip(names, best[:4], strict=True)}
        found[runtime]["runtime"] = best[4]
        pairs = [
            [float(child(MALLOC, model, image, runtime, FIND_MALLOC=on)[0]) for on in "01"]
            for _ in range(repeats)
        ]
        found[runtime]["malloc_kept_ratio"] = statistics.median(off / on for off, on in pairs)
    return found


def report(figures: dict[str, Any]) -> None:
    least = figures["floor_ms"]
    print(
        f"{figures['gflop']:.1f} GFLOP a frame, peak {figures['peak_gflop_s']:.0f} GFLOP/s (1 thread, "
        f"fp32): floor {least:.0f} ms"
    )
    for key, row in figures["frame"].items():
        threads = key.split()[0]
        text = f"{key:18s} cpu {row['cpu_ms']:7.1f} ms  wall {row['wall_ms']:7.1f} ms  "
        text += f"{figures['ratios'][key]:5.2f}x before"
        if threads == "1":
            text += f"  {row['cpu_ms'] / least:5.2f}x the floor"
        print(text)
    for key, value in figures["ratios"].items():
        if key.startswith("2/1"):
            print(f"{key:18s} {value:5.2f}x")
    for name, row in figures["differences"].items():
        print(name, {k: float(f"{v:.3g}") for k, v in row.items()})
    for name, row in figures["startup"].items():
        print("start", name, row)


def missed(figures: dict[str, Any]) -> list[str]:
    """A sentence for each target that is missed, or cannot be measured here."""
    out = []
    for what, (rows, least) in TARGETS.items():
        there = [figures["ratios"][r] for r in rows if r in figures["ratios"]]
        if not there:
            out.append(f"{what}: not measured, the runtime is not installed or not possible here")
        elif max(there) < least:
            out.append(f"{what}: {max(there):.2f}x, wanted {least}x")
    start = figures["startup"]["auto"]
    if start["load_and_first_answer_s"] > STARTUP_S:
        out.append(
            f"first answer after {start['load_and_first_answer_s']:.1f} s, wanted {STARTUP_S}"
        )
    if start["peak_rss_mb"] > RESIDENT_MB:
        out.append(f"{start['peak_rss_mb']:.0f} MB resident, wanted {RESIDENT_MB}")
    for name, row in figures["differences"].items():
        apart = max(row["embedding"], row["score"]) > SAME_ANSWERS or row["found_flips"]
        if name != "openvino-bf16" and apart:
            out.append(f"{name} is not exact: {row}")
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="See the top.")
    parser.add_argument("--model", default="find-tabletop")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--images", type=int, default=12, help="samples whose answers are compared")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    args = parser.parse_args()
    figures = measure(args.model, args.rounds, args.images)
    figures["fingerprint"] = fc.load(args.model, device="cpu", runtime="torch").fingerprint
    figures["startup"] = startup(args.model, max(1, args.rounds // 5))
    report(figures)
    figures["missed"] = missed(figures)
    if args.json:
        write_text(args.json, figures_text(figures, indent=1) + "\n")
    return verdict(figures["missed"], args.check)


if __name__ == "__main__":
    sys.exit(main())
