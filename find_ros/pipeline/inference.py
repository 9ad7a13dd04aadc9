"""The inference thread: takes the next camera's newest frame, asks the model, publishes the result.

Runs beside the executor, so that messages keep coming in (and older frames are superseded) while
the model works.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from find_core.errors import FindError
from find_core.protocols import FindLike, LocalizedImage
from find_core.video.stream import StreamLocalizer
from find_ros.localizer_parameters import LocalizerParameters
from find_ros.messages.camera_info import intrinsics_from_info
from find_ros.messages.errors import UNUSABLE, MessageError, check_same_frame
from find_ros.messages.images import check_size, depth_to_m
from find_ros.messages.objects_3d import UP, UP_OPTICAL, spatial_objects
from find_ros.pipeline.camera_pipeline import CameraPipeline
from find_ros.pipeline.frame_buffer import Frame, FrameStore
from find_ros.pipeline.prompt_compiler import ActivePrompt, PromptCompiler, StartThread
from find_ros.pipeline.publishers import FrameResult
from find_ros.support.last_net import start_plain_thread
from find_ros.support.log_throttle import ThrottledLogger


class Worker:
    """Localizes frames until `stop`.

    Args:
        find: the model. pipelines: by camera name. store: where frames come from.
        prompts: the prompt to use. parameters: live values. now_ns: the node's clock (sim time too).
        throttled_log: where troubles are said. start_thread: takes a name and what to run.
    """

    def __init__(
        self,
        find: FindLike[LocalizedImage],
        pipelines: dict[str, CameraPipeline],
        store: FrameStore,
        prompts: PromptCompiler,
        parameters: LocalizerParameters,
        now_ns: Callable[[], int],
        throttled_log: ThrottledLogger,
        start_thread: StartThread = start_plain_thread,
    ) -> None:
        self.find, self.pipelines, self.store, self.prompts = find, pipelines, store, prompts
        self.parameters, self.now_ns, self.throttled_log = parameters, now_ns, throttled_log
        self._stopping = threading.Event()
        self._thread = start_thread("inference", self._run)

    def stop(self, timeout_s: float) -> bool:
        """Let go after the frame in work; False when that takes longer than `timeout_s`."""
        self._stopping.set()
        self.store.close("inactive")
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            frame = self.store.take(0.5)
            if frame is None:
                continue
            counters = self.store.counters[frame.camera]
            try:
                cause = self._handle(frame, self.pipelines[frame.camera])
            except UNUSABLE as error:
                cause = error.cause
                self.throttled_log.warn(
                    f"{frame.camera}:{cause}", _named(frame, f"Dropped: {error}")
                )
            except Exception as error:  # whatever a frame does, the next one gets its chance
                cause = "inference_error"
                what = error if isinstance(error, FindError) else repr(error)
                self.throttled_log.warn(
                    f"{frame.camera}:{cause}", _named(frame, f"Dropped: {what}")
                )
            counters.drop(cause) if cause else counters.publish()

    def _handle(self, frame: Frame, pipeline: CameraPipeline) -> str:
        """Answer one frame; '' or the cause under which it is dropped."""
        taken_s = time.monotonic()
        prompt = self.prompts.active
        if cause := self._unfit(frame, prompt):
            return cause
        assert prompt is not None
        image_rgb = pipeline.camera.decode(frame.image, self.parameters.max_megapixels)
        stream = self._stream(pipeline, prompt)
        began_s = time.monotonic()
        video = stream.update(image_rgb, frame.stamp_ns)
        inferred_s = time.monotonic()
        if self._stopping.is_set():
            return "inactive"
        result = FrameResult(frame.image.header, image_rgb, prompt, video)
        if pipeline.camera.config.depth:
            result = self._with_3d(result, frame, pipeline)
        pipeline.publishers.publish(result, self.parameters.jpeg_quality)
        done_s = time.monotonic()
        pipeline.timing.inference_s.append(inferred_s - began_s)
        pipeline.timing.overhead_s.append((began_s - taken_s) + (done_s - inferred_s))
        pipeline.timing.turnaround_s.append(done_s - frame.received_s)
        pipeline.timing.age_s.append((self.now_ns() - frame.stamp_ns) * 1e-9)
        return ""

    def _unfit(self, frame: Frame, prompt: ActivePrompt | None) -> str:
        """Why this frame is not to be localized at all."""
        if prompt is None:
            return "no_prompt"
        limit_s = self.parameters.max_age_s
        age_s = (self.now_ns() - frame.stamp_ns) * 1e-9
        if limit_s and abs(age_s) > limit_s:
            cause = "stale" if age_s > 0 else "future"
            self.throttled_log.warn(
                f"{frame.camera}:{cause}",
                _named(
                    frame,
                    f"Dropped: the image's stamp lies {age_s:.3f} s in the past and max_age_s is "
                    f"{limit_s:g}: check the camera's clock and use_sim_time, or raise max_age_s.",
                ),
            )
            return cause
        return ""

    def _stream(self, pipeline: CameraPipeline, prompt: ActivePrompt) -> StreamLocalizer:
        """The camera's stream, on the newest prompt and threshold."""
        threshold = self.parameters.threshold if self.parameters.threshold > 0 else None
        if pipeline.stream is None:
            pipeline.stream = StreamLocalizer(
                self.find, prompt.compiled, threshold=threshold, fast=self.parameters.fast
            )
        elif pipeline.stream.threshold != threshold or pipeline.stream.fast != self.parameters.fast:
            pipeline.stream.fast = self.parameters.fast
            pipeline.stream.set_threshold(threshold)
        if pipeline.prompt_version not in (0, prompt.version):
            pipeline.stream.set_prompts(prompt.compiled)
        pipeline.prompt_version = prompt.version
        return pipeline.stream

    def _with_3d(self, result: FrameResult, frame: Frame, pipeline: CameraPipeline) -> FrameResult:
        """The result with places, or as it is where something is missing, which is counted."""
        try:
            return self._located(result, frame, pipeline)
        except UNUSABLE as error:
            # A depth image can be malformed too, which is another matter than a malformed image.
            own = isinstance(error, MessageError)
            cause = error.cause if own else f"{error.cause}_depth"
            self.store.counters[frame.camera].skip_3d(cause)
            self.throttled_log.warn(
                f"{frame.camera}:3d:{cause}", _named(frame, f"No 3D output: {error}")
            )
            return result

    def _located(self, result: FrameResult, frame: Frame, pipeline: CameraPipeline) -> FrameResult:
        if frame.depth is None:
            raise MessageError(
                "no_depth", "no depth image has this image's stamp (depth_tolerance_s)."
            )
        if pipeline.camera.info is None:
            raise MessageError("no_camera_info", "camera_info has not come in.")
        check_same_frame(frame.depth.header.frame_id, frame.image.header.frame_id)
        check_size(frame.depth, self.parameters.max_megapixels)
        depth_m = depth_to_m(frame.depth)
        intrinsics = intrinsics_from_info(pipeline.camera.info, rectified=self.parameters.rectified)
        size = result.image_rgb.shape[:2]
        if depth_m.shape != size or (intrinsics.height, intrinsics.width) != size:
            raise MessageError(
                "size_mismatch",
                f"image {size[1]}x{size[0]}, depth {depth_m.shape[1]}x{depth_m.shape[0]} and "
                f"camera_info {intrinsics.width}x{intrinsics.height} differ: give depth that is "
                "aligned to the colour image.",
            )
        camera_frame = result.header.frame_id
        target, T_target_camera = self.parameters.target_frame or camera_frame, np.eye(4)
        if target != camera_frame:
            assert pipeline.poses is not None
            T_target_camera = pipeline.poses.lookup(target, camera_frame, frame.stamp_ns)
        objects = spatial_objects(
            result.video.localization,
            depth_m,
            intrinsics,
            T_target_camera,
            self.parameters.max_points,
            UP_OPTICAL if target == camera_frame else UP,
        )
        return replace(result, objects=objects, frame_3d=target)


def _named(frame: Frame, sentence: str) -> str:
    return f"[{frame.camera}] {sentence}" if frame.camera else sentence
