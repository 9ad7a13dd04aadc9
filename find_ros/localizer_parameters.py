"""The localizer's parameters."""

from __future__ import annotations

import re

from find_ros.pipeline.model_loader import MODEL_MEANING
from find_ros.pipeline.prompt_compiler import read_prompt
from find_ros.support.parameters import Param


def check_prompt(text: str) -> None:
    """A malformed sentence is refused when it is set; JSON may name pictures still to come."""
    if text and not text.lstrip().startswith("{"):
        read_prompt(text, {})


def check_cameras(names: list[str]) -> None:
    for name in names:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*", name):
            raise ValueError(f"{name!r} is not a namespace like 'front' or 'arm/wrist'.")
    if len(set(names)) < len(names):
        raise ValueError(f"{', '.join(names)}: each camera needs a name of its own.")


TABLE = (
    Param("autostart", True, "Configure and activate at start, without a lifecycle manager."),
    Param("model", "find-tabletop", MODEL_MEANING),
    Param("device", "auto", "auto, cpu, cuda or cuda:N."),
    Param(
        "input_px", 0,
        "Shorter side that images are scaled to; smaller is faster. 0: the model's own.", 0, 4096,
    ),
    Param(
        "prompt", "", "What to look for: a sentence with <entities>, or the JSON form.",
        live=True, check=check_prompt,
    ),
    Param(
        "cameras", [], "Namespaces of several cameras (front/image, wrist/image ...); empty: image.",
        check=check_cameras,
    ),
    Param("compressed", False, "Subscribe to image/compressed (JPEG, PNG) instead of image."),
    Param(
        "image_reliability", "best_effort", "Of the image subscriptions; best_effort fits all.",
        choices=("best_effort", "reliable"),
    ),
    Param("use_depth", False, "Subscribe to depth and camera_info, and give 3D outputs."),
    Param(
        "depth_tolerance_s", 0.005,
        "How far apart the stamps of image and depth may lie; less than half the camera's period.",
        0.0, 1.0,
    ),
    Param("depth_wait_s", 0.1, "How long an image waits for its depth.", 0.0, 2.0),
    Param(
        "rectified", True, "Images are rectified: use P of camera_info. Else K and its distortion.",
        live=True,
    ),
    Param(
        "target_frame", "",
        "Frame of 3D outputs, through tf at the image's stamp; empty: the camera's optical frame.",
    ),
    Param(
        "pose_source", "tf", "Where the camera's pose comes from: /tf, or the topic camera_pose.",
        choices=("tf", "topic"),
    ),
    Param("tf_wait_s", 0.05, "How long to wait for a transform that is on its way.", 0.0, 1.0),
    Param("max_points", 5000, "Most points for each instance in ~/points.", 10, 1_000_000, live=True),
    Param(
        "max_age_s", 1.0, "Frames older (or further in the future) are dropped; 0: never.",
        0.0, 3600.0, live=True,
    ),
    Param("max_rate_hz", 0.0, "Most frames a second for each camera; 0: no limit.", 0.0, 1000.0, live=True),
    Param("threshold", 0.0, "Score at which a thing counts as found; 0: the model's own.", 0.0, 1.0, live=True),
    Param("fast", False, "Object-level matching only: quicker, coarser.", live=True),
    Param("jpeg_quality", 80, "Of ~/overlay/compressed.", 1, 100, live=True),
)  # fmt: skip
