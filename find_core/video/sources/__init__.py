"""Where frames come from: video files and streams, folders of images, cameras, ROS bags.

source = open_source("kitchen.mp4")       # or "photos/", "/dev/video0", "bag/", "rtsp://..."
for frame in source.frames(): ...
"""

from __future__ import annotations

import re
from pathlib import Path

from find_core.support.printable import shown
from find_core.video.sources.base import Source, SourceError, SourceFrame, next_due_s, thin
from find_core.video.sources.camera import CameraSource
from find_core.video.sources.file import VideoSource
from find_core.video.sources.folder import MAX_FPS, PICTURES, FolderSource
from find_core.video.sources.rosbag import BagSource, looks_like_bag

__all__ = [
    "PICTURES",
    "BagSource",
    "CameraSource",
    "FolderSource",
    "Source",
    "SourceError",
    "SourceFrame",
    "VideoSource",
    "looks_like_bag",
    "next_due_s",
    "open_source",
    "thin",
]


def open_source(
    what: str | Path | int, *, fps: float | None = None, topic: str | None = None
) -> Source:
    """Open a video file or URL, a folder of images, a camera, or a rosbag2.

    Args:
        what: path, URL, camera number or device.
        fps: frames per second of a folder of images (default 10).
        topic: image topic of a bag; default its first.

    Raises:
        SourceError: with a sentence that says what is missing.
    """
    text = str(what)
    if fps is not None and not 0 < fps <= MAX_FPS:
        raise SourceError(f"fps is {fps}: give a rate above 0, at most {MAX_FPS:g}.")
    path = Path(text)
    try:
        is_here = path.exists()
    except (OSError, ValueError):  # a name too long, a NUL in it
        is_here = False
    if text.startswith("/dev/video") or (re.fullmatch("[0-9]{1,3}", text) and not is_here):
        return CameraSource(text)
    if "://" in text and not is_here:
        return VideoSource(text)
    if not is_here:
        raise SourceError(
            f"Nothing at {shown(path, 200)}: give a video, a folder of images, a bag or 0, 1..."
        )
    if looks_like_bag(path):
        return BagSource(path, topic)
    if path.is_dir():
        return FolderSource(path, fps or 10.0)
    return VideoSource(text)
