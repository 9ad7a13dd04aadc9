"""What the localizer publishes for one camera. Costly pictures are made only when someone listens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Float32, Header, String
from visualization_msgs.msg import MarkerArray

from find_core.drawing.overlay import draw_localization
from find_core.video.stream import VideoFrame
from find_ros.messages import detections
from find_ros.messages.images import array_to_image, rgb_to_compressed, stamp_to_ns
from find_ros.messages.objects_3d import (
    SpatialObject,
    objects_to_cloud,
    objects_to_json,
    objects_to_markers,
)
from find_ros.pipeline.prompt_compiler import ActivePrompt
from find_ros.support import qos


@dataclass(frozen=True, eq=False)
class Answer:
    """One frame's answer.

    Attributes:
        header: the image's. image_rgb: (H, W, 3) uint8. prompt: what was asked. video: what was
        found. objects: in 3D, in `frame_3d`; None when this frame has no 3D output.
    """

    header: Header
    image_rgb: np.ndarray
    prompt: ActivePrompt
    video: VideoFrame
    objects: list[SpatialObject] | None = None
    frame_3d: str = ""


class Outputs:
    """Publishers below `~/` (below `~/<camera>/` when there are several cameras)."""

    def __init__(self, node: Node, camera: str, *, with_3d: bool) -> None:
        self._node, prefix = node, f"~/{camera}/" if camera else "~/"
        self._publishers: dict[str, Any] = {}
        kinds = {
            "localization": String,
            "relevance": Float32,
            "label_image": Image,
            "overlay": Image,
            "overlay/compressed": CompressedImage,
        }
        if with_3d:
            kinds |= {"points": PointCloud2, "markers": MarkerArray}
        if detections.AVAILABLE:
            kinds |= {"detections": detections.Detection2DArray}
            kinds |= {"detections_3d": detections.Detection3DArray} if with_3d else {}
        for topic, kind in kinds.items():
            self._publishers[topic] = node.create_publisher(kind, prefix + topic, qos.OUTPUT)
        if detections.AVAILABLE:
            self._publishers["label_info"] = node.create_publisher(
                detections.LabelInfo, prefix + "label_info", qos.LATCHED
            )
        self._label_info_version = 0

    def publish(self, answer: Answer, jpeg_quality: int) -> None:
        """Publish everything of one frame under the image's stamp; JSON and relevance always."""
        header, video = answer.header, answer.video
        self._publishers["localization"].publish(String(data=json.dumps(answer_to_json(answer))))
        self._publishers["relevance"].publish(Float32(data=float(video.localization.relevance)))
        if self._wanted("label_image"):
            labels = array_to_image(video.localization.label_image(), "16UC1", header)
            self._publishers["label_image"].publish(labels)
        self._publish_overlay(answer, jpeg_quality)
        if answer.objects is not None:
            self._publish_3d(answer, answer.objects)
        if detections.AVAILABLE:
            self._publish_detections(answer)

    def destroy(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers = {}

    def _wanted(self, topic: str) -> bool:
        publisher = self._publishers.get(topic)
        return publisher is not None and publisher.get_subscription_count() > 0

    def _publish_overlay(self, answer: Answer, jpeg_quality: int) -> None:
        raw, compressed = self._wanted("overlay"), self._wanted("overlay/compressed")
        if not raw and not compressed:
            return
        localization = answer.video.localization
        title = f"{answer.prompt.compiled.prompt.text}  {localization.relevance:.2f}"
        picture = draw_localization(answer.image_rgb, localization, header=title)
        if raw:
            self._publishers["overlay"].publish(array_to_image(picture, "rgb8", answer.header))
        if compressed:
            msg = rgb_to_compressed(picture, answer.header, jpeg_quality)
            self._publishers["overlay/compressed"].publish(msg)

    def _publish_3d(self, answer: Answer, objects: list[SpatialObject]) -> None:
        header = Header(stamp=answer.header.stamp, frame_id=answer.frame_3d)
        if self._wanted("points"):
            self._publishers["points"].publish(objects_to_cloud(objects, header))
        if self._wanted("markers"):
            markers = objects_to_markers(objects, header, answer.header.frame_id)
            self._publishers["markers"].publish(markers)
        if self._wanted("detections_3d"):
            self._publishers["detections_3d"].publish(detections.to_3d(objects, header))

    def _publish_detections(self, answer: Answer) -> None:
        if self._label_info_version != answer.prompt.version:
            self._label_info_version = answer.prompt.version
            labels = [e.label for e in answer.prompt.compiled.prompt.entities]
            self._publishers["label_info"].publish(detections.label_info(labels, answer.header))
        if self._wanted("detections"):
            msg = detections.to_2d(answer.video.localization, answer.header)
            self._publishers["detections"].publish(msg)


def answer_to_json(answer: Answer) -> dict[str, Any]:
    """The command line's object of one frame, with where and when it was seen."""
    out = answer.video.to_json()
    out |= {
        "frame_id": answer.header.frame_id,
        "stamp_ns": stamp_to_ns(answer.header.stamp),
        "prompt": answer.prompt.compiled.prompt.markup,
        "relevance_smoothed": round(answer.video.relevance, 4),
        "events": [event.to_json() for event in answer.video.events],
    }
    if answer.objects is not None:
        out["objects_3d"] = objects_to_json(answer.objects, answer.frame_3d)
    return out
