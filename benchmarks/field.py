"""What fields cost: lifting, memory, queries, and that order does not matter.

    python benchmarks/field.py [--json out.json] [--check] [--quick]

Worlds are cast exactly (find_field.evaluation.toy_world) and embeddings come from the oracle, so that no model's
time is in the numbers. Everything runs on one thread, so that CPU time is what an idle machine would
take; wall time stands beside it and shows what else was running. `--check` compares CPU times with
the targets and fails when one is missed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import argparse
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import publish, verdict
from find_field import Channel, FeatureField, Lifter
from find_field.evaluation.toy_world import sample_world

TARGETS = {
    "lift_ms_per_frame": 50.0,
    "semantic_bytes_per_voxel": 160.0,
    "query_ms_at_200k": 20.0,
    "incremental_difference": 1e-5,
}
_TWO = "the <red box> and the <violin>"
SIZES = (10_000, 30_000, 100_000, 200_000, 300_000, 1_000_000, 3_000_000)


def timed(run: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Milliseconds of one call: median CPU time, and median and 90th percentile of wall time."""
    run()
    return stopwatch([run] * repeats)


def stopwatch(runs: list[Callable[[], Any]]) -> dict[str, float]:
    wall, cpu = [], []
    for run in runs:
        start = time.perf_counter(), time.process_time()
        run()
        wall.append(1e3 * (time.perf_counter() - start[0]))
        cpu.append(1e3 * (time.process_time() - start[1]))
    return {"cpu": round(float(np.median(cpu)), 2), "wall": round(float(np.median(wall)), 2),
            "wall_p90": round(float(np.quantile(wall, 0.9)), 2)}  # fmt: skip


class _Encoded:
    """A scene whose maps are already there: lifting is timed without encoding."""

    def __init__(self, scene: Any) -> None:
        self._map = scene.semantic_map()

    def semantic_map(self) -> tuple[np.ndarray, np.ndarray]:
        return self._map


def lifting(quick: bool) -> dict[str, Any]:
    """Milliseconds per 640x480 frame beyond encoding, and incremental against batch."""
    world = sample_world(0, 8)
    oracle = world.oracle()
    frames = world.frames(6 if quick else 24, (480, 640), oracle=oracle)
    scenes = [_Encoded(oracle.encode(frame.rgb)) for frame in frames]
    first = Lifter(oracle, voxel_size_m=0.01)
    for frame, scene in zip(frames, scenes, strict=True):
        first.add(frame, scene)
    basis = first.field().channels["semantic"].basis
    lifter = Lifter(oracle, voxel_size_m=0.01, basis=basis)
    pairs = zip(frames, scenes, strict=True)
    times = stopwatch([lambda f=f, s=s: lifter.add(f, s) for f, s in pairs])
    field = lifter.field()
    field.query("red box", oracle)
    return {
        "frame": "640x480, 1 cm voxels, rank 48",
        "lift_ms_per_frame": times,
        "snapshot_ms": timed(lifter.field, 5),
        "voxels": len(field),
        "bytes_per_voxel": {k: round(v, 1) for k, v in field.bytes_per_voxel().items()},
        "incremental_difference": _order_difference(frames, scenes, oracle, basis),
    }  # fmt: skip


def _order_difference(frames: list, scenes: list, oracle: Any, basis: np.ndarray) -> float:
    """Largest difference of a coefficient when frames come the other way round."""
    rows = []
    pairs = list(zip(frames, scenes, strict=True))
    for order in (pairs, pairs[::-1]):
        lifter = Lifter(oracle, voxel_size_m=0.01, basis=basis)
        for frame, scene in order:
            lifter.add(frame, scene)
        ijk = lifter.field().ijk
        rows.append(lifter.coefficients()[np.lexsort(ijk.T[::-1])])
    return float(np.abs(rows[0] - rows[1]).max())


