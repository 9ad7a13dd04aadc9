"""Entities in three dimensions: masks and depth to points, boxes, clouds, markers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from visualization_msgs.msg import MarkerArray

from find_core.results import Instance, Localization
from find_ros.messages.clouds import cloud_from_points, label_points
from find_ros.messages.geometry import (
    Box3D,
    Intrinsics,
    backproject,
    box_of_points,
    transform_points,
)
from find_ros.messages.markers import LabelledBox, boxes_to_markers

# Fewer valid depth pixels say nothing about where a thing is.
MIN_POINTS = 5


@dataclass(frozen=True, eq=False)
class SpatialObject:
    """One found instance with a place.

    Attributes:
        entity_index: into the prompt's entities. label: its text. instance: mask, score, track id.
        points_m: (N, 3) float32 in the output frame. box: around them.
    """

    entity_index: int
    label: str
    instance: Instance
    points_m: np.ndarray
    box: Box3D


def spatial_objects(
    localization: Localization,
    depth_m: np.ndarray,
    intrinsics: Intrinsics,
    T_out_camera: np.ndarray,
    max_points: int,
) -> list[SpatialObject]:
    """Found instances that have depth, in prompt order, best first.

    Args:
        depth_m: (H, W) float32 of the localized image's size, 0 invalid.
        T_out_camera: (4, 4) from the camera's optical frame to the output frame.
        max_points: at most so many points for each instance.
    """
    out = []
    for index, entity in enumerate(localization.entities):
        for instance in entity.instances if entity.found else ():
            camera_m = backproject(instance.mask, depth_m, intrinsics, max_points)
            if len(camera_m) >= MIN_POINTS:
                points_m = transform_points(T_out_camera, camera_m)
                box = box_of_points(points_m)
                out.append(SpatialObject(index, entity.label, instance, points_m, box))
    return out


def objects_to_json(objects: list[SpatialObject], frame_id: str) -> list[dict[str, Any]]:
    """For the localization's JSON: where each instance is, metres in `frame_id`."""
    return [
        {
            "entity_index": o.entity_index,
            "track_id": o.instance.track_id,
            "frame_id": frame_id,
            "position_m": np.round(o.box.position_m, 4).tolist(),
            "center_m": np.round(o.box.center_m, 4).tolist(),
            "extent_m": np.round(o.box.extent_m, 4).tolist(),
        }
        for o in objects
    ]


def objects_to_cloud(objects: list[SpatialObject], header: Any) -> Any:
    """sensor_msgs/PointCloud2 with x, y, z, score and label (1 = the prompt's first entity)."""
    parts = [label_points(o.points_m, o.entity_index + 1, o.instance.score) for o in objects]
    empty = label_points(np.empty((0, 3), np.float32), 0, 0.0)
    return cloud_from_points(np.concatenate([empty, *parts]), header)


def objects_to_markers(objects: list[SpatialObject], header: Any, namespace: str) -> MarkerArray:
    """A box along the frame's axes and a label for each; what was shown before goes."""
    boxes = []
    for o in objects:
        T = np.eye(4)
        T[:3, 3] = o.box.center_m
        text = f"{o.label} {o.instance.score:.2f}"
        boxes.append(LabelledBox(T, o.box.extent_m, o.entity_index, text))
    return boxes_to_markers(boxes, header, namespace)
