"""Undoing what nerfstudio does to a world: rotate, recentre, scale.

nerfstudio trains in p_ns = scale * (M @ [p_world, 1]), M (3, 4). Fields and hits speak of p_world.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class WorldTransform:
    """The similarity transform between the world that poses came in and nerfstudio's.

    Attributes:
        M: (3, 4) float64, rotation and shift in metres. scale: nerfstudio units per metre.
    """

    M: np.ndarray
    scale: float

    def to_world(self, points_ns: np.ndarray) -> np.ndarray:
        """Points (..., 3) from nerfstudio's frame into the input's, metres, float64."""
        R, t = self.M[:, :3], self.M[:, 3]
        return (np.asarray(points_ns, np.float64) / self.scale - t) @ np.linalg.inv(R).T

    def from_world(self, points_world_m: np.ndarray) -> np.ndarray:
        """Points (..., 3) from metres of the input's frame into nerfstudio's."""
        R, t = self.M[:, :3], self.M[:, 3]
        return self.scale * (np.asarray(points_world_m, np.float64) @ R.T + t)

    def rotation_to_world(self, T_ns: np.ndarray) -> np.ndarray:
        """The rotation (3, 3) of a pose (3, 4) of nerfstudio's frame, in the input's."""
        R = np.linalg.inv(self.M[:, :3]) @ np.asarray(T_ns, np.float64)[:3, :3]
        return R / np.linalg.norm(R, axis=0)
