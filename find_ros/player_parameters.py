"""The camera player's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from find_ros.support.parameters import param, table_of


@dataclass
class PlayerParameters:
    """Of the camera player; see `table_of`."""

    source: str = param(
        "", "Video file or URL, folder, RGB-D folder, bag, or V4L device (0, /dev/video0)."
    )
    rate_hz: float = param(0.0, "Frames a second; 0: as recorded.", 0.0, 1000.0, live=True)
    max_fps: float = param(
        0.0, "Thin the recording to so many frames a second; 0: all.", 0.0, 1000.0
    )
    loop: bool = param(False, "Begin again at the end.", live=True)
    exit_at_end: bool = param(False, "End the process at the end of the recording.")
    frame_id: str = param("camera_optical_frame", "The images' frame (REP-103 optical).")
    world_frame: str = param("world", "Frame of the recorded poses.")
    encoding: str = param("rgb8", "Of the published image.", choices=("rgb8", "bgr8", "mono8"))
    depth_encoding: str = param("16UC1", "Of the published depth.", choices=("16UC1", "32FC1"))
    compressed: bool = param(False, "Publish image/compressed (JPEG) too.")
    reliability: str = param(
        "best_effort", "Of the image topics.", choices=("best_effort", "reliable")
    )
    horizontal_fov_deg: float = param(
        60.0, "For camera_info where the recording has no intrinsics.", 1.0, 179.0
    )
    wait_for_subscriber_s: float = param(
        0.0, "Hold the first frame until someone listens, at most so long.", 0.0, 600.0
    )
    lockstep_topic: str = param(
        "",
        "A localization topic: each frame waits for the last one's answer, and stamps go on as recorded, however long that takes (set the localizer's max_age_s to 0).",
    )
    lockstep_timeout_s: float = param(
        10.0, "How long to wait for an answer.", 0.01, 600.0, live=True
    )


TABLE = table_of(PlayerParameters)
