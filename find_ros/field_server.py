"""The field server: a 3D feature field that answers prompts, and grows from RGB-D while it does.

ros2 run find_ros field_server --ros-args -p field:=room.field
ros2 run find_ros field_server --ros-args -p lift_live:=true -p world_frame:=map
"""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds; Ctrl-C ends it without a word
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

import contextlib
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseArray
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from find_core.errors import FindError, PromptError
from find_core.support.json_text import json_text
from find_core.support.strict_json import parse_json
from find_ros.field_parameters import TABLE, FieldParameters
from find_ros.messages.camera_info import intrinsics_from_info
from find_ros.messages.errors import UNUSABLE, MessageError, check_same_frame
from find_ros.messages.field_hits import hits_to_cloud, hits_to_markers, hits_to_poses
from find_ros.messages.images import check_size, depth_to_m
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
from find_ros.pipeline.model_loader import import_torch, load_aside, runtime_of
from find_ros.pipeline.prompt_text import PromptLimits, read_prompt
from find_ros.pipeline.query_queue import QueryQueue
from find_ros.pipeline.reference_store import ReferenceStore, reference_of
from find_ros.pipeline.saving import Keeper, check_replaceable
from find_ros.support import qos
from find_ros.support.command_input import CommandInput
from find_ros.support.diagnostics import DiagnosticsPublisher, memory_mb, percentile_ms
from find_ros.support.last_net import GuardedNode
from find_ros.support.node_main import GRACE_S, run_node
from find_ros.support.parameters import declare_parameters
from find_ros.support.text import SENTENCE_LIMIT, printable, sentence_of

# Queries that may wait; one is answered in milliseconds.
MAX_WAITING = 1000
MAX_ID_CHARS = 1000


