"""What the localizer publishes for one camera. Costly images are made only when someone listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Float32, Header, String
from visualization_msgs.msg import MarkerArray

from find_core.drawing import draw_localization
from find_core.support.json_text import json_text
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
class FrameResult:
    """What was found in one frame.

    Attributes:
        header: the image's.
        image_rgb: (H, W, 3) uint8.
        prompt: what was asked.
        video: what was found.
        objects: in 3D, in `frame_3d`; None when this frame has no 3D output.
        frame_3d: name of the frame of `objects`.
        without_3d: the cause why there is no 3D output although depth is on; "" otherwise.
    """

    header: Header
    image_rgb: np.ndarray
    prompt: ActivePrompt
    video: VideoFrame
    objects: list[SpatialObject] | None = None
    frame_3d: str = ""
    without_3d: str = ""


class CameraPublishers:
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
            profile = qos.ANSWERS if topic == "localization" else qos.OUTPUT
            self._publishers[topic] = node.create_publisher(kind, prefix + topic, profile)
        if detections.AVAILABLE:
            self._publishers["label_info"] = node.create_publisher(
                detections.LabelInfo, prefix + "label_info", qos.LATCHED
            )
        self._label_info_version = 0

    def publish(self, result: FrameResult, jpeg_quality: int) -> None:
        """Publish everything of one frame under the image's stamp; JSON and relevance always."""
        header, video = result.header, result.video
        self.publish_json(result)
        self._publishers["relevance"].publish(Float32(data=float(video.localization.relevance)))
        if self._wanted("label_image"):
            labels = array_to_image(video.localization.label_image(), "16UC1", header)
            self._publishers["label_image"].publish(labels)
        self._publish_overlay(result, jpeg_quality)
        if result.objects is not None:
            self._publish_3d(result, result.objects)
        if detections.AVAILABLE:
            self._publish_detections(result)

    def publish_json(self, result: FrameResult) -> None:
        """The answer alone: all that a prompt beside the node's own gets."""
        self._publishers["localization"].publish(String(data=json_text(result_to_json(result))))

    def destroy(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers = {}

    def _wanted(self, topic: str) -> bool:
        publisher = self._publishers.get(topic)
        return publisher is not None and publisher.get_subscription_count() > 0

    def _publish_overlay(self, result: FrameResult, jpeg_quality: int) -> None:
        raw, compressed = self._wanted("overlay"), self._wanted("overlay/compressed")
        if not raw and not compressed:
            return
        localization = result.video.localization
        title = f"{result.prompt.prompt.text}  {localization.relevance:.2f}"
        image = draw_localization(result.image_rgb, localization, header=title)
        if raw:
            self._publishers["overlay"].publish(array_to_image(image, "rgb8", result.header))
        if compressed:
            msg = rgb_to_compressed(image, result.header, jpeg_quality)
            self._publishers["overlay/compressed"].publish(msg)

    def _publish_3d(self, result: FrameResult, objects: list[SpatialObject]) -> None:
        header = Header(stamp=result.header.stamp, frame_id=result.frame_3d)
        if self._wanted("points"):
            self._publishers["points"].publish(objects_to_cloud(objects, header))
        if self._wanted("markers"):
            markers = objects_to_markers(objects, header, result.header.frame_id)
            self._publishers["markers"].publish(markers)
        if self._wanted("detections_3d"):
            self._publishers["detections_3d"].publish(detections.to_3d(objects, header))

    def _publish_detections(self, result: FrameResult) -> None:
        if self._label_info_version != result.prompt.version:
            self._label_info_version = result.prompt.version
            labels = [e.label for e in result.prompt.prompt.entities]
            self._publishers["label_info"].publish(detections.label_info(labels, result.header))
        if self._wanted("detections"):
            msg = detections.to_2d(result.video.localization, result.header)
            self._publishers["detections"].publish(msg)


def result_to_json(result: FrameResult) -> dict[str, Any]:
    """The command line's object of one frame, with where and when it was seen."""
    out = result.video.to_json()
    out |= {
        "frame_id": result.header.frame_id,
        "stamp_ns": stamp_to_ns(result.header.stamp),
        "prompt": result.prompt.markup,
        "prompt_id": result.prompt.id,
        "relevance_smoothed": round(result.video.relevance, 4),
        "events": [event.to_json() for event in result.video.events],
    }
    if result.objects is not None:
        out["objects_3d"] = objects_to_json(result.objects, result.frame_3d)
    elif result.without_3d:
        out["without_3d"] = result.without_3d
    return out
