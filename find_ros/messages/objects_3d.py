"""Entities in three dimensions: masks and depth to points, boxes, clouds, markers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from visualization_msgs.msg import MarkerArray

from find_core.results import Instance, Localization
from find_field.field.voxels import largest_part
from find_field.geometry.boxes import box_corners, oriented_box
from find_field.geometry.pinhole import transform
from find_ros.messages.clouds import cloud_from_points, label_points
from find_ros.messages.geometry import (
    Intrinsics,
    points_of_mask,
)
from find_ros.messages.markers import LabelledBox, boxes_to_markers

# Points belong together up to this far apart, or three of their own spacings where they lie sparser.
LINK_M = 0.01
# Fewer valid depth pixels say nothing about where an object is.
MIN_POINTS = 5
# Up in a frame of REP-103: z in the world's and the robot's, -y in a camera's optical frame.
UP, UP_OPTICAL = (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)


@dataclass(frozen=True, eq=False)
class SpatialObject:
    """One found instance with a place.

    Attributes:
        entity_index: into the prompt's entities. label: its text. instance: mask, score, track id.
        points_m: (N, 3) float32 in the output frame, metres: the largest connected part of what the
            mask shows. Depth at silhouettes lies between object and background, and masks run over.
        T_out_object, extent_m: the oriented box around them, as a field's hit has it
            (`find_field.geometry.boxes.oriented_box`): (4, 4) pose in the output frame, and (3,)
            full lengths along the box's own axes.
        position_m: (3,) median of the points.
    """

    entity_index: int
    label: str
    instance: Instance
    points_m: np.ndarray
    T_out_object: np.ndarray
    extent_m: np.ndarray
    position_m: np.ndarray

    @property
    def center_m(self) -> np.ndarray:
        """(3,) centre of the box, in the output frame."""
        return self.T_out_object[:3, 3]

    @property
    def span_m(self) -> np.ndarray:
        """(3,) how far the box reaches along the output frame's own axes."""
        return np.ptp(box_corners(self.T_out_object, self.extent_m), axis=0)


def spatial_objects(
    localization: Localization,
    depth_m: np.ndarray,
    intrinsics: Intrinsics,
    T_out_camera: np.ndarray,
    max_points: int,
    up: tuple[float, float, float] = UP,
) -> list[SpatialObject]:
    """Found instances that have depth, in prompt order, best first.

    Args:
        depth_m: (H, W) float32 of the localized image's size, metres, 0 invalid.
        T_out_camera: (4, 4) from the camera's optical frame to the output frame.
        max_points: at most so many points for each instance.
        up: of the output frame; boxes stand along it.
    """
    out = []
    for index, entity in enumerate(localization.entities):
        for instance in entity.instances if entity.found else ():
            seen_m = points_of_mask(instance.mask, depth_m, intrinsics, max_points)
            if len(seen_m) < MIN_POINTS:
                continue
            spacing_m = _spacing_m(seen_m, int(instance.mask.sum()), intrinsics)
            camera_m = seen_m[largest_part(seen_m, max(LINK_M, 3 * spacing_m))]
            if len(camera_m) >= MIN_POINTS:
                points_m = transform(T_out_camera, camera_m).astype(np.float32)
                T, extent_m = oriented_box(points_m, up)
                middle_m = np.median(points_m.astype(np.float64), axis=0)
                out.append(
                    SpatialObject(index, entity.label, instance, points_m, T, extent_m, middle_m)
                )
    return out


def _spacing_m(points_m: np.ndarray, pixels: int, intrinsics: Intrinsics) -> float:
    """How far apart the points lie that were kept of a mask's `pixels`, across the view."""
    stride_px = np.sqrt(pixels / len(points_m))
    return float(np.median(points_m[:, 2]) * stride_px / intrinsics.K[0, 0])


def objects_to_json(objects: list[SpatialObject], frame_id: str) -> list[dict[str, Any]]:
    """For the localization's JSON: where each instance is, metres in `frame_id`."""
    return [
        {
            "entity_index": o.entity_index,
            "track_id": o.instance.track_id,
            "frame_id": frame_id,
            "position_m": np.round(o.position_m, 4).tolist(),
            "center_m": np.round(o.center_m, 4).tolist(),
            "extent_m": np.round(o.span_m, 4).tolist(),
            "T_frame_object": np.round(o.T_out_object, 6).tolist(),
            "object_extent_m": np.round(o.extent_m, 4).tolist(),
        }
        for o in objects
    ]


def objects_to_cloud(objects: list[SpatialObject], header: Any) -> Any:
    """sensor_msgs/PointCloud2 with x, y, z, score and label (1 = the prompt's first entity)."""
    parts = [label_points(o.points_m, o.entity_index + 1, o.instance.score) for o in objects]
    empty = label_points(np.empty((0, 3), np.float32), 0, 0.0)
    return cloud_from_points(np.concatenate([empty, *parts]), header)


def objects_to_markers(objects: list[SpatialObject], header: Any, namespace: str) -> MarkerArray:
    """Each object's box and a label; what was shown before goes."""
    boxes = [
        LabelledBox(o.T_out_object, o.extent_m, o.entity_index, f"{o.label} {o.instance.score:.2f}")
        for o in objects
    ]
    return boxes_to_markers(boxes, header, namespace)
