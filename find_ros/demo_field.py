"""The demo's recording as a 3D field, for its page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from find_core.drawing import entity_color
from find_core.errors import FindError
from find_core.page.report_cloud import Cloud, CloudBox
from find_core.prompts.prompt import Prompt
from find_core.protocols import EmbeddedImage, FindLike

MOST_FRAMES = 8
"""A table top is seen from all sides in few; more cost the demo a second each."""
VOXEL_M = 0.006


def lifted_cloud(
    source: str, prompt: Prompt, load: Callable[[], FindLike[EmbeddedImage]]
) -> Cloud | None:
    """The recording lifted, with what the prompt speaks of; None where it has no poses and depth.

    Args:
        source: what was played. load: gives the model that is asked.
    """
    from find_field.field.hits import place_text, size_text
    from find_field.geometry.boxes import box_corners
    from find_field.io.datasets import open_folder
    from find_field.lift import Lifter

    if not Path(source).is_dir():
        return None
    try:
        folder = open_folder(Path(source))
        folder = folder.take(max(1, len(folder) // MOST_FRAMES), MOST_FRAMES)
        find = load()
        lifter = Lifter(find, voxel_size_m=VOXEL_M, up_world=folder.up, frame=folder.frame)
        eyes_m = []
        for frame in folder:
            lifter.add(frame)
            eyes_m.append(frame.T_world_camera[:3, 3])
        field = lifter.field()
    except FindError:  # plain pictures, say
        return None
    boxes = []
    for hit in field.query(prompt, find):
        says = f"score {hit.score:.2f}, at ({place_text(hit)}) m, {size_text(hit)} cm"
        corners = box_corners(hit.T_world_object, hit.extent_m)
        boxes.append(CloudBox(hit.label, says, corners, entity_color(hit.entity_index)))
    x, y, z = (0.0, 0.0, 1.0) if field.up_world is None else field.up_world.tolist()
    return Cloud(
        field.points_world_m, field.colors, VOXEL_M, boxes, (x, y, z), np.mean(eyes_m, axis=0)
    )
