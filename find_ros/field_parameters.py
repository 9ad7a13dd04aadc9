"""The field server's parameters."""

from __future__ import annotations

from find_ros.pipeline.model_loader import MODEL_MEANING
from find_ros.support.parameters import Param

TABLE = (
    Param("field", "", "A .field file to begin with (find-field lift, ns-train find-field)."),
    Param("model", "find-tabletop", MODEL_MEANING),
    Param("device", "auto", "auto, cpu, cuda or cuda:N."),
    Param(
        "threshold", 0.5, "Relevancy from which a voxel belongs to a hit.", 0.0, 1.0, live=True
    ),
    Param("save_path", "live.field", "Where ~/save writes.", live=True),
    Param("lift_live", False, "Lift frames of image, depth and camera_info between queries."),
    Param("lift_rate_hz", 1.0, "Most frames lifted in a second.", 0.01, 30.0),
    Param("voxel_size_m", 0.01, "Side of a voxel; a loaded field keeps its own.", 0.001, 1.0),
    Param("max_depth_m", 6.0, "Farther surface is left out.", 0.1, 100.0),
    Param("world_frame", "world", "Frame of the field; a loaded field keeps its own."),
    Param(
        "pose_source", "tf", "Where the camera's pose comes from: /tf, or the topic camera_pose.",
        choices=("tf", "topic"),
    ),
    Param("tf_wait_s", 0.2, "How long to wait for a transform that is on its way.", 0.0, 5.0),
    Param("compressed", False, "Subscribe to image/compressed instead of image."),
    Param(
        "image_reliability", "best_effort", "Of the image subscriptions; best_effort fits all.",
        choices=("best_effort", "reliable"),
    ),
    Param(
        "depth_tolerance_s", 0.005,
        "How far apart the stamps of image and depth may lie; less than half the camera's period.",
        0.0, 1.0,
    ),
)  # fmt: skip
