"""The field server's parameters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from find_core.errors import FieldError
from find_core.runtime.protocol import RUNTIMES
from find_field.geometry.up import read_up
from find_ros.pipeline.model_loader import MODEL_MEANING, check_device, check_model_change
from find_ros.pipeline.prompt_text import PromptLimits
from find_ros.support.parameters import param, table_of


def check_save_path(path: str) -> None:
    if Path(path).suffix != ".field" or not Path(path).stem.strip("."):
        raise ValueError(f"{path!r} is no name of a field: give one that ends in .field.")


def check_up(up: str) -> None:
    if not up:
        return
    try:
        read_up(up)
    except FieldError as error:
        raise ValueError(str(error)) from None


@dataclass
class FieldParameters:
    """Of the field server; see `table_of`."""

    field: str = param("", "A .field file to begin with (find-field lift, ns-train find-field).")
    model: str = param("find-tabletop", MODEL_MEANING, check_change=check_model_change)
    device: str = param("auto", "auto, cpu, cuda or cuda:N.", check=check_device)
    runtime: str = param(
        "auto",
        "What computes the image path (docs/speed.md); auto: the fastest exact one here.",
        choices=RUNTIMES,
    )
    threshold: float = param(
        0.0,
        "Relevancy from which a voxel belongs to a hit; 0: the model's own.",
        0.0,
        1.0,
        live=True,
    )
    max_age_s: float = param(
        0.0,
        "Hits that no frame confirmed in the last so many seconds are left out; 0: none is.",
        0.0,
        1e9,
        live=True,
    )
    save_path: str = param(
        "live.field", "The .field file that ~/save writes.", check=check_save_path
    )
    save_every_s: float = param(
        0.0,
        "Also write save_path when the field has changed, at most every so many seconds; 0: no.",
        0.0,
        86400.0,
    )
    lift_live: bool = param(False, "Lift frames of image, depth and camera_info between queries.")
    lift_rate_hz: float = param(1.0, "Most frames lifted in a second.", 0.01, 30.0)
    voxel_size_m: float = param(0.01, "Side of a voxel; a loaded field keeps its own.", 0.001, 1.0)
    max_depth_m: float = param(6.0, "Farther surface is left out.", 0.1, 100.0)
    world_frame: str = param("world", "Frame of the field; a loaded field keeps its own.")
    up: str = param(
        "",
        "Up in that frame: z, three numbers, auto (estimated from the frames) or check (z, unless "
        "they speak clearly against it). Empty: a loaded field's own, or z.",
        check=check_up,
    )
    pose_source: str = param(
        "tf",
        "Where the camera's pose comes from: /tf, or the topic camera_pose.",
        choices=("tf", "topic"),
    )
    tf_wait_s: float = param(0.2, "How long to wait for a transform that is on its way.", 0.0, 5.0)
    compressed: bool = param(False, "Subscribe to image/compressed instead of image.")
    image_reliability: str = param(
        "best_effort",
        "Of the image subscriptions; best_effort fits all.",
        choices=("best_effort", "reliable"),
    )
    max_prompt_bytes: int = param(
        PromptLimits.max_bytes,
        "Longer queries are refused, inline images included.",
        1,
        256_000_000,
    )
    max_references: int = param(
        PromptLimits.max_references, "Most reference images kept, and in one query.", 1, 1000
    )
    max_megapixels: float = param(
        64.0, "Larger images, depth images and references are refused.", 0.01, 100.0, live=True
    )
    depth_tolerance_s: float = param(
        0.005,
        "How far apart the stamps of image and depth may lie; less than half the camera's period.",
        0.0,
        1.0,
    )


TABLE = table_of(FieldParameters)
