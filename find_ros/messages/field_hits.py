"""A field's answer as messages."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import PoseArray
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from find_ros.messages.clouds import cloud_from_points, label_points
from find_ros.messages.markers import LabelledBox, boxes_to_markers
from find_ros.messages.poses import matrix_to_pose


def hits_to_poses(hits: Any, header: Header) -> PoseArray:
    """The boxes' frames, best hit first (z up; not the objects' canonical poses)."""
    return PoseArray(header=header, poses=[matrix_to_pose(hit.T_world_object) for hit in hits])


def hits_to_cloud(hits: Any, header: Header) -> PointCloud2:
    """The hits' surface points: x, y, z, score (relevancy of the point), label (entity, from 1)."""
    parts = [label_points(np.empty((0, 3), np.float32), 0, 0.0)]
    for hit in hits:
        part = label_points(hit.points_world_m, hit.entity_index + 1, 0.0)
        part["score"] = hit.relevancy
        parts.append(part)
    return cloud_from_points(np.concatenate(parts), header)


def hits_to_markers(hits: Any, header: Header) -> MarkerArray:
    """A box and a label for each hit; what was shown before goes."""
    boxes = (
        LabelledBox(h.T_world_object, h.extent_m, h.entity_index, f"{h.label} {h.score:.2f}")
        for h in hits
    )
    return boxes_to_markers(boxes, header, "hits")
