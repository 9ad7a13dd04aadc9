"""Large places: a long drive lifted, a large file opened and asked, the first query of a process.

    python benchmarks/field_large.py [--frames 2000] [--voxels 3000000] [--json out.json] [--check]

The drive goes through a flat of rooms, cast exactly, a new room every 40 frames; embeddings come from the
oracle. It is asked after every frame while it holds 200,000 to 400,000 voxels. The file holds copies of a
table top, one of which has what is asked for. It is opened and asked by a process of its own, which then says
how much of it is in its memory. The first query of a process is asked with the packaged model, of a small field
that it made. All times but "wall" are of the CPU, of one thread: the machine may be busy with other things.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import find_core
from benchmarks.field import _one_thing, timed
from benchmarks.report import publish, verdict
from find_field import FeatureField, Lifter, PosedFrame, lift
from find_field.evaluation.oracle import OracleFind, OracleScene
from find_field.evaluation.toy_world import ToyObject, cast_box, look_at, sample_world

TARGETS = {
    "lift_line_r2": 0.99,  # at least; all others at most
    "late_over_early": 1.3,
    "memory_line_r2": 0.98,
    "asked_while_lifting_p99_ms": 30.0,
    "query_ms": 60.0,
    "mapped_share_in_memory": 0.6,
    "first_query_s": 1.5,
}
AT_LEAST = ("lift_line_r2", "memory_line_r2")
ROOM_M, FRAMES_PER_ROOM = np.array([4.0, 4.0, 2.5]), 40
ASKED_FROM, ASKED_TO = 200_000, 400_000
NAMES = {0: "wall", 1: "red box", 2: "blue box", 3: "shelf"}


def room_frame(index: int, size_hw: tuple[int, int] = (180, 240)) -> tuple[PosedFrame, np.ndarray]:
    """What a robot sees on its way through the flat, and labels (H, W)."""
    room, step = divmod(index, FRAMES_PER_ROOM)
    rng = np.random.default_rng(room)
    corner = np.array([room * (ROOM_M[0] + 0.2), 0.0, 0.0])
    middle = corner + ROOM_M / 2
    boxes = []
    for size in ([0.5, 0.4, 0.6], [0.3, 0.3, 0.4], [0.4, 1.2, 1.5]):
        away, around = rng.uniform(1.1, 1.5), rng.uniform(0, 2 * np.pi)  # not where the robot goes
        place = [middle[0] + away * np.cos(around), middle[1] + away * np.sin(around), size[2] / 2]
        boxes.append(ToyObject("", place, size, rng.uniform(0, np.pi)))
    angle = 2 * np.pi * step / FRAMES_PER_ROOM
    eye = middle + [0.3 * np.cos(angle), 0.3 * np.sin(angle), 0.1]
    T = look_at(eye, middle + [2 * np.cos(angle), 2 * np.sin(angle), -0.8])
    height, width = size_hw
    K = np.array([[width, 0, width / 2 - 0.5], [0, width, height / 2 - 0.5], [0, 0, 1.0]])
    v, u = np.indices(size_hw)
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(size_hw)], -1)
    rays = rays.reshape(-1, 3) @ T[:3, :3].T
    with np.errstate(divide="ignore"):
        depth = np.maximum((corner - eye) / rays, (corner + ROOM_M - eye) / rays).min(axis=1)
    labels = np.zeros(len(rays), np.int32)
    for i, box in enumerate(boxes):
        t = cast_box(eye, rays, box)
        labels[t < depth] = i + 1
        depth = np.minimum(depth, t)
    rgb = np.full((*size_hw, 3), 90 + 40 * (room % 3), np.uint8)
    frame = PosedFrame(
        rgb, depth.reshape(size_hw).astype(np.float32), K, T, f"frame {index}", index
    )
    return frame, labels.reshape(size_hw)


def drive(frames: int) -> dict[str, Any]:
    """CPU seconds and memory while a flat is lifted, at every fiftieth of the way, and of queries in between."""
    oracle = OracleFind(NAMES.values())
    lifter, rows, spent, asked = Lifter(oracle, voxel_size_m=0.02), [], 0.0, []
    every = max(1, frames // 50)
    for index in range(frames):
        frame, labels = room_frame(index)
        scene = OracleScene(oracle, labels, NAMES)
        start = time.process_time()
        lifter.add(frame, scene)
        spent += time.process_time() - start
        if ASKED_FROM <= len(lifter) < ASKED_TO:
            if not asked:
                lifter.query(NAMES[1])  # the first one makes the search index
            asked += [_cpu_ms(lambda n=name: lifter.query(n)) for name in list(NAMES.values())[1:]]
        if index % every == every - 1:
            rows.append((index + 1, spent, resident_mb("VmRSS"), len(lifter)))
    n, seconds, memory, voxels = np.array(rows).T
    fifth = len(rows) // 5
    early, late = (
        seconds[fifth] / n[fifth],
        (seconds[-1] - seconds[-fifth - 1]) / (n[-1] - n[-fifth - 1]),
    )
    return {
        "frames": frames, "voxels": len(lifter), "lift_line_r2": _r2(n, seconds),
        "memory_line_r2": _r2(voxels, memory), "late_over_early": round(float(late / early), 3),
        "ms_per_frame": round(1e3 * spent / frames, 2), "memory_mb": [memory[0], memory[-1]],
        "asked_while_lifting": {
            "voxels": [ASKED_FROM, ASKED_TO], "queries": len(asked), **_quantiles(asked),
        },
        "at": [{"frames": int(a), "seconds": round(float(b), 2), "memory_mb": round(float(c), 1),
                "voxels": int(d)} for a, b, c, d in rows[::5]],
    }  # fmt: skip


def _cpu_ms(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return 1e3 * (time.process_time() - start)


def _quantiles(values_ms: list[float]) -> dict[str, float | None]:
    return {f"p{q}_ms": round(float(np.percentile(values_ms, q)), 2) if values_ms else None
            for q in (50, 99)}  # fmt: skip


def _r2(x: np.ndarray, y: np.ndarray) -> float:
    slope, offset = np.polyfit(x, y, 1)
    left = np.square(y - slope * x - offset).sum()
    return round(float(1 - left / max(np.square(y - y.mean()).sum(), 1e-12)), 4)


def resident_mb(name: str) -> float:
    """VmRSS (all), or RssFile (of mapped files), MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return float("nan")


