"""vision_msgs, where it is installed."""

from __future__ import annotations

from typing import Any

from find_core.results import Instance, Localization
from find_ros.messages.objects_3d import SpatialObject
from find_ros.messages.poses import matrix_to_pose

try:
    from vision_msgs.msg import (
        BoundingBox2D,
        BoundingBox3D,
        Detection2D,
        Detection2DArray,
        Detection3D,
        Detection3DArray,
        LabelInfo,
        ObjectHypothesisWithPose,
        VisionClass,
    )

    AVAILABLE = True
except ImportError:
    AVAILABLE = False

MISSING = (
    "vision_msgs is not installed: ~/detections, ~/detections_3d and ~/label_info are off "
    "(apt install ros-$ROS_DISTRO-vision-msgs)"
)


def to_2d(localization: Localization, header: Any) -> Any:
    """Every found instance as a Detection2D; class ids are entity numbers, 1 the first."""
    out = Detection2DArray(header=header)
    for number, entity in enumerate(localization.entities, start=1):
        for instance in entity.instances if entity.found else ():
            x1, y1, x2, y2 = map(float, instance.box_xyxy)
            box = BoundingBox2D(size_x=x2 - x1, size_y=y2 - y1)
            # Pixel centres are whole numbers in the message's convention as in ours.
            box.center.position.x, box.center.position.y = (x1 + x2 - 1) / 2, (y1 + y2 - 1) / 2
            detection = Detection2D(header=header, bbox=box, id=_track(instance))
            detection.results = [_hypothesis(number, instance)]
            out.detections.append(detection)
    return out


def to_3d(objects: list[SpatialObject], header: Any) -> Any:
    """Every instance that has a place as a Detection3D with its oriented box."""
    out = Detection3DArray(header=header)
    for o in objects:
        box = BoundingBox3D(center=matrix_to_pose(o.T_out_object))
        box.size.x, box.size.y, box.size.z = map(float, o.extent_m)
        hypothesis = _hypothesis(o.entity_index + 1, o.instance)
        hypothesis.pose.pose = box.center
        detection = Detection3D(header=header, bbox=box, id=_track(o.instance))
        detection.results = [hypothesis]
        out.detections.append(detection)
    return out


def label_info(labels: list[str], header: Any) -> Any:
    """The prompt's entities as the class table of detections and label image."""
    classes = [VisionClass(class_id=n, class_name=label) for n, label in enumerate(labels, start=1)]
    return LabelInfo(header=header, class_map=classes)


def _hypothesis(number: int, instance: Instance) -> Any:
    out = ObjectHypothesisWithPose()
    out.hypothesis.class_id, out.hypothesis.score = str(number), float(instance.score)
    return out


def _track(instance: Instance) -> str:
    return "" if instance.track_id is None else str(instance.track_id)
