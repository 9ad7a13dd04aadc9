"""Where should the gripper go? From a prompt to a top-down grasp, printed and drawn.

    python examples/pick_from_field.py room.field "the <white mug> left of the <book>"
    python examples/pick_from_field.py --demo            # an exact toy world, no model needed

The grasp is the simplest that works for upright things on a table: come down along 'up', close the
fingers across the narrower side of the thing's box, a finger's depth below its top and never into what it
stands on. How far they open is measured on the surface that was seen between them. It is a proposal in
the field's world frame, not a collision check: what is printed beside it says how much room there is above,
and how much of the thing nobody saw.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import find_field as ff
from examples.grasps import Grasp, grasp_box
from find_core.errors import FindError
from find_field.geometry.grasping import opening


def top_down_grasp(
    hit: ff.FieldHit, finger_depth_m: float = 0.03, clearance_m: float = 0.01,
    around: ff.Surroundings | None = None,
) -> Grasp:  # fmt: skip
    """Grasp across the narrower horizontal side of a hit's box, from above.

    Args:
        finger_depth_m: how far below its top the fingertips go (at most to the middle).
        clearance_m: opening beyond the thing's own width, on each side; and above what it stands on.
        around: what is around the hit; without it the fingertips may touch what the thing stands on.
    """
    grasp = grasp_box(hit.T_world_object, hit.extent_m, hit.score, finger_depth_m, clearance_m)
    T = grasp.T_world_gripper.copy()
    if around is not None and around.support_m is not None:
        up = -T[:3, 2]
        too_low = around.support_m + clearance_m - float(T[:3, 3] @ up)
        T[:3, 3] += up * min(max(too_low, 0.0), hit.extent_m[2] / 2)  # not above its top
    ends = opening(hit.points_world_m, T)
    if ends is None:
        return Grasp(T, grasp.width_m, grasp.score)
    T[:3, 3] += T[:3, 0] * sum(ends) / 2
    return Grasp(T, ends[1] - ends[0] + 2 * clearance_m, grasp.score)


def main() -> int:
    options = _parse()
    try:
        field, find, prompt = _demo() if options.demo else _open(options)
        hits = field.query(prompt, find)
    except FindError as error:
        print(error, file=sys.stderr)
        return 2
    target = hits.entities[0]  # the first thing that the prompt names is the one to pick
    if not target.found:
        print(f"No {target.label} here (best score {target.best_score:.2f}).", file=sys.stderr)
        return 1
    around = field.surroundings(target.hits[0])
    grasp = top_down_grasp(target.hits[0], around=around)
    print(json.dumps({
        "frame": field.frame, "label": target.label, "score": round(grasp.score, 3),
        "position_m": grasp.position_m.round(4).tolist(), "approach": grasp.approach.round(4).tolist(),
        "T_world_gripper": grasp.T_world_gripper.round(5).tolist(), "width_m": round(grasp.width_m, 4),
        "around": around.to_json(),
    }, indent=2, allow_nan=False))  # fmt: skip
    if grasp.width_m > options.max_width:
        print(f"Wider than the gripper's {options.max_width} m.", file=sys.stderr)
    if around.free_above_m is not None and around.free_above_m < options.room_above:
        print(f"Only {around.free_above_m:.2f} m are free above it.", file=sys.stderr)
    if around.unseen > 0.5:
        print(
            f"{around.unseen:.0%} of it was never seen: look at it from more sides.",
            file=sys.stderr,
        )
    draw(field, target.hits[0], grasp, options.out)
    return 0


def draw(field: ff.FeatureField, hit: ff.FieldHit, grasp: Grasp, path: Path) -> None:
    """A picture from above with the thing's box, the fingers and the closing direction."""
    import cv2

    from find_field.geometry.pinhole import transform
    from find_field.io.render import top_view, top_view_camera

    picture = top_view(field, hits=[hit])
    T_camera_world, low, scale = top_view_camera(field, picture.shape[1])
    reach = grasp.T_world_gripper[:3, 0] * grasp.width_m / 2
    ends = transform(T_camera_world, np.stack([grasp.position_m - reach, grasp.position_m + reach]))
    a, b = (tuple(int(v) for v in (end[:2] - low) * scale) for end in ends)
    cv2.line(picture, a, b, (60, 255, 120), 2, cv2.LINE_AA)
    for end in (a, b):
        cv2.circle(picture, end, 5, (60, 255, 120), -1, cv2.LINE_AA)
    cv2.imwrite(str(path), picture[..., ::-1])
    print(f"drawn into {path}", file=sys.stderr)


def _demo() -> tuple[ff.FeatureField, Any, str]:
    from find_field.evaluation.toy_world import sample_world

    world = sample_world(seed=2, count=7)
    oracle = world.oracle()
    frames = world.frames(16, (240, 320), oracle=oracle)
    return ff.lift(frames, oracle), oracle, "the <white box> next to the <red box>"


def _open(options: argparse.Namespace) -> tuple[ff.FeatureField, Any, str]:
    import find_core

    if options.field is None or options.prompt is None:
        raise FindError("Give a field and a prompt, or --demo.")
    return ff.load(options.field), find_core.load(options.model), options.prompt


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("field", type=Path, nargs="?", help="a .field file")
    parser.add_argument("prompt", nargs="?", help='e.g. "the <mug>"; its first entity is picked')
    parser.add_argument("--model", default="find-tabletop")
    parser.add_argument("--demo", action="store_true", help="a toy world instead")
    parser.add_argument("--max-width", type=float, default=0.08, help="of the gripper, metres")
    parser.add_argument(
        "--room-above", type=float, default=0.15, help="that the gripper needs, metres"
    )
    parser.add_argument("--out", type=Path, default=Path("grasp.png"), help="picture to write")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
