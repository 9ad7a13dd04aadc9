"""Everything that belongs to one camera: input, publishers, followed objects, poses and times."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from find_core.video.stream import StreamLocalizer
from find_ros.pipeline.camera_input import CameraInput
from find_ros.pipeline.camera_poses import PoseSource
from find_ros.pipeline.frame_buffer import FrameStore
from find_ros.pipeline.publishers import CameraPublishers
from find_ros.support.diagnostics import percentile_ms

WINDOW = 500


@dataclass
class Timing:
    """Times of the last `WINDOW` frames, seconds.

    Attributes:
        inference_s: the model alone.
        overhead_s: the node's own work up to the last publish, waiting excluded.
        turnaround_s: from receipt to the last publish, all included.
        age_s: from the image's stamp to the last publish.
    """

    inference_s: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    overhead_s: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    turnaround_s: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    age_s: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))


@dataclass(eq=False)
class PromptStream:
    """What is followed for one prompt; version: of the prompt it follows."""

    localizer: StreamLocalizer
    version: int


@dataclass(eq=False)
class CameraPipeline:
    """One camera's input, outputs, followed objects by prompt id, poses and times."""

    camera: CameraInput
    publishers: CameraPublishers
    poses: PoseSource | None
    streams: dict[str, PromptStream] = field(default_factory=dict)
    timing: Timing = field(default_factory=Timing)


def pipeline_values(name: str, pipeline: CameraPipeline, store: FrameStore) -> dict[str, Any]:
    """One camera's numbers; keys begin with the camera's name where there are several."""
    prefix = f"{name}/" if name else ""
    counts, timing = store.counters[name].snapshot(), pipeline.timing
    out: dict[str, Any] = {
        "input_rate_hz": f"{pipeline.camera.rate_hz():.2f}",
        "received": counts["received"],
        "published": counts["published"],
        "in_flight": counts["in_flight"],
    }
    out |= {f"dropped/{cause}": n for cause, n in sorted(counts["dropped"].items())}
    out |= {f"without_3d/{cause}": n for cause, n in sorted(counts["without_3d"].items())}
    for key, seconds in (
        ("frame_age", timing.age_s),
        ("inference", timing.inference_s),
        ("overhead", timing.overhead_s),
        ("turnaround", timing.turnaround_s),
    ):
        for percent in (50, 99):
            out[f"{key}_p{percent}_ms"] = f"{percentile_ms(seconds, percent):.1f}"
    return {prefix + key: value for key, value in out.items()}