_ASK = """
import json, sys, time
sys.path.insert(0, {root!r})
import find_field as ff
from benchmarks.field_large import resident_mb
from find_field.evaluation.toy_world import sample_world
oracle = sample_world(0, 8).oracle()
field = ff.load({small!r}); field.query("red box", oracle)     # imports are no part of it
before, start = resident_mb("RssFile"), time.process_time()
field = ff.load({path!r}, mapped=True)
opened = time.process_time()
assert len(field.query("red box", oracle)) == 1
print(json.dumps(dict(open_ms=1e3 * (opened - start), first_ms=1e3 * (time.process_time() - opened),
                      in_memory_mb=resident_mb("RssFile") - before)))
"""
_FIRST = """
import json, sys, time
sys.path.insert(0, {root!r})
clock = lambda: (time.process_time(), time.perf_counter())
marks = [clock()]
import find_core, find_field, torch
marks.append(clock())
find = find_core.load("find-tabletop")
marks.append(clock())
field = find_field.load({small!r}{find})
marks.append(clock())
field.query("the <red box>", find)
marks.append(clock())
field.query("the <blue box>", find)
marks.append(clock())
names = ("import_s", "model_s", "field_s", "first_query_s", "next_query_s")
print(json.dumps({{name + kind: b[n] - a[n] for n, kind in enumerate(("", "_wall"))
                  for name, a, b in zip(names, marks, marks[1:])}}))
"""


def _told(script: str, **names: Any) -> dict[str, float]:
    root = str(Path(__file__).resolve().parents[1])
    code = script.format(root=root, **names)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {k: round(v, 3) for k, v in json.loads(done.stdout.splitlines()[-1]).items()}


def small_field() -> tuple[FeatureField, Any]:
    world = sample_world(0, 8)
    oracle = world.oracle()
    lifter = Lifter(oracle, voxel_size_m=0.01)
    for frame in world.frames(8, (240, 320), oracle=oracle):
        lifter.add(frame)
    return lifter.field(), oracle


def command(field: Path) -> dict[str, float]:
    """CPU seconds of `find-field query`, from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "find_field.cli", "query", str(field), "the <red box>", "--json"],
                   capture_output=True, check=True, cwd=Path(__file__).resolve().parents[1])  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2)}


def of_the_model() -> FeatureField:
    """A small field that the packaged model made."""
    frames = sample_world(0, 8).frames(2, (240, 320))
    return lift(frames, find_core.load("find-tabletop"), voxel_size_m=0.01)


def files(voxels: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """A large file, asked resident and mapped; and the first query of a process."""
    base, oracle = small_field()
    without = base.crop(base.relevancy("red box", oracle)[0] < 0.1)
    large = _one_thing(base, without, voxels)
    with tempfile.TemporaryDirectory() as folder:
        small, path = base.save(Path(folder) / "small.field"), Path(folder) / "large.field"
        start = time.perf_counter()
        large.save(path, search=True)
        row: dict[str, Any] = {"voxels": len(large), "save_s": round(time.perf_counter() - start, 2),
                               "file_mb": round(path.stat().st_size / 2**20, 1)}  # fmt: skip
        row["query_ms"] = timed(lambda: large.query("red box", oracle), 3)
        row["mapped"] = _told(_ASK, path=str(path), small=str(small))
        row["mapped_share_in_memory"] = round(row["mapped"]["in_memory_mb"] / row["file_mb"], 3)
        yield "file", row
        asked = of_the_model().save(Path(folder) / "asked.field")
        yield "process", {"with_the_model": _told(_FIRST, small=str(asked), find=", find"),
                          "without": _told(_FIRST, small=str(asked), find=""),
                          "command": command(asked)}  # fmt: skip


def check(report: dict[str, Any]) -> list[str]:
    """The targets that were missed."""
    found = {
        name: report["drive"][name]
        for name in ("lift_line_r2", "memory_line_r2", "late_over_early")
    }
    asked = report["drive"]["asked_while_lifting"]["p99_ms"]
    if asked is not None:
        found["asked_while_lifting_p99_ms"] = asked
    found |= {"query_ms": report["file"]["query_ms"]["cpu"],
              "mapped_share_in_memory": report["file"]["mapped_share_in_memory"],
              "first_query_s": max(
                  report["process"][way]["first_query_s"] for way in ("with_the_model", "without"))}  # fmt: skip
    return [f"{name}: {value}, aim {TARGETS[name]}" for name, value in found.items()
            if (value < TARGETS[name] if name in AT_LEAST else value > TARGETS[name])]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument(
        "--frames", type=int, default=2000, help="of the drive (default: %(default)s)"
    )
    parser.add_argument("--voxels", type=int, default=3_000_000, help="of the file (default: %(default)s)")  # fmt: skip
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    report: dict[str, Any] = {"drive": drive(options.frames)}
    report |= dict(files(options.voxels)) | {"targets": TARGETS}
    publish(report, options.json, indent=2)
    return verdict(check(report), options.check)


if __name__ == "__main__":
    sys.exit(main())
