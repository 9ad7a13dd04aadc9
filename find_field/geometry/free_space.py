"""What a depth image says is *not* there: points that its rays pass through.

A ray passes through a point when the surface it meets lies clearly behind. "Clearly" leaves room for
the depth's noise, and for edges that do not lie where the pose says: the nearest depth of a window
around the pixel counts, which also spares slanted surfaces and things thinner than the window. Where the
window holds an invalid depth nothing is known. How much room is left follows from how well the image agrees with
the surface that others saw (`settle`): of exact depth and poses less, so that low things on a table go too.
"""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np

# Nearer than this to the camera nothing is measured.
_NEAR_M = 0.02
LEAST_ROOM = 0.3
"""Of the noise and the window, however well an image agrees."""
_AGREE = 0.95
_ENOUGH = 200


class FreeSpace:
    """The free space of one posed depth image.

    Args:
        depth_m: (H, W) z-depth, metres, invalid as NaN. K: (3, 3). T_world_camera: (4, 4).
        slack_m: a surface is behind a point from this distance on.
        noise_per_m: added to it times the squared depth: three standard deviations at 1 m.
        edge_px: half the window's side, pixels.
    """

    def __init__(self, depth_m: np.ndarray, K: np.ndarray, T_world_camera: np.ndarray, *,
                 slack_m: float, noise_per_m: float, edge_px: int) -> None:  # fmt: skip
        self._depth_m = np.nan_to_num(depth_m, nan=0.0).astype(np.float32)
        self._noise_m = np.float32(noise_per_m) * self._depth_m**2
        self._slack_m, self._edge_px = np.float32(slack_m), edge_px
        T_camera_world = np.linalg.inv(T_world_camera)
        # Rows give u * z, v * z and z of a world point; half a pixel makes truncation rounding.
        matrix = K @ T_camera_world[:3]
        matrix[:2] += 0.5 * matrix[2]
        self._matrix = matrix.astype(np.float32)
        self._farthest_m = float(self._depth_m.max())
        self._room = 1.0

    @cached_property
    def _wide(self) -> np.ndarray:
        limit = self._depth_m - np.float32(self._room) * self._noise_m - self._slack_m
        return _nearest(limit, int(np.ceil(self._room * self._edge_px)))

    @cached_property
    def _narrow(self) -> np.ndarray:
        limit = self._depth_m - np.float32(self._room / 2) * self._noise_m - self._slack_m
        return _nearest(limit, max(1, int(self._room * self._edge_px) // 4))

    def settle(self, points_world_m: np.ndarray) -> None:
        """Leave as much room as the image disagrees with points (n, 3) that others saw; before `through`.

        All but a twentieth of those that it sees too, as near as noise can bring them, are within that.
        """
        height, width = self._depth_m.shape
        _, z, at = self._pixels(points_world_m, height, width)
        known, noise = self._depth_m.ravel()[at], self._noise_m.ravel()[at]
        off = np.abs(known - z)
        same = (known > 0) & (off < 2 * noise + self._slack_m)
        if same.sum() >= _ENOUGH:
            share = np.quantile(off[same] / np.maximum(noise[same], 1e-9), _AGREE)
            self._room = float(np.clip(share, LEAST_ROOM, 1))

    def near(self, low_m: np.ndarray, high_m: np.ndarray) -> np.ndarray:
        """(M,) numbers of the boxes, corners (n, 3) in the world, that may hold a point that a ray passes
        through. Others certainly do not."""
        height, width = self._depth_m.shape
        u, v, z = self._matrix.astype(np.float64)
        depth, to_eye = np.array([0, 0, 0, _NEAR_M]), np.array([0, 0, 0, self._farthest_m])
        # Half spaces that all such points lie in; the last leaves room for a voxel's half diagonal.
        planes = np.stack([z - depth, u, v, width * z - u, height * z - v, to_eye - z])
        middle, half = (low_m + high_m) / 2, (high_m - low_m) / 2
        most = middle @ planes[:, :3].T + half @ np.abs(planes[:, :3]).T + planes[:, 3]
        return np.flatnonzero((most >= 0).all(axis=1))

    def through(self, points_world_m: np.ndarray, *, narrow: bool = False,
                closer_m: float = 0.0) -> np.ndarray:  # fmt: skip
        """(n,) bool: points (n, 3) that a ray passes through.

        Args:
            narrow: half of the noise and the pixels next to the ray count, for points that are
                doubted already.
            closer_m: allow for points this much nearer to the camera than given.
        """
        limit = self._narrow if narrow else self._wide
        height, width = limit.shape
        front, z, at = self._pixels(points_world_m, height, width)
        out = np.zeros(len(points_world_m), bool)
        out[front[limit.ravel()[at] > z - np.float32(closer_m)]] = True
        return out

    def _pixels(self, points_world_m: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
        """Of the points in view: their numbers, depths, and pixels in a flat image."""
        z = points_world_m @ self._matrix[2, :3] + self._matrix[2, 3]
        front = np.flatnonzero(z > _NEAR_M)
        z, points = z[front], points_world_m[front]
        u = (points @ self._matrix[0, :3] + self._matrix[0, 3]) / z
        v = (points @ self._matrix[1, :3] + self._matrix[1, 3]) / z
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        at = v[inside].astype(np.int32) * width + u[inside].astype(np.int32)
        return front[inside], z[inside], at


def _nearest(depth_m: np.ndarray, reach_px: int) -> np.ndarray:
    """The least depth within `reach_px` of each pixel; 0 stands for unknown and wins."""
    side = 2 * reach_px + 1
    return cv2.erode(depth_m, np.ones((side, side), np.uint8)) if reach_px else depth_m