def tiled(field: FeatureField, count: int) -> FeatureField:
    """`count` voxels: copies of a table top beside each other, as a larger building would have."""
    copies = -(-count // len(field))
    width = int(np.ptp(field.ijk[:, 0])) + 3
    shift = np.repeat(np.arange(copies) * width, len(field))[:count]
    rows = np.tile(np.arange(len(field)), copies)[:count]
    out = field.crop(rows)
    step = np.zeros((count, 3), np.int32)
    step[:, 0] = shift
    points = out.points_world_m + step.astype(np.float32) * np.float32(field.voxel_size_m)
    return replace(out, ijk=out.ijk + step, points_world_m=points)


def after_a_frame(quick: bool) -> dict[str, Any]:
    """Milliseconds of a query after one more frame: of the warm field, and of a copy made for it."""
    world = sample_world(0, 8)
    oracle = world.oracle()
    frames = world.frames(6, (480, 640), oracle=oracle)
    scenes = [_Encoded(oracle.encode(frame.rgb)) for frame in frames]
    first = Lifter(oracle, voxel_size_m=0.01)
    for frame, scene in zip(frames, scenes, strict=True):
        first.add(frame, scene)
    base = first.field()
    without = base.crop(base.relevancy("red box", oracle)[0] < 0.1)
    lifter = Lifter(oracle, start=_one_thing(base, without, 50_000 if quick else 300_000))
    lifter.query("red box")
    warm, copied = [], []
    for frame, scene in zip(frames, scenes, strict=True):
        for runs, ask in ((warm, lambda: lifter.query("red box")),
                          (copied, lambda: lifter.field().query("red box", oracle))):  # fmt: skip
            lifter.add(frame, scene)
            runs.append(stopwatch([ask])["cpu"])
    return {"voxels": len(lifter), "warm_ms": round(float(np.median(warm)), 2),
            "copied_ms": round(float(np.median(copied)), 2)}  # fmt: skip


def querying(quick: bool) -> list[dict[str, Any]]:
    """Milliseconds of one query (one entity; two entities) against the field's size."""
    world = sample_world(0, 8)
    oracle = world.oracle()
    lifter = Lifter(oracle, voxel_size_m=0.01)
    for frame in world.frames(8, (240, 320), oracle=oracle):
        lifter.add(frame)
    base, rows = lifter.field(), []
    # One copy has the thing that is asked for, the others lose it: the work is that of a large
    # field, not that of a hundred hits.
    without = base.crop(base.relevancy("red box", oracle)[0] < 0.1)
    for size in SIZES[:4] if quick else SIZES:
        large = _one_thing(base, without, size)
        repeats = 3 if size > 500_000 else 9
        row = {"voxels": len(large), "first_ms": _first(large, oracle)}
        row["one_entity_ms"] = timed(lambda f=large: f.query("red box", oracle), repeats)
        row["two_entities_ms"] = timed(lambda f=large: f.query(_TWO, oracle), repeats)
        assert len(large.query("red box", oracle)) == 1
        rows.append(row)
    return rows


def _one_thing(base: FeatureField, without: FeatureField, size: int) -> FeatureField:
    if size <= len(base):
        keep = np.argsort(np.linalg.norm(base.points_world_m, axis=1))[:size]
        return base.crop(np.sort(keep))
    rest = tiled(without, size - len(base))
    away = np.array([3 * int(np.ptp(base.ijk[:, 0])), 0, 0], np.int32)
    joined = {name: np.concatenate([getattr(base, name), getattr(rest, name)])
              for name in ("colors", "weight", "count", "times_seen", "last_seen_ns")}  # fmt: skip
    points = rest.points_world_m + (away * base.voxel_size_m).astype(np.float32)
    channel = base.channels["semantic"]
    other = rest.channels["semantic"]
    both = Channel(channel.basis, np.concatenate([channel.coefficients, other.coefficients]),
                   np.concatenate([channel.variance, other.variance]))  # fmt: skip
    return replace(base, ijk=np.concatenate([base.ijk, rest.ijk + away]), channels={"semantic": both},
                   points_world_m=np.concatenate([base.points_world_m, points]), **joined)  # fmt: skip


def _first(field: FeatureField, oracle: Any) -> dict[str, float]:
    """Milliseconds of a field's first query, which also builds its search index."""
    return stopwatch([lambda: field.query("red box", oracle)])


def straight_line(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Least squares of time over size, and how much of the variance the line explains."""
    n = np.array([row["voxels"] for row in rows], float)
    t = np.array([row["one_entity_ms"]["cpu"] for row in rows])
    slope, offset = np.polyfit(n, t, 1)
    left = np.square(t - slope * n - offset).sum() / max(np.square(t - t.mean()).sum(), 1e-12)
    return {"ms_per_million": round(slope * 1e6, 2), "offset_ms": round(offset, 2), "r2": round(1 - left, 4)}  # fmt: skip


def check(report: dict[str, Any]) -> list[str]:
    """The targets that were missed."""
    lift, missed = report["lifting"], []
    bytes_ = lift["bytes_per_voxel"]
    found = {
        "lift_ms_per_frame": lift["lift_ms_per_frame"]["cpu"],
        "semantic_bytes_per_voxel": bytes_["semantic"] + bytes_["search index"],
        "incremental_difference": lift["incremental_difference"],
    }
    at_200k = [r for r in report["querying"] if r["voxels"] == 200_000]
    if at_200k:
        found["query_ms_at_200k"] = at_200k[0]["one_entity_ms"]["cpu"]
    for name, value in found.items():
        if value > TARGETS[name]:
            missed.append(f"{name}: {value} is above {TARGETS[name]}")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--quick", action="store_true", help="fewer frames, up to 200 k voxels")
    options = parser.parse_args()
    rows = querying(options.quick)
    report = {"machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(),
                          "python": platform.python_version(), "numpy": np.__version__},
              "lifting": lifting(options.quick), "after_a_frame": after_a_frame(options.quick),
              "querying": rows,
              "query_line": straight_line(rows), "targets": TARGETS}  # fmt: skip
    publish(report, options.json, indent=2)
    return verdict(check(report), options.check)


if __name__ == "__main__":
    sys.exit(main())
