"""The localizer node: camera frames and a prompt in, masks, boxes, scores and places out.

    ros2 run find_ros localizer --ros-args -r image:=/camera/color/image_raw -p prompt:="the <mug>"

A lifecycle node; with `autostart` it configures and activates itself.
"""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds; Ctrl-C ends it without a word
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

import gc
import sys
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import String

from find_core.errors import FindError
from find_core.support.json_text import json_text
from find_ros.localizer_parameters import TABLE, LocalizerParameters
from find_ros.messages import detections
from find_ros.messages.errors import UNUSABLE
from find_ros.pipeline.camera_input import CameraConfig, CameraInput
from find_ros.pipeline.camera_pipeline import CameraPipeline, pipeline_values
from find_ros.pipeline.camera_poses import TF_AVAILABLE, TF_MISSING, PoseSource, TfPoses, TopicPoses
from find_ros.pipeline.frame_buffer import FrameStore
from find_ros.pipeline.inference import Worker
from find_ros.pipeline.model_loader import RunningModel, load_aside, model_values, runtime_of
from find_ros.pipeline.prompt_compiler import PromptCompiler, PromptStatus
from find_ros.pipeline.prompt_text import PromptLimits
from find_ros.pipeline.publishers import CameraPublishers
from find_ros.pipeline.reference_store import reference_of
from find_ros.support import qos
from find_ros.support.command_input import CommandInput
from find_ros.support.diagnostics import DiagnosticsPublisher, memory_mb
from find_ros.support.last_net import GuardedNode
from find_ros.support.node_main import GRACE_S, run_node
from find_ros.support.parameters import declare_parameters
from find_ros.support.text import sentence_of

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
# A deactivation waits this long for the frame in work.
STOP_S = 10.0
USUAL_SIZE = 480, 640
"""Height and width of images, as long as none has come."""


