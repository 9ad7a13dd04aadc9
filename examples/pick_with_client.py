"""Where should the gripper go? Asked of a running localizer, in the robot's base frame.

    python examples/pick_with_client.py "the <mug>" --target-frame base_link
    python examples/pick_with_client.py "the <thing>" --show thing=photo.png:40,30,180,170
    python examples/pick_with_client.py "the <mug>" --transform map 0.3 0 0.6 0 0 0 1

The localizer needs `use_depth`, and a `target_frame` whose z is up: boxes stand along it. Where that
is not the base, the transform comes from tf where tf2 is installed, or is given: the localizer's frame,
its position in the base (metres), its quaternion x y z w.
`GraspLeaf` is the same as a leaf of a behaviour tree: it never blocks the tick.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import MutableMapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.grasps import Grasp, grasp_box
from find_core.errors import FindError
from find_core.images import read_image
from find_core.prompts.prompt import Reference
from find_ros.client import Finder, LocateResult

# Cosine of 15 degrees.
MIN_UPRIGHT = 0.966


def grasp_of(result: LocateResult) -> Grasp:
    """The grasp for what was located, in the frame of its place.

    Raises:
        FindError: its box leans, so "from above" is not along it.
    """
    assert result.place is not None
    if result.place.T_frame_object[2, 2] < MIN_UPRIGHT:
        raise FindError(
            f"The box of {result.label!r} leans in {result.place.frame_id!r}: boxes stand along the up "
            "of the localizer's frame, so set its target_frame to one whose z is up (base_link)."
        )
    return grasp_box(result.place.T_frame_object, result.place.extent_m, result.score)


def find_grasp(
    finder: Finder, prompt: str, frame: str, timeout_s: float = 10.0, **references: Any
) -> Grasp:
    """Prompt to grasp pose in `frame`; raises the errors of `Finder.locate`."""
    return grasp_of(finder.locate(prompt, references, timeout_s=timeout_s, target_frame=frame))


class GraspLeaf:
    """A behaviour tree's leaf: `tick()` until it says "success" or "failure".

    Args:
        blackboard: takes the `Grasp` under "grasp", or a sentence under "error".
        question: of `Finder.locate`.
    """

    def __init__(
        self, finder: Finder, blackboard: MutableMapping[str, Any], **question: Any
    ) -> None:
        self._finder, self._blackboard, self._question = finder, blackboard, question
        self._asked: Future[LocateResult] | None = None

    def tick(self) -> str:
        """ "running" | "success" | "failure"; after an end the next tick asks anew."""
        try:
            if self._asked is None:
                self._asked = self._finder.locate_future(**self._question)
            if not self._asked.done():
                return "running"
            asked, self._asked = self._asked, None
            self._blackboard["grasp"] = grasp_of(asked.result())
        except FindError as error:
            self._blackboard["error"] = str(error)
            return "failure"
        return "success"

    def halt(self) -> None:
        """The tree went another way: take the question back."""
        if self._asked is not None:
            self._asked.cancel()
            self._asked = None


def main() -> int:
    options = _parse()
    transforms = {}
    try:
        if options.transform:
            frame, *numbers = options.transform
            transforms[options.target_frame, frame] = _matrix([float(n) for n in numbers])
        references = dict(_reference(text) for text in options.show)
        with Finder.standalone(localizer=options.localizer, transforms=transforms) as finder:
            grasp = find_grasp(
                finder, options.prompt, options.target_frame, options.timeout, **references
            )
    except (FindError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({
        "frame": options.target_frame, "score": round(grasp.score, 3),
        "position_m": grasp.position_m.round(4).tolist(), "approach": grasp.approach.round(4).tolist(),
        "T_frame_gripper": grasp.T_world_gripper.round(5).tolist(), "width_m": round(grasp.width_m, 4),
    }, indent=2, allow_nan=False))  # fmt: skip
    return 0


def _matrix(numbers: list[float]) -> np.ndarray:
    """(4, 4) of x y z and a quaternion x y z w."""
    from scipy.spatial.transform import Rotation

    T = np.eye(4)
    T[:3, 3], T[:3, :3] = numbers[:3], Rotation.from_quat(numbers[3:]).as_matrix()
    return T


def _reference(text: str) -> tuple[str, Reference]:
    """NAME=FILE:x1,y1,x2,y2 -> the name and the region of the image."""
    name, _, rest = text.partition("=")
    path, _, numbers = rest.rpartition(":")
    return name, Reference(read_image(path), box=tuple(float(n) for n in numbers.split(",")))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("prompt", help='e.g. "the <mug>"; its first entity is picked')
    parser.add_argument("--localizer", default="/localizer", help="name of the node")
    parser.add_argument("--target-frame", default="base_link", help="frame of the grasp")
    parser.add_argument(
        "--transform", nargs=8, metavar=("FRAME", "X", "Y", "Z", "QX", "QY", "QZ", "QW"),
        help="where the localizer's frame is in the target frame, instead of tf",
    )  # fmt: skip
    parser.add_argument(
        "--show", action="append", default=[], metavar="NAME=FILE:x1,y1,x2,y2",
        help="what <NAME> in the prompt looks like: a box in an image",
    )  # fmt: skip
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
