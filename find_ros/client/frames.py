"""Transforms between frames: fixed ones that the caller knows, and tf2 where it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from find_ros.client.errors import NoTransformError
from find_ros.messages.errors import PoseError
from find_ros.pipeline.camera_poses import TF_AVAILABLE, PoseSource, TfPoses

FixedTransforms = Mapping[tuple[str, str], np.ndarray]


class Frames:
    """Looks transforms up.

    Args:
        fixed: {(target, source): (4, 4) T_target_source}; each serves in both directions.
        poses: tf, or what stands in for it; None: there is none.

    Raises:
        ValueError: a fixed transform that is none.
    """

    def __init__(self, fixed: FixedTransforms, poses: PoseSource | None) -> None:
        self._poses = poses
        self._fixed: dict[tuple[str, str], np.ndarray] = {}
        for (target, source), matrix in fixed.items():
            T = np.array(matrix, np.float64)
            if T.shape != (4, 4) or not np.allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-4):
                raise ValueError(f"The transform {target} <- {source} is no (4, 4) rigid matrix.")
            self._fixed[target, source] = T
            self._fixed[source, target] = np.linalg.inv(T)

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """(4, 4) T_target_source at a time.

        Raises:
            NoTransformError: neither fixed nor in tf.
        """
        if target == source:
            return np.eye(4)
        if (target, source) in self._fixed:
            return self._fixed[target, source]
        if self._poses is None:
            raise NoTransformError(
                f"No transform {target} <- {source}: tf2_ros is not installed here, so give "
                f"Finder(transforms={{({target!r}, {source!r}): T}}), or set the localizer's "
                f"target_frame to {target}."
            )
        try:
            return self._poses.lookup(target, source, stamp_ns)
        except PoseError as error:
            raise NoTransformError(str(error)) from None


def tf_of(node: Any) -> PoseSource | None:
    """Transforms from /tf, where tf2_ros is installed."""
    return TfPoses(node, wait_s=0.0) if TF_AVAILABLE else None