class Localizer(GuardedNode, LifecycleNode):
    """See the package page for topics, parameters and diagnostics."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("localizer", **node_options)
        self._state = "unconfigured"
        self._trouble = ""
        self.model: RunningModel | None = None
        self.prompts: PromptCompiler | None = None
        self.store: FrameStore | None = None
        self.worker: Worker | None = None
        self.pipelines: dict[str, CameraPipeline] = {}
        self.parameters = declare_parameters(
            self,
            LocalizerParameters,
            is_configured=lambda: self._state != "unconfigured",
            why_not=self._why_not,
            on_change=self._on_live_change,
        )
        self._inputs: list[CommandInput] = []
        self._prompt_status = self.create_publisher(String, "~/prompt_status", qos.STATUS)
        self._diagnostics = DiagnosticsPublisher(self, self._status, self._waiting)
        if self.parameters.autostart:
            self._autostart = self.create_timer(0.0, self._start_itself)

    # Transitions. rclpy swallows what they raise, so each says its own trouble.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        p = self.parameters
        try:
            p.with_depth()
        except ValueError as error:
            self._trouble = sentence_of(error)
            self.get_logger().error(f"Not configured: {self._trouble}")
            return FAILURE
        self.get_logger().info(f"Loading model {p.model!r} on {p.device!r}.")
        try:
            find = load_aside(p.model, p.device, self.context.ok, p.input_px, p.runtime)
        except FindError as error:
            self._trouble = f"the model: {sentence_of(error)}"
            if self.context.ok():
                self.get_logger().error(f"Not configured: {sentence_of(error)}")
            return FAILURE
        self._trouble = ""
        self.model = model = RunningModel(
            find, p.input_px, self._try_out, self._on_input_size, self.net.start_thread
        )
        self.prompts = PromptCompiler(
            lambda prompt: model.find.compile(prompt),
            self.net.wrapped("prompt status", self._on_prompt_tried),
            PromptLimits(p.max_prompt_bytes, p.max_references),
            self.net.start_thread,
            max_prompts=p.max_prompts,
            reference_wait_s=p.reference_wait_s,
        )
        self._subscribe_commands()
        if p.prompt:
            self.prompts.submit(p.prompt)
        self._state = "inactive"
        self.get_logger().info(
            f"Configured: model {p.model!r} on {getattr(find, 'device', 'cpu')} "
            f"by {runtime_of(find)}."
        )
        if not detections.AVAILABLE:
            self.get_logger().info(detections.MISSING)
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self._start_working()
        except Exception as error:
            self.net.caught("activate", error)
            self._stop_working(STOP_S)
            return FAILURE
        self._state = "active"
        self.get_logger().info("Active.")
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_working(STOP_S)
        self._state = "inactive"
        return SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        self._state = "unconfigured"
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_working(STOP_S)
        self._release()
        self._state = "finalized"
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.on_cleanup(state)

    def close(self) -> bool:
        """At the end of the process; False when the model is still at work."""
        finished = self._stop_working(GRACE_S)
        return (self.model is None or self.model.close(GRACE_S)) and finished

    def _start_itself(self) -> None:
        self._autostart.cancel()
        if self.trigger_configure() == SUCCESS and self.context.ok():
            self.trigger_activate()

    def _start_working(self) -> None:
        p, names = self.parameters, list(self.parameters.cameras) or [""]
        with_depth = p.with_depth()
        if p.target_frame and p.use_depth and p.pose_source == "tf" and not TF_AVAILABLE:
            self.get_logger().warning(TF_MISSING)
        self.store = FrameStore(
            names,
            pair_depth=with_depth,
            tolerance_s=p.depth_tolerance_s,
            wait_s=p.depth_wait_s,
            rate_hz=p.max_rate_hz,
        )
        self.pipelines = {
            name: CameraPipeline(
                CameraInput(self, name, self._camera_config(name in with_depth), self.store),
                CameraPublishers(self, name, with_3d=name in with_depth),
                self._pose_source(name) if name in with_depth else None,
            )
            for name in names
        }
        assert self.model is not None and self.prompts is not None
        self.worker = Worker(
            self.model,
            self.pipelines,
            self.store,
            self.prompts,
            p,
            self._now_ns,
            self.throttled_log,
            self.net.start_thread,
        )

    def _stop_working(self, timeout_s: float) -> bool:
        finished = True
        if self.worker is not None:
            for pipeline in self.pipelines.values():
                pipeline.camera.destroy()
            finished = self.worker.stop(timeout_s)
            for pipeline in self.pipelines.values():
                pipeline.publishers.destroy()
                if pipeline.poses is not None:
                    pipeline.poses.destroy()
        self.worker, self.pipelines = None, {}
        return finished

    def _release(self) -> None:
        """Give back the model and everything that came with it."""
        for command in self._inputs:
            command.destroy()
        self._inputs = []
        if self.prompts is not None:
            self.prompts.close()
        if self.model is not None:
            self.model.close(0.0)
        self.model = self.prompts = self.store = None
        gc.collect()
        if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
            sys.modules["torch"].cuda.empty_cache()

    def _subscribe_commands(self) -> None:
        self._inputs = [
            CommandInput(self, String, "~/prompt", self._on_prompt),
            CommandInput(self, Image, "~/reference", self._on_reference),
        ]

    def _camera_config(self, depth: bool) -> CameraConfig:
        return CameraConfig(self.parameters.compressed, depth, self.parameters.image_reliability)

    def _pose_source(self, camera: str) -> PoseSource | None:
        p = self.parameters
        if not p.target_frame:
            return None
        if p.pose_source == "tf" and TF_AVAILABLE:
            return TfPoses(self, p.tf_wait_s)
        return TopicPoses(self, f"{camera}/camera_pose" if camera else "camera_pose")

    def _on_prompt(self, msg: String) -> None:
        if self.prompts is not None:
            self.prompts.submit(msg.data)

    def _on_reference(self, msg: Image) -> None:
        try:
            name, image_rgb = reference_of(msg, self.parameters.max_megapixels)
        except UNUSABLE as error:
            self.throttled_log.warn("reference", f"A reference was refused: {error}")
            return
        if self.prompts is not None:
            self.prompts.add_reference(name, image_rgb)

    def _on_prompt_tried(self, status: PromptStatus) -> None:
        prompts = self.prompts.in_use if self.prompts is not None else ()
        data = status.to_json(prompts)
        if not self._publish_status(json_text(data)) or status.repeated:
            return
        asked, active = repr(data["prompt"]), data["active"]
        name = f"Prompt {status.id!r} ({asked})" if status.id else f"Prompt {asked}"
        if status.error:
            kept = f"still looking for {active!r}" if active else "no prompt is active"
            self.get_logger().error(f"{name} refused ({kept}): {status.error}")
        else:
            self.get_logger().info(f"{name}: {status.state}.")

    def _publish_status(self, text: str) -> bool:
        """False when the node is going down under the prompt compiler's thread."""
        try:
            self._prompt_status.publish(String(data=text))
        except Exception:
            if self.context.ok():
                raise
        return bool(self.context.ok())

    def _why_not(self, changed: dict[str, Any]) -> str:
        if "input_px" in changed and self.model is not None:
            return self.model.problem(changed["input_px"])
        return ""

    def _try_out(self, find: Any) -> None:
        """Ask a model what the next frame will."""
        prompts = self.prompts.in_use if self.prompts is not None else ()
        last = (p.camera.last_size for p in self.pipelines.values())
        sizes = {size for size in last if size is not None}
        for size in sizes or {USUAL_SIZE}:
            scene = find.encode(np.zeros((*size, 3), np.uint8))
            if prompts:
                scene.localize_many([p.compiled for p in prompts])

    def _on_input_size(self, in_use: int, error: str) -> None:
        """From the thread that tried another input size."""
        if error:
            self.get_logger().error(f"{error} The size of before stays.")
            self.set_parameters([Parameter("input_px", value=in_use)])
        elif self.model is not None:
            self.get_logger().info(f"Input size: {self.model.input_px} px.")

    def _on_live_change(self, changed: dict[str, Any]) -> None:
        if "prompt" in changed and self.prompts is not None and changed["prompt"]:
            self.prompts.submit(changed["prompt"])
        if "input_px" in changed and self.model is not None:
            self.model.want(changed["input_px"])
        if "max_rate_hz" in changed and self.store is not None:
            self.store.rate_hz = changed["max_rate_hz"]

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _status(self) -> tuple[bytes, str, dict[str, Any]]:
        prompts, store = self.prompts, self.store
        active = prompts.active if prompts is not None else None
        values: dict[str, Any] = {
            "state": self._state,
            "model": self.parameters.model,
            **model_values(self.model),
            "active_prompt": active.markup if active else "",
            "prompt_error": prompts.error if prompts is not None else "",
            "prompts": len(prompts.in_use) if prompts is not None else 0,
            "memory_mb": f"{memory_mb():.1f}",
        }
        if store is not None:
            for name, pipeline in self.pipelines.items():
                values |= pipeline_values(name, pipeline, store)
        values |= self.net.values()
        level = DiagnosticStatus.ERROR if self._trouble else DiagnosticStatus.OK
        return level, self._trouble or self._state, values

    def _waiting(self) -> list[str]:
        """What the node lacks to do its work, as sentences."""
        if self._trouble:
            return [f"{self._trouble} (then configure again: ros2 lifecycle set <node> configure)"]
        if self._state != "active":
            return []
        out = []
        if self.get_parameter("use_sim_time").value and self._now_ns() == 0:
            out.append("use_sim_time is set but no time has come on /clock")
        if self.prompts is not None and not self.prompts.in_use and self.prompts.is_busy:
            out.append("the prompt is being compiled")
        elif self.prompts is not None and not self.prompts.in_use:
            out.append(f"no prompt yet (parameter prompt or topic {self.get_name()}/prompt)")
        for pipeline in self.pipelines.values():
            out += pipeline.camera.waits_for()
        return out


def main(args: list[str] | None = None) -> int:
    return run_node(Localizer, TABLE, args)


if __name__ == "__main__":
    sys.exit(main())
