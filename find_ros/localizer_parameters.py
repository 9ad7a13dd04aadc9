"""The localizer's parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass

from find_core.runtime.protocol import RUNTIMES
from find_ros.pipeline.model_loader import MODEL_MEANING, check_device, check_model_change
from find_ros.pipeline.prompt_text import PromptLimits, read_prompt
from find_ros.support.parameters import param, table_of


def check_prompt(text: str) -> None:
    """A malformed sentence is refused when it is set; JSON may name images still to come."""
    if text and not text.lstrip().startswith("{"):
        read_prompt(text, {})


def check_cameras(names: list[str]) -> None:
    for name in names:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*", name):
            raise ValueError(f"{name!r} is not a namespace like 'front' or 'arm/wrist'.")
    if len(set(names)) < len(names):
        raise ValueError(f"{', '.join(names)}: each camera needs a name of its own.")


@dataclass
class LocalizerParameters:
    """Of the localizer; see `table_of`."""

    autostart: bool = param(True, "Configure and activate at start, without a lifecycle manager.")
    model: str = param("find-tabletop", MODEL_MEANING, check_change=check_model_change)
    device: str = param("auto", "auto, cpu, cuda or cuda:N.", check=check_device)
    runtime: str = param(
        "auto",
        "What computes the image path (docs/speed.md); auto: the fastest exact one here.",
        choices=RUNTIMES,
    )
    input_px: int = param(
        0,
        "Shorter side that images are scaled to; smaller is faster. 0: the model's own.",
        0,
        4096,
        live=True,
    )
    prompt: str = param(
        "",
        "What to look for: a sentence with <entities>, or the JSON form.",
        live=True,
        check=check_prompt,
    )
    cameras: list[str] = param(  # noqa: RUF009 (a field, made anew for each instance)
        [],
        "Namespaces of several cameras (front/image, wrist/image ...); empty: image.",
        check=check_cameras,
    )
    compressed: bool = param(False, "Subscribe to image/compressed (JPEG, PNG) instead of image.")
    image_reliability: str = param(
        "best_effort",
        "Of the image subscriptions; best_effort fits all.",
        choices=("best_effort", "reliable"),
    )
    use_depth: bool = param(False, "Subscribe to depth and camera_info, and give 3D outputs.")
    depth_cameras: list[str] = param(  # noqa: RUF009 (as cameras)
        [], "Those of `cameras` that have depth, with use_depth; empty: all.", check=check_cameras
    )
    depth_tolerance_s: float = param(
        0.005,
        "How far apart the stamps of image and depth may lie; less than half the camera's period.",
        0.0,
        1.0,
    )
    depth_wait_s: float = param(0.1, "How long an image waits for its depth.", 0.0, 2.0)
    rectified: bool = param(
        True, "Images are rectified: use P of camera_info. Else K and its distortion.", live=True
    )
    target_frame: str = param(
        "",
        "Frame of 3D outputs, through tf at the image's stamp; empty: the camera's optical frame.",
    )
    pose_source: str = param(
        "tf",
        "Where the camera's pose comes from: /tf, or the topic camera_pose.",
        choices=("tf", "topic"),
    )
    tf_wait_s: float = param(0.05, "How long to wait for a transform that is on its way.", 0.0, 1.0)
    max_points: int = param(
        5000, "Most points for each instance in ~/points.", 10, 1_000_000, live=True
    )
    max_age_s: float = param(
        1.0,
        "Frames older (or further in the future) are dropped; 0: never.",
        0.0,
        3600.0,
        live=True,
    )
    max_rate_hz: float = param(
        0.0, "Most frames a second for each camera; 0: no limit.", 0.0, 1000.0, live=True
    )
    threshold: float = param(
        0.0, "Score at which an object counts as found; 0: the model's own.", 0.0, 1.0, live=True
    )
    fast: bool = param(False, "Object-level matching only: quicker, coarser.", live=True)
    max_prompt_bytes: int = param(
        PromptLimits.max_bytes,
        "Longer prompts are refused, inline images included.",
        1,
        256_000_000,
    )
    max_references: int = param(
        PromptLimits.max_references, "Most reference images kept, and in one prompt.", 1, 1000
    )
    max_prompts: int = param(
        8, "Most prompts with an id beside the node's own; each costs time in every frame.", 0, 64
    )
    reference_wait_s: float = param(
        5.0, "How long a prompt waits for a reference image that it names.", 0.0, 60.0
    )
    max_megapixels: float = param(
        64.0, "Larger images, depth images and references are refused.", 0.01, 100.0, live=True
    )
    jpeg_quality: int = param(80, "Of ~/overlay/compressed.", 1, 100, live=True)

    def with_depth(self) -> list[str]:
        """The cameras with depth, by name; "" is the one camera that has no name.

        Raises:
            ValueError: depth_cameras names one that is not in cameras.
        """
        names = list(self.cameras) or [""]
        if strangers := sorted(set(self.depth_cameras) - set(names)):
            raise ValueError(
                f"depth_cameras names {strangers[0]!r}, which is not in cameras ({', '.join(names)})."
            )
        return [n for n in names if self.use_depth and n in (self.depth_cameras or names)]


TABLE = table_of(LocalizerParameters)
