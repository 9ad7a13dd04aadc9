"""A field's answer as messages."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import Pose, PoseArray
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from find_core.drawing.overlay import entity_color
from find_ros.messages.geometry import cloud_from_points, label_points, matrix_to_quaternion


def matrix_to_pose(T: np.ndarray) -> Pose:
    """(4, 4) -> geometry_msgs/Pose."""
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = (float(v) for v in T[:3, 3])
    x, y, z, w = matrix_to_quaternion(T[:3, :3])
    pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w = x, y, z, w
    return pose


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
    out = MarkerArray(markers=[Marker(header=header, ns="hits", action=Marker.DELETEALL)])
    for number, hit in enumerate(hits):
        pose = matrix_to_pose(hit.T_world_object)
        box = Marker(header=header, ns="hits", id=2 * number, type=Marker.CUBE, pose=pose)
        box.scale.x, box.scale.y, box.scale.z = (max(float(v), 1e-3) for v in hit.extent_m)
        text = Marker(header=header, ns="hits", id=2 * number + 1, type=Marker.TEXT_VIEW_FACING)
        text.pose.position.x, text.pose.position.y = pose.position.x, pose.position.y
        text.pose.position.z = pose.position.z + float(hit.extent_m[2]) / 2 + 0.04
        text.pose.orientation.w, text.scale.z = 1.0, 0.04
        text.text = f"{hit.label} {hit.score:.2f}"
        for marker, alpha in ((box, 0.35), (text, 1.0)):
            red, green, blue = (c / 255 for c in entity_color(hit.entity_index))
            marker.color.r, marker.color.g, marker.color.b, marker.color.a = red, green, blue, alpha
        out.markers += [box, text]
    return out
