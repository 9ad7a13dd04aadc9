"""Which reader plays what."""

from __future__ import annotations

from pathlib import Path

from find_core.video.sources import looks_like_bag
from find_ros.sources.base import PlayerSource, Warn, say_nothing
from find_ros.sources.colour import ColourSource
from find_ros.sources.posed_folder import PosedImages
from find_ros.sources.rosbag import BagCamera


def open_player_source(
    what: str, fps: float = 0.0, world_frame: str = "world", warn: Warn = say_nothing
) -> PlayerSource:
    """Open a video, a folder of images, a posed RGB-D folder, a bag or a V4L device.

    Args:
        fps: images' rate of a folder that does not say its own; 0: 10.
        world_frame: of the poses to read from a bag's tf.
        warn: told of each frame that is left out because it cannot be read.

    Raises:
        FindError: nothing there, or not readable.
    """
    path = Path(what)
    if path.suffix != ".bag" and looks_like_bag(path):
        return BagCamera(path, world_frame, warn)
    posed = ("meta.json", "transforms.json", "frame-*.color.*")
    if path.is_dir() and any(next(path.glob(pattern), None) for pattern in posed):
        return PosedImages(path, fps, warn)
    return ColourSource(what, fps)
