"""What a demo leaves behind: answers, film, plot, and a page that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.drawing import TimelineCurve, timeline_png
from find_core.page.report import Row, Shot, write_report
from find_core.page.report_cloud import Cloud
from find_core.prompts.prompt import Prompt
from find_core.prompts.text_form import prompt_from_json_text
from find_core.support.files import write_text
from find_core.support.json_text import json_text
from find_core.video.timeline import TimelineConfig, segment_intervals
from find_core.video.writer import VideoWriter

Lines = Sequence[Mapping[str, Any]]
"""Messages of `~/localization`, in time order."""
Images = Mapping[int, np.ndarray]
"""Overlays by the stamp of their image, in nanoseconds: (H, W, 3) uint8 RGB."""


def write_files(out: Path, lines: Lines, images: Images, threshold: float) -> None:
    """localizations.jsonl, annotated.mp4 and timeline.png."""
    write_text(out / "localizations.jsonl", "".join(json_text(x) + "\n" for x in lines))
    shown = [(x["time_s"], images.get(x["stamp_ns"])) for x in lines]
    with VideoWriter(out / "annotated.mp4") as video:
        for time_s, image in shown:
            if image is not None:
                video.write(image, time_s)
    times = np.array([line["time_s"] for line in lines])
    raw = np.array([line["relevance"] for line in lines])
    smoothed = np.array([line["relevance_smoothed"] for line in lines])
    config = TimelineConfig(enter=threshold, leave=0.7 * threshold)
    curve = TimelineCurve(
        lines[0]["prompt"],
        raw,
        smoothed,
        segment_intervals(times, smoothed, config),
        threshold,
    )
    small = [(t, _small(p)) for t, p in shown if p is not None]
    thumbnails = small[:: max(1, len(small) // 8)]
    timeline_png(out / "timeline.png", times, [curve], thumbnails=thumbnails)


def prompt_of(asked: str) -> Prompt:
    """The prompt as it was given, a sentence or JSON."""
    return prompt_from_json_text(asked) if asked.lstrip().startswith("{") else Prompt.parse(asked)


def write_page(
    out: Path,
    asked: str,
    lines: Lines,
    images: Images,
    threshold: float,
    cloud: Cloud | None = None,
) -> Path:
    """The run as one HTML file.

    Args:
        asked: the prompt, a sentence or JSON. cloud: the scene in 3D, where it is known.
    """
    smoothed = [line["relevance_smoothed"] for line in lines]
    config = TimelineConfig(enter=threshold, leave=0.7 * threshold)
    intervals = segment_intervals([line["time_s"] for line in lines], smoothed, config)
    shots = [
        Shot(image, line["time_s"], line["relevance_smoothed"])
        for line in lines
        if (image := images.get(line["stamp_ns"])) is not None
    ]
    prompt = prompt_of(asked)
    quoted = prompt.markup.replace('"', "")
    return write_report(
        out / "index.html",
        title="What the robot found",
        prompt=prompt,
        shots=shots,
        intervals=intervals,
        threshold=threshold,
        rows=rows_of(lines),
        cloud=cloud,
        commands=(
            ("Your own video:", f'make demo VIDEO=kitchen.mp4 PROMPT="{quoted}"'),
            ("Your own camera, live in the browser:", f'find-core live 0 --prompt "{quoted}"'),
            (
                "On a robot with ROS 2:",
                "ros2 launch find_ros localize.launch.py page:=true "
                f'image:=/camera/color/image_raw prompt:="{quoted}"',
            ),
        ),
    )


def rows_of(lines: Lines) -> list[Row]:
    """What became of each entity of the prompt."""
    rows = []
    for index, entity in enumerate(lines[0]["entities"]):
        seen = [(line["entities"][index], line["time_s"]) for line in lines]
        best, when_s = max(seen, key=lambda pair: pair[0]["score"])
        found = [e for e, _ in seen if e["found"]]
        tracks = {e["track_id"] for e in found} - {None}
        rows.append(
            Row(entity["label"], len(found), len(lines), best["score"], when_s, len(tracks))
        )
    return rows


def _small(image: np.ndarray) -> np.ndarray:
    width = 200
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
