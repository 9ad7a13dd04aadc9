"""The simplest grasp that works for upright things on a table: from above, across the narrow side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from find_field.geometry.grasping import top_down_pose


@dataclass(frozen=True, eq=False)
class Grasp:
    """A top-down grasp, in the frame of the box it is for.

    Attributes:
        T_world_gripper: (4, 4): z is the approach direction (down), x the direction the fingers
            close along; the origin is between the fingertips.
        width_m: how far the fingers must open.
        score: of the hit it is for.
    """

    T_world_gripper: np.ndarray
    width_m: float
    score: float

    @property
    def position_m(self) -> np.ndarray:
        return self.T_world_gripper[:3, 3]

    @property
    def approach(self) -> np.ndarray:
        return self.T_world_gripper[:3, 2]


def grasp_box(
    T_world_object: np.ndarray,
    extent_m: np.ndarray,
    score: float,
    finger_depth_m: float = 0.03,
    clearance_m: float = 0.01,
) -> Grasp:
    """Grasp across the narrower horizontal side of an upright box, from above.

    Args:
        T_world_object: (4, 4) pose of the box, z up. extent_m: (3,) its full lengths.
        finger_depth_m: how far below its top the fingertips go (at most to the middle).
        clearance_m: opening beyond the thing's own width, on each side.
    """
    length, width = (float(v) for v in extent_m[:2])
    pose = top_down_pose(T_world_object, extent_m, finger_depth_m)
    return Grasp(pose, min(width, length) + 2 * clearance_m, score)
