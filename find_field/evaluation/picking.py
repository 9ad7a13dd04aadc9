"""How far off what a pick needs is: the gripper's opening and the supporting surface's height.

    python -m find_field.evaluation.picking SEQUENCE... [--exact N] [--model find-tabletop | oracle] [--json OUT]

Every object with a name of its own is asked for by it; what is found right is compared with the truth. The
true height is that of the object's lowest point, or of the bottom of its true box. The true opening is measured, for the same pose
of the gripper, on the object's own pixels in all views: at full resolution, with true masks and depth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import find_core
from find_core.errors import FindError
from find_core.protocols import FindLike
from find_core.support.command_line import number, whole
from find_core.support.json_text import figures_text
from find_field.evaluation.evaluate import cases
from find_field.evaluation.ground_truth import GroundTruth, SceneObject, open_truth, truth_of_world
from find_field.evaluation.toy_world import sample_world
from find_field.field.feature_field import FeatureField
from find_field.field.hits import FieldHit
from find_field.field.surroundings import surroundings
from find_field.geometry.grasping import opening, top_down_pose
from find_field.lift import lift

DEPTH_M = 0.03
AIMS_MM = {"width_mm": 8.0, "support_mm": 5.0}


@dataclass(frozen=True)
class Pick:
    """One object. Differences from the truth, millimetres; None where there was no answer."""

    name: str
    width_mm: float | None
    support_mm: float | None
    unseen: float


def picks(field: FeatureField, find: FindLike, truth: GroundTruth) -> list[Pick]:
    """Of everything that `field` finds right by its name."""
    surfaces, out = truth.surface_points(), []
    for case in cases(truth, range(0)):
        target = case.targets[0]
        if case.kind != "text" or target.id not in surfaces:
            continue
        for hit in field.query(case.prompt, find).entities[0].hits[:1]:
            if truth.owner(hit.points_world_m) == target.id:
                out.append(_pick(field, hit, target, surfaces[target.id]))
    return out


def _pick(field: FeatureField, hit: FieldHit, target: SceneObject, surface: np.ndarray) -> Pick:
    around = surroundings(field, hit)
    T_world_gripper = top_down_pose(hit.T_world_object, hit.extent_m, DEPTH_M)
    width, true_width = (
        _width(points, T_world_gripper) for points in (hit.points_world_m, surface)
    )
    up = hit.T_world_object[:3, 2]
    floor = target.bottom_m
    if floor is None:
        floor = float(target.center_world_m @ up) - _half_height(target, up)
    return Pick(
        target.name,
        None if width is None or true_width is None else 1000 * (width - true_width),
        None if around.support_m is None else 1000 * (around.support_m - floor),
        around.unseen,
    )


def _width(points: np.ndarray, T_world_gripper: np.ndarray) -> float | None:
    ends = opening(points, T_world_gripper)
    return None if ends is None else ends[1] - ends[0]


def _half_height(target: SceneObject, up: np.ndarray) -> float:
    return float(np.abs(target.T_world_object[:3, :3].T @ up) @ target.extent_m) / 2


def summarise(rows: Sequence[Pick]) -> dict[str, Any]:
    """Medians and 90th percentiles of the absolute differences, and how many had an answer."""
    out: dict[str, Any] = {"objects": len(rows)}
    for name in AIMS_MM:
        values = np.abs([v for row in rows if (v := getattr(row, name)) is not None])
        out[name] = {"answered": len(values)}
        if len(values):
            out[name] |= {"median": round(float(np.median(values)), 2),
                          "p90": round(float(np.percentile(values, 90)), 2)}  # fmt: skip
    return out


def main(args: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m find_field.evaluation.picking", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("sequences", nargs="*", type=Path, help="rendered sequences with truth")
    parser.add_argument("--exact", type=whole(), default=0, metavar="N", help="also N exact worlds")
    parser.add_argument(
        "--model", default="find-tabletop", help="or 'oracle' (default: %(default)s)"
    )
    parser.add_argument(
        "--voxel", type=number(1e-4, 100), default=0.01, help="metres (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="file to write every object into")
    parser.add_argument("--check", action="store_true", help="exit 1 when a median misses its aim")
    options = parser.parse_args(args)
    try:
        rows = [row for truth in _truths(options) for row in _of_truth(truth, options)]
    except FindError as error:
        print(f"picking: {error}", file=sys.stderr)
        return 2
    summary = summarise(rows)
    text = figures_text({"summary": summary, "aims": AIMS_MM, "model": options.model,
                         "objects": [asdict(row) for row in rows]}, indent=2)  # fmt: skip
    if options.json:
        options.json.write_text(text + "\n")
    print(figures_text(summary, indent=2))
    missed = [n for n, aim in AIMS_MM.items() if summary[n].get("median", np.inf) > aim]
    for name in missed:
        print(f"missed: {name} of {summary[name]} is above {AIMS_MM[name]}", file=sys.stderr)
    return 1 if options.check and missed else 0


def _truths(options: argparse.Namespace) -> Iterable[GroundTruth]:
    yield from map(open_truth, options.sequences)
    for seed in range(options.exact):
        yield truth_of_world(sample_world(seed, 5 + seed % 4))


def _of_truth(truth: GroundTruth, options: argparse.Namespace) -> list[Pick]:
    find = truth.oracle() if options.model == "oracle" else find_core.load(options.model)
    return picks(lift(truth.frames, find, voxel_size_m=options.voxel), find, truth)


if __name__ == "__main__":
    sys.exit(main())
