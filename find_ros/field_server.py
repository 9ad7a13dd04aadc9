"""The field server: a 3D feature field that answers prompts, and grows from RGB-D while it does.

ros2 run find_ros field_server --ros-args -p field:=room.field
ros2 run find_ros field_server --ros-args -p lift_live:=true -p world_frame:=map
"""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import threading
import time
from collections import deque
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseArray
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from find_core.errors import FindError
from find_ros.field_parameters import TABLE, FieldParameters
from find_ros.messages.camera_info import intrinsics_from_info
from find_ros.messages.errors import UNUSABLE, MessageError
from find_ros.messages.field_hits import hits_to_cloud, hits_to_markers, hits_to_poses
from find_ros.messages.images import depth_to_m, image_to_rgb
from find_ros.pipeline.camera_input import CameraConfig, CameraInput
from find_ros.pipeline.camera_poses import (
    TF_AVAILABLE,
    TF_MISSING,
    PoseSource,
    TfPoses,
    TopicPoses,
)
from find_ros.pipeline.frame_buffer import Frame, FrameStore
from find_ros.pipeline.live_field import LiveField
from find_ros.pipeline.model_loader import import_torch, load_aside
from find_ros.pipeline.prompt_compiler import ReferenceStore, read_prompt
from find_ros.support import qos
from find_ros.support.diagnostics import DiagnosticsPublisher, memory_mb, percentile_ms
from find_ros.support.log_throttle import ThrottledLogger
from find_ros.support.node_main import GRACE_S, run_node
from find_ros.support.parameters import declare_parameters


