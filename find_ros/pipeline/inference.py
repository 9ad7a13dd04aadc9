"""The inference thread: takes the next camera's newest frame, asks the model, publishes the result.

Runs beside the executor, so that messages keep coming in (and older frames are superseded) while
the model works.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from find_core.errors import FindError
from find_core.video.stream import StreamLocalizer, VideoFrame
from find_ros.localizer_parameters import LocalizerParameters
from find_ros.messages.errors import UNUSABLE, MessageError
from find_ros.pipeline.camera_pipeline import CameraPipeline, PromptStream
from find_ros.pipeline.frame_buffer import Frame, FrameStore
from find_ros.pipeline.model_loader import RunningModel
from find_ros.pipeline.places import DepthView, depth_view
from find_ros.pipeline.prompt_compiler import ActivePrompt, PromptCompiler, StartThread
from find_ros.pipeline.prompt_request import OWN
from find_ros.pipeline.publishers import FrameResult
from find_ros.support.last_net import start_plain_thread
from find_ros.support.log_throttle import ThrottledLogger
from find_ros.support.text import sentence_of


class Worker:
    """Localizes frames until `stop`.

    Args:
        model: whose `find` is asked, another one from frame to frame when its input size changes.
        pipelines: by camera name. store: where frames come from.
        prompts: those in use. parameters: live values. now_ns: the node's clock (sim time too).
        throttled_log: where troubles are said. start_thread: takes a name and what to run.
    """

    def __init__(
        self,
        model: RunningModel,
        pipelines: dict[str, CameraPipeline],
        store: FrameStore,
        prompts: PromptCompiler,
        parameters: LocalizerParameters,
        now_ns: Callable[[], int],
        throttled_log: ThrottledLogger,
        start_thread: StartThread = start_plain_thread,
    ) -> None:
        self.model, self.pipelines, self.store, self.prompts = model, pipelines, store, prompts
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
        prompts = self.prompts.in_use
        if cause := self._unfit(frame, prompts):
            return cause
        image_rgb = pipeline.camera.decode(frame.image, self.parameters.max_megapixels)
        self._follow(pipeline, prompts)
        began_s = time.monotonic()
        answers, failed = self._ask(prompts, image_rgb, frame, pipeline)
        inferred_s = time.monotonic()
        if self._stopping.is_set():
            return "inactive"
        self._publish(answers, image_rgb, frame, pipeline)
        if failed is not None:
            raise failed
        if not answers:
            return "inference_error"
        done_s = time.monotonic()
        pipeline.timing.inference_s.append(inferred_s - began_s)
        pipeline.timing.overhead_s.append((began_s - taken_s) + (done_s - inferred_s))
        pipeline.timing.turnaround_s.append(done_s - frame.received_s)
        pipeline.timing.age_s.append((self.now_ns() - frame.stamp_ns) * 1e-9)
        return ""

    def _ask(
        self,
        prompts: Sequence[ActivePrompt],
        image_rgb: np.ndarray,
        frame: Frame,
        pipeline: CameraPipeline,
    ) -> tuple[list[tuple[ActivePrompt, VideoFrame]], Exception | None]:
        """What each prompt finds, the image encoded once; and what the node's own prompt raised."""
        scene = self.model.find.encode(image_rgb)
        answers, failed = [], None
        for prompt in prompts:
            stream = pipeline.streams[prompt.id].localizer
            try:
                answers.append((prompt, stream.update(image_rgb, frame.stamp_ns, scene=scene)))
            except Exception as error:  # of one prompt: the others get their answers
                if prompt.id == OWN:
                    failed = error
                else:
                    what = f"{type(error).__name__}: {sentence_of(error)}"
                    self.prompts.fail(prompt, f"The model failed on this prompt ({what}).")
        return answers, failed

    def _publish(
        self,
        answers: Sequence[tuple[ActivePrompt, VideoFrame]],
        image_rgb: np.ndarray,
        frame: Frame,
        pipeline: CameraPipeline,
    ) -> None:
        """All outputs for the node's own prompt, the JSON for those beside it."""
        view, without_3d = None, ""
        if answers and pipeline.camera.config.depth:
            view, without_3d = self._view(frame, pipeline, (image_rgb.shape[0], image_rgb.shape[1]))
        for prompt, video in answers:
            result = FrameResult(
                frame.image.header, image_rgb, prompt, video, without_3d=without_3d
            )
            if view is not None:
                objects = view.objects(video.localization, self.parameters.max_points)
                result = replace(result, objects=objects, frame_3d=view.frame_id)
            if prompt.id == OWN:
                pipeline.publishers.publish(result, self.parameters.jpeg_quality)
            else:
                pipeline.publishers.publish_json(result)

    def _unfit(self, frame: Frame, prompts: Sequence[ActivePrompt]) -> str:
        """Why this frame is not to be localized at all."""
        if not prompts:
            return "no_prompt"
        limit_s = self.parameters.max_age_s
        age_s = (self.now_ns() - frame.stamp_ns) * 1e-9
        if limit_s and abs(age_s) > limit_s:
            cause = "stale" if age_s > 0 else "future"
            said = (
                f"Dropped: the image's stamp lies {age_s:.3f} s in the past and max_age_s is "
                f"{limit_s:g}: check the camera's clock and use_sim_time, or raise max_age_s."
            )
            key = f"{frame.camera}:{cause}"
            if not frame.stamp_ns:
                key = f"{frame.camera}:unstamped"
                said = "Dropped: the image has no stamp: let the camera's driver stamp it, or set max_age_s to 0."  # fmt: skip
            self.throttled_log.warn(key, _named(frame, said))
            return cause
        return ""

    def _follow(self, pipeline: CameraPipeline, prompts: Sequence[ActivePrompt]) -> None:
        """Bring the camera's streams, one for each prompt, to the newest prompts and threshold.

        A prompt that comes or goes leaves the tracks of the others as they are.
        """
        threshold = self.parameters.threshold if self.parameters.threshold > 0 else None
        streams, fast = pipeline.streams, self.parameters.fast
        for gone in set(streams) - {prompt.id for prompt in prompts}:
            del streams[gone]
        for prompt in prompts:
            stream = streams.get(prompt.id)
            if stream is None:
                localizer = StreamLocalizer(
                    self.model.find, prompt.compiled, threshold=threshold, fast=fast
                )
                streams[prompt.id] = PromptStream(localizer, prompt.version)
                continue
            if stream.localizer.threshold != threshold or stream.localizer.fast != fast:
                stream.localizer.fast = fast
                stream.localizer.set_threshold(threshold)
            if stream.version != prompt.version:
                stream.localizer.set_prompts(prompt.compiled)
                stream.version = prompt.version

    def _view(
        self, frame: Frame, pipeline: CameraPipeline, size: tuple[int, int]
    ) -> tuple[DepthView | None, str]:
        """The frame's depth; or None and the cause why it has none, which is counted."""
        try:
            return depth_view(frame, pipeline, size, self.parameters), ""
        except UNUSABLE as error:
            # A depth image can be malformed too, which is another matter than a malformed image.
            own = isinstance(error, MessageError)
            cause = error.cause if own else f"{error.cause}_depth"
            self.store.counters[frame.camera].skip_3d(cause)
            self.throttled_log.warn(
                f"{frame.camera}:3d:{cause}", _named(frame, f"No 3D output: {error}")
            )
            return None, cause


def _named(frame: Frame, sentence: str) -> str:
    return f"[{frame.camera}] {sentence}" if frame.camera else sentence
