"""Boxes with labels, for RViz and Foxglove."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from visualization_msgs.msg import Marker, MarkerArray

from find_core.drawing import entity_color
from find_ros.messages.poses import matrix_to_pose

TEXT_HEIGHT_M = 0.04
# RViz does not draw a cube without thickness.
MIN_SIDE_M = 1e-3


@dataclass(frozen=True, eq=False)
class LabelledBox:
    """One box to show.

    Attributes:
        T_frame_box: (4, 4) from the box's own axes to the header's frame, metres.
        extent_m: (3,) full lengths. entity_index: chooses the colour. text: shown above the box.
    """

    T_frame_box: np.ndarray
    extent_m: np.ndarray
    entity_index: int
    text: str


def boxes_to_markers(boxes: Iterable[LabelledBox], header: Any, namespace: str) -> MarkerArray:
    """Clears what was shown in `namespace` before, then a box and a text above each."""
    out = MarkerArray(markers=[Marker(header=header, ns=namespace, action=Marker.DELETEALL)])
    for number, box in enumerate(boxes):
        cube = Marker(header=header, ns=namespace, id=2 * number, type=Marker.CUBE)
        cube.pose = matrix_to_pose(box.T_frame_box)
        cube.scale.x, cube.scale.y, cube.scale.z = (max(float(v), MIN_SIDE_M) for v in box.extent_m)
        label = Marker(header=header, ns=namespace, id=2 * number + 1, type=Marker.TEXT_VIEW_FACING)
        top = cube.pose.position
        label.pose.position.x, label.pose.position.y = top.x, top.y
        label.pose.position.z = top.z + cube.scale.z / 2 + TEXT_HEIGHT_M
        label.pose.orientation.w, label.scale.z, label.text = 1.0, TEXT_HEIGHT_M, box.text
        for marker, alpha in ((cube, 0.35), (label, 1.0)):
            red, green, blue = (c / 255 for c in entity_color(box.entity_index))
            marker.color.r, marker.color.g, marker.color.b, marker.color.a = red, green, blue, alpha
        out.markers += [cube, label]
    return out