class FieldServer(Node):
    """See the package page for topics, services, parameters and diagnostics."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("field_server", **node_options)
        self.parameters = p = declare_parameters(self, FieldParameters, is_configured=lambda: True)
        if not p.field and not p.lift_live:
            raise ValueError(
                "field_server needs a field or a camera: -p field:=room.field or -p lift_live:=true"
            )
        import_torch()  # before poses come in
        self.live: LiveField | None = None
        self._trouble = ""
        self._answered = 0
        self._times_s: deque[float] = deque(maxlen=200)
        self._references, self._queries = ReferenceStore(), queue.Queue()  # type: ignore[var-annotated]
        self._stopping = threading.Event()
        self.throttled_log = ThrottledLogger(self._complain)
        self.store = FrameStore([""], pair_depth=True, tolerance_s=p.depth_tolerance_s,
                                wait_s=0.5, rate_hz=p.lift_rate_hz)  # fmt: skip
        self.camera: CameraInput | None = None
        self._poses: PoseSource | None = None
        self._open_topics()
        self._diagnostics = DiagnosticsPublisher(self, self._status, self._waiting)
        self._thread = threading.Thread(target=self._run, name="field", daemon=True)
        self._thread.start()

    def close(self) -> bool:
        self._stopping.set()
        self.store.close()
        self._thread.join(GRACE_S)
        return not self._thread.is_alive()

    def _open_topics(self) -> None:
        p, quiet = self.parameters, SubscriptionEventCallbacks(use_default_callbacks=False)
        self._answer = self.create_publisher(String, "~/answer", qos.COMMAND)
        self._views = {
            "~/hits": (self.create_publisher(PoseArray, "~/hits", qos.LATCHED), hits_to_poses),
            "~/hit_points": (
                self.create_publisher(PointCloud2, "~/hit_points", qos.LATCHED), hits_to_cloud,
            ),
            "~/markers": (self.create_publisher(MarkerArray, "~/markers", qos.LATCHED), hits_to_markers),
        }  # fmt: skip
        self.create_subscription(String, "~/query", self._on_query, qos.COMMAND)
        for profile in (qos.COMMAND, qos.LATCHED_COMMAND):
            self.create_subscription(
                Image, "~/reference", self._on_reference, profile, event_callbacks=quiet
            )
        self.create_service(Trigger, "~/save", self._on_save)
        self.create_service(Trigger, "~/reset", self._on_reset)
        if not p.lift_live:
            return
        if p.pose_source == "tf" and not TF_AVAILABLE:
            self.get_logger().warning(TF_MISSING)
        use_tf = p.pose_source == "tf" and TF_AVAILABLE
        self._poses = TfPoses(self, p.tf_wait_s) if use_tf else TopicPoses(self, "camera_pose")
        config = CameraConfig(p.compressed, depth=True, reliability=p.image_reliability)
        self.camera = CameraInput(self, "", config, self.store)

    # Callbacks of the executor: they only hand over.

    def _on_query(self, msg: String) -> None:
        self._queries.put(msg.data)

    def _on_reference(self, msg: Image) -> None:
        try:
            self._references.put(msg.header.frame_id, image_to_rgb(msg).copy())
        except UNUSABLE as error:
            self.throttled_log.warn("reference", f"A reference was refused: {error}")

    def _on_save(self, request: Any, response: Any) -> Any:
        path = self.parameters.save_path
        return self._served(response, lambda: f"saved to {self._ready().save(path)}")

    def _on_reset(self, request: Any, response: Any) -> Any:
        def reset() -> str:
            self._ready().reset()
            return "reset"

        return self._served(response, reset)

    def _served(self, response: Any, work: Any) -> Any:
        try:
            response.message, response.success = work(), True
        except (FindError, OSError) as error:
            response.message, response.success = str(error), False
        return response

    def _ready(self) -> LiveField:
        if self.live is None:
            raise FindError(self._trouble or "The field is still loading: ask again in a moment.")
        return self.live

    # The field's own thread: queries first, frames between them.

    def _run(self) -> None:
        p = self.parameters
        try:
            find = load_aside(p.model, p.device, lambda: not self._stopping.is_set())
            options = {"voxel_size_m": p.voxel_size_m, "max_depth_m": p.max_depth_m}
            self.live = LiveField(find, p.field, **options, frame=p.world_frame)
            self.get_logger().info(f"Ready: {self.live.voxels} voxels, model {p.model!r}.")
        except FindError as error:
            self._trouble = str(error)
            self._complain(f"No field: {error}")
        while not self._stopping.is_set():
            try:
                self._answer_one(self._queries.get(timeout=0.02))
            except queue.Empty:
                if self.live is not None and self.parameters.lift_live:
                    self._lift_one(self.live)

    def _answer_one(self, text: str) -> None:
        began_s = time.monotonic()
        answer: dict[str, Any] = {"id": None, "prompt": text[:200], "error": "", "answer": None}
        try:
            answer["id"] = _query_id(text)
            prompt = read_prompt(text, self._references.all())
            answer["prompt"] = prompt.markup
            hits = self._ready().query(prompt, threshold=self.parameters.threshold)
            answer["answer"] = hits.to_json()
            self._show(hits)
        except FindError as error:
            answer["error"] = str(error)
        except Exception as error:
            answer["error"] = f"The query failed ({type(error).__name__}: {error})."
        if answer["error"]:
            self.throttled_log.warn(answer["error"], f"Query not answered: {answer['error']}")
        answer["stamp_ns"] = self.get_clock().now().nanoseconds
        if self.context.ok():
            self._answer.publish(String(data=json.dumps(answer)))
        self._answered += 1
        self._times_s.append(time.monotonic() - began_s)

    def _show(self, hits: Any) -> None:
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=hits.frame)
        for publisher, convert in self._views.values():
            publisher.publish(convert(hits, header))

    def _lift_one(self, live: LiveField) -> None:
        frame = self.store.take(0.05)
        if frame is None:
            return
        counters = self.store.counters[""]
        try:
            self._lift(live, frame)
            counters.publish()
        except UNUSABLE as error:
            counters.drop(error.cause)
            self.throttled_log.warn(error.cause, f"Not lifted: {error}")
        except Exception as error:
            counters.drop("lift_error")
            self.throttled_log.warn("lift_error", f"Not lifted: {type(error).__name__}: {error}")

    def _lift(self, live: LiveField, frame: Frame) -> None:
        assert self.camera is not None and self._poses is not None
        if frame.depth is None or self.camera.info is None:
            raise MessageError("no_depth", "depth or camera_info is missing.")
        image_rgb, depth_m = self.camera.decode(frame.image), depth_to_m(frame.depth)
        intrinsics = intrinsics_from_info(self.camera.info)
        sizes = {image_rgb.shape[:2], depth_m.shape, (intrinsics.height, intrinsics.width)}
        if len(sizes) > 1:
            raise MessageError("size_mismatch", "image, depth and camera_info differ in size.")
        T = self._poses.lookup(live.frame, frame.image.header.frame_id, frame.stamp_ns)
        live.add(image_rgb, depth_m, intrinsics.K, np.asarray(T))

    def _complain(self, sentence: str) -> None:
        if self.context.ok():
            self.get_logger().warning(sentence)

    def _status(self) -> tuple[bytes, str, dict[str, Any]]:
        live, counts = self.live, self.store.counters[""].snapshot()
        values = {
            "field": self.parameters.field,
            "model": self.parameters.model,
            "voxels": live.voxels if live else 0,
            "frames_lifted": live.frames_lifted if live else 0,
            "queries_answered": self._answered,
            "query_p50_ms": f"{percentile_ms(self._times_s, 50):.1f}",
            "query_p99_ms": f"{percentile_ms(self._times_s, 99):.1f}",
            "memory_mb": f"{memory_mb():.1f}",
            "received": counts["received"],
            "lifted": counts["published"],
            "in_flight": counts["in_flight"],
        }
        values |= {f"dropped/{cause}": n for cause, n in sorted(counts["dropped"].items())}
        level = DiagnosticStatus.ERROR if self._trouble else DiagnosticStatus.OK
        return level, self._trouble or ("ready" if live else "loading"), values

    def _waiting(self) -> list[str]:
        if self._trouble:
            return [self._trouble]
        return self.camera.waits_for() if self.camera is not None else []


def _query_id(text: str) -> Any:
    """The optional "id" of a query in JSON; what else is wrong with it `read_prompt` says."""
    if text.lstrip().startswith("{"):
        with contextlib.suppress(ValueError):
            return json.loads(text).get("id")
    return None


def main(args: list[str] | None = None) -> int:
    return run_node(FieldServer, TABLE, args)


if __name__ == "__main__":
    sys.exit(main())
