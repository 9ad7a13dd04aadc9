"""Points as sensor_msgs/PointCloud2."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField

# x y z in metres, the score in [0, 1], and the entity's number (1 = the prompt's first entity, as
# in the label image).
POINT_DTYPE = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("score", "<f4"), ("label", "<u4")]
)


def cloud_from_points(points: np.ndarray, header: Any) -> PointCloud2:
    """(N,) `POINT_DTYPE` -> sensor_msgs/PointCloud2 with fields x, y, z, score, label."""
    kinds = {"f4": PointField.FLOAT32, "u4": PointField.UINT32}
    msg = PointCloud2(header=header, height=1, width=len(points), is_dense=True)
    fields: Any = POINT_DTYPE.fields
    msg.fields = [
        PointField(name=name, offset=offset, datatype=kinds[dtype.str[1:]], count=1)
        for name, (dtype, offset) in fields.items()
    ]
    msg.point_step, msg.row_step = POINT_DTYPE.itemsize, POINT_DTYPE.itemsize * len(points)
    msg.data = array("B", np.ascontiguousarray(points, POINT_DTYPE).tobytes())
    return msg


def label_points(points_m: np.ndarray, label: int, score: float) -> np.ndarray:
    """(N, 3) points -> (N,) `POINT_DTYPE`, all of one entity."""
    out = np.empty(len(points_m), POINT_DTYPE)
    out["x"], out["y"], out["z"] = points_m.T
    out["score"], out["label"] = score, label
    return out
