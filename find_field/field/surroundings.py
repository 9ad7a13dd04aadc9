"""What a pick needs besides a hit's box: what it stands on, what is above it, what was never seen.

Dimension letters: N voxels near the hit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from find_core.errors import FieldError
from find_field.field.clusters import within
from find_field.field.data import FieldData
from find_field.field.hits import FieldHit
from find_field.geometry.boxes import box_corners
from find_field.geometry.grasping import seen_shares

RING_M = 0.05
"""What lies so far beside a thing may be what it stands on..."""
BELOW_M = 0.15
"""...down to so far below what was seen of it..."""
ABOVE_M = 0.5
"""...and so far above it surface is looked for."""
_FEW = 8


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Heights are along the field's up, from the world's origin, metres.

    Attributes:
        bottom_m, top_m: of the hit's box. support_m: of the level surface beside it, on which it
            stands; None where none was seen.
        free_above_m: from its top to the lowest surface over it; None where none was seen within
            `ABOVE_M`. What no camera saw counts as free.
        seen: (5,) in [0, 1], how much was seen of its sides at +x, -x, +y and -y of `T_world_object`,
            and of its top.
    """

    bottom_m: float
    top_m: float
    support_m: float | None
    free_above_m: float | None
    seen: np.ndarray

    @property
    def unseen(self) -> float:
        """Share of its sides and top that was never seen, in [0, 1]."""
        return float(1 - self.seen.mean())

    @property
    def height_m(self) -> float:
        """From what it stands on, or else from the lowest that was seen, to its top."""
        return self.top_m - (self.bottom_m if self.support_m is None else self.support_m)

    def to_json(self) -> dict[str, Any]:
        numbers = {"bottom_m": self.bottom_m, "top_m": self.top_m, "support_m": self.support_m,
                   "free_above_m": self.free_above_m, "unseen": self.unseen}  # fmt: skip
        rounded = {k: None if v is None else round(float(v), 4) for k, v in numbers.items()}
        return rounded | {"seen": dict(zip(("+x", "-x", "+y", "-y", "top"), self.seen.round(3).tolist(), strict=True))}  # fmt: skip


def surroundings(field: FieldData, hit: FieldHit) -> Surroundings:
    """What is beside, below and above a hit of this field.

    Raises:
        FieldError: the field's up is unknown.
    """
    if field.up_world is None:
        raise FieldError("Nothing stands on anything where up is unknown: lift with up_world.")
    T, half = hit.T_world_object, np.asarray(hit.extent_m) / 2
    own = (hit.points_world_m.astype(np.float64) - T[:3, 3]) @ T[:3, :3]
    rows = _near(field, hit)
    others = (field.points_world_m[rows].astype(np.float64) - T[:3, 3]) @ T[:3, :3]
    beside_m, _ = cKDTree(own[:, :2]).query(others[:, :2], distance_upper_bound=RING_M)
    middle_m = float(T[:3, 3] @ T[:3, 2])
    support = _support(others[:, 2], beside_m, field.weight[rows], half[2], field.voxel_size_m)
    over = others[(beside_m <= 1.5 * field.voxel_size_m)
                  & (others[:, 2] > half[2] + field.voxel_size_m), 2]  # fmt: skip
    return Surroundings(
        bottom_m=middle_m - half[2],
        top_m=middle_m + half[2],
        support_m=None if support is None else middle_m + support,
        free_above_m=None if len(over) < _FEW else float(np.quantile(over, 0.05) - half[2]),
        seen=seen_shares(own, hit.extent_m, 2 * field.voxel_size_m),
    )


def _near(field: FieldData, hit: FieldHit) -> np.ndarray:
    """Rows of what is not the hit, in its box with room on all sides."""
    T = hit.T_world_object.copy()
    T[:3, 3] += T[:3, 2] * (ABOVE_M - BELOW_M) / 2
    room = np.asarray(hit.extent_m) + [2 * RING_M, 2 * RING_M, ABOVE_M + BELOW_M]
    corners = np.floor(box_corners(T, room) / field.voxel_size_m).astype(np.int64)
    rows = within(field.ijk, corners.min(axis=0), corners.max(axis=0))
    field.check(rows)
    local = (field.points_world_m[rows] - T[:3, 3]) @ T[:3, :3]
    rows = rows[(np.abs(local) <= room / 2).all(axis=1)]
    return rows[~np.isin(rows, hit.voxel_rows)]


def _support(heights_m: np.ndarray, beside_m: np.ndarray, weight: np.ndarray, half_m: float,
             voxel_m: float) -> float | None:  # fmt: skip
    """The height, from the box's middle, at which most surface lies beside a thing.

    Near surface counts more, so that a thing on a book stands on the book. A level surface fills one height, and a
    neighbour's side many. What is higher than a third of the thing is beside it, not below.

    Args:
        heights_m, beside_m, weight: (N,) of what is around it. half_m: half its height.
    """
    highest = -half_m + max(2 * voxel_m, 2 * half_m / 3)
    ring = (beside_m > voxel_m) & (beside_m <= RING_M) & (heights_m <= highest)
    if ring.sum() < _FEW:
        return None
    heights, nearness = heights_m[ring], 1 / (beside_m[ring] + voxel_m)
    order = np.argsort(heights)
    heights, nearness, weight = heights[order], nearness[order], weight[ring][order]
    # Of a level surface that a voxel's border cuts, both halves: a window of one voxel around each.
    first = np.searchsorted(heights, heights - voxel_m / 2)
    last = np.searchsorted(heights, heights + voxel_m / 2, side="right")
    total = np.concatenate([[0.0], np.cumsum(nearness)])
    best = int(np.argmax(total[last] - total[first]))
    level = slice(first[best], last[best])
    if level.stop - level.start < _FEW:
        return None
    return float(np.average(heights[level], weights=np.maximum(weight[level], 1e-12)))