class FieldServer(GuardedNode):
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
        self._trouble, self._runtime = "", "none"
        self._answered = 0
        self._times_s: deque[float] = deque(maxlen=200)
        self._limits = PromptLimits(p.max_prompt_bytes, p.max_references)
        self._references = ReferenceStore(p.max_references)
        self._queries = QueryQueue(MAX_WAITING, 4 * p.max_prompt_bytes)
        self._stopping = threading.Event()
        self.store = FrameStore([""], pair_depth=True, tolerance_s=p.depth_tolerance_s,
                                wait_s=0.5, rate_hz=p.lift_rate_hz)  # fmt: skip
        self.camera: CameraInput | None = None
        self._poses: PoseSource | None = None
        self._open_topics()
        self._diagnostics = DiagnosticsPublisher(self, self._status, self._waiting)
        self._thread = self.net.start_thread("field", self._run)
        self.keeper: Keeper | None = None
        if p.save_every_s:
            self.keeper = Keeper(
                Path(p.save_path),
                p.save_every_s,
                lambda: self.live,
                lambda sentence: self.throttled_log.warn("save", sentence),
            )
            self.net.start_thread("keeper", self.keeper.run)

    def close(self) -> bool:
        self._stopping.set()
        if self.keeper is not None:
            self.keeper.stop()
        self.store.close()
        self._thread.join(GRACE_S)
        return not self._thread.is_alive()

    def _open_topics(self) -> None:
        p = self.parameters
        self._answer = self.create_publisher(String, "~/answer", qos.COMMAND)
        self._views = {
            "~/hits": (self.create_publisher(PoseArray, "~/hits", qos.LATCHED), hits_to_poses),
            "~/hit_points": (
                self.create_publisher(PointCloud2, "~/hit_points", qos.LATCHED), hits_to_cloud,
            ),
            "~/markers": (self.create_publisher(MarkerArray, "~/markers", qos.LATCHED), hits_to_markers),
        }  # fmt: skip
        self.create_subscription(String, "~/query", self._on_query, qos.COMMAND)
        self._reference_input = CommandInput(self, Image, "~/reference", self._on_reference)
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
        text = msg.data[: self._limits.max_bytes + 1]  # enough to be refused
        if not self._queries.put(text):
            self.throttled_log.warn(
                "queries", "A query was left out: too many wait. Ask less often."
            )

    def _on_reference(self, msg: Image) -> None:
        try:
            self._references.put(*reference_of(msg, self.parameters.max_megapixels))
        except UNUSABLE as error:
            self.throttled_log.warn("reference", f"A reference was refused: {error}")

    def _on_save(self, request: Any, response: Any) -> Any:
        path = Path(self.parameters.save_path)

        def save() -> str:
            check_replaceable(path)
            return f"saved to {self._ready().save(str(path))}"

        return self._served(response, save)

    def _on_reset(self, request: Any, response: Any) -> Any:
        def reset() -> str:
            self._ready().reset()
            return "reset"

        return self._served(response, reset)

    def _served(self, response: Any, work: Any) -> Any:
        try:
            response.message, response.success = work(), True
        except (FindError, OSError) as error:
            response.message, response.success = sentence_of(error), False
        return response

    def _ready(self) -> LiveField:
        if self.live is None:
            raise FindError(self._trouble or "The field is still loading: ask again in a moment.")
        return self.live

    # The field's own thread: queries first, frames between them.

    def _run(self) -> None:
        p = self.parameters
        try:
            find = load_aside(
                p.model, p.device, lambda: not self._stopping.is_set(), runtime=p.runtime,
                prompts=True,
            )  # fmt: skip
            self._runtime = runtime_of(find)
            options = {"voxel_size_m": p.voxel_size_m, "max_depth_m": p.max_depth_m}
            self.live = LiveField(find, p.field, p.up, **options, frame=p.world_frame)
            self.get_logger().info(f"Ready: {self.live.voxels} voxels, model {p.model!r}.")
        except Exception as error:  # of a damaged file too: then nothing can be answered
            what = (
                str(error) if isinstance(error, FindError) else f"{type(error).__name__}: {error}"
            )
            self._trouble = printable(f"No field: {what}", SENTENCE_LIMIT)
            self.throttled_log.warn("load", self._trouble)
        while not self._stopping.is_set():
            try:
                self._work_once()
            except Exception as error:
                self.net.caught("field", error)

    def _work_once(self) -> None:
        text = self._queries.get(0.02)
        if text is not None:
            self._answer_one(text)
        elif self.live is not None and self.parameters.lift_live:
            self._lift_one(self.live)

    def _answer_one(self, text: str) -> None:
        began_s = time.monotonic()
        answer: dict[str, Any] = {
            "id": None, "prompt": printable(text), "error": "", "answer": None
        }  # fmt: skip
        try:
            prompt = read_prompt(text, self._references.all(), self._limits, envelope=("id",))
            answer["id"] = _query_id(text)
            answer["prompt"] = prompt.markup
            p, now_ns = self.parameters, self.get_clock().now().nanoseconds
            since_ns = now_ns - int(1e9 * p.max_age_s) if p.max_age_s else None
            hits = self._ready().query(
                prompt, threshold=p.threshold or None, seen_since_ns=since_ns
            )
            answer["answer"] = hits.to_json()
            json_text(answer)  # no number in it that JSON has no word for
            self._show(hits)
        except Exception as error:
            own = isinstance(error, FindError)
            what = str(error) if own else f"The query failed ({type(error).__name__}: {error})."
            answer |= {"error": printable(what, SENTENCE_LIMIT), "answer": None}
            with contextlib.suppress(Exception):  # the id helps, also when the query is refused
                answer["id"] = _query_id(text)
            self.throttled_log.warn("query", f"Query not answered: {answer['error']}")
        answer["stamp_ns"] = self.get_clock().now().nanoseconds
        if self.context.ok():
            self._answer.publish(String(data=json_text(answer)))
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
        check_same_frame(frame.depth.header.frame_id, frame.image.header.frame_id)
        check_size(frame.depth, self.parameters.max_megapixels)
        image_rgb = self.camera.decode(frame.image, self.parameters.max_megapixels)
        depth_m = depth_to_m(frame.depth)
        intrinsics = intrinsics_from_info(self.camera.info)
        sizes = {image_rgb.shape[:2], depth_m.shape, (intrinsics.height, intrinsics.width)}
        if len(sizes) > 1:
            raise MessageError("size_mismatch", "image, depth and camera_info differ in size.")
        T = self._poses.lookup(live.frame, frame.image.header.frame_id, frame.stamp_ns)
        live.add(image_rgb, depth_m, intrinsics.K, np.asarray(T), frame.stamp_ns)

    def _status(self) -> tuple[bytes, str, dict[str, Any]]:
        live, counts = self.live, self.store.counters[""].snapshot()
        values = {
            "field": self.parameters.field,
            "model": self.parameters.model,
            "runtime": self._runtime,
            "voxels": live.voxels if live else 0,
            "frames_lifted": live.frames_lifted if live else 0,
            "saves": self.keeper.saves if self.keeper is not None else 0,
            "queries_answered": self._answered,
            "query_p50_ms": f"{percentile_ms(self._times_s, 50):.1f}",
            "query_p99_ms": f"{percentile_ms(self._times_s, 99):.1f}",
            "memory_mb": f"{memory_mb():.1f}",
            "received": counts["received"],
            "lifted": counts["published"],
            "in_flight": counts["in_flight"],
        }
        values |= {f"dropped/{cause}": n for cause, n in sorted(counts["dropped"].items())}
        values |= self.net.values()
        level = DiagnosticStatus.ERROR if self._trouble else DiagnosticStatus.OK
        return level, self._trouble or ("ready" if live else "loading"), values

    def _waiting(self) -> list[str]:
        if self._trouble:
            return [self._trouble]
        return self.camera.waits_for() if self.camera is not None else []


def _query_id(text: str) -> Any:
    """The optional "id" of a query in JSON; what else is wrong with it `read_prompt` says.

    Raises:
        PromptError: the query is no JSON, or its id is longer than anyone needs.
    """
    if not text.lstrip().startswith("{"):
        return None
    query_id = parse_json(text, "The query", PromptError).get("id")
    if len(json_text(query_id)) > MAX_ID_CHARS:
        raise PromptError(f"The query's id is longer than {MAX_ID_CHARS} characters.")
    return query_id


def main(args: list[str] | None = None) -> int:
    return run_node(FieldServer, TABLE, args)


if __name__ == "__main__":
    sys.exit(main())
