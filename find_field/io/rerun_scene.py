"""Fields, hits and posed frames in a recording for the viewer Rerun (docs/howto/rerun.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from find_core.drawing.palette import entity_color
from find_core.drawing.rerun_file import RerunFile
from find_field.io.export import heat_colors

if TYPE_CHECKING:
    from find_field.field.data import FieldData
    from find_field.field.hits import FieldHit
    from find_field.frames import PosedFrame


def log_world(rerun: RerunFile, frame_id: str, up_world: np.ndarray | None) -> None:
    """The name of the world frame, and up where it is one of its axes."""
    axes = rerun.rerun.ViewCoordinates
    known = {(0, 0, 1): axes.RIGHT_HAND_Z_UP, (0, 1, 0): axes.RIGHT_HAND_Y_UP,
             (0, -1, 0): axes.RIGHT_HAND_Y_DOWN, (0, 0, -1): axes.RIGHT_HAND_Z_DOWN}  # fmt: skip
    for up, view in known.items():
        if up_world is not None and np.allclose(up_world, up, atol=1e-6):
            rerun.log("world", view, static=True)
    rerun.log("world", rerun.rerun.AnyValues(frame_id=frame_id), static=True)


def log_posed_frame(rerun: RerunFile, frame: PosedFrame, number: int) -> None:
    """Pose, intrinsics and image of one frame; without a stamp its number counts as milliseconds."""
    rr = rerun.rerun
    rerun.at(number * 1_000_000 if frame.stamp_ns is None else frame.stamp_ns)
    pose = frame.T_world_camera
    rerun.log("world/camera", rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3]))
    height, width = frame.rgb.shape[:2]
    camera = rr.Pinhole(
        image_from_camera=frame.K, resolution=[width, height], image_plane_distance=0.1
    )
    rerun.log("world/camera", camera)
    rerun.image("world/camera/image", frame.rgb)


def log_field(rerun: RerunFile, field: FieldData, relevancy: np.ndarray | None = None) -> None:
    """The voxels' points in metres, in colour; with (N,) relevancy in [0, 1] as heat too."""
    points, radius_m = field.points_world_m, field.voxel_size_m / 2
    seen = rerun.rerun.Points3D(points, colors=field.colors, radii=radius_m)
    rerun.log("world/points", seen, static=True)
    if relevancy is not None:
        heat = rerun.rerun.Points3D(
            points, colors=heat_colors(relevancy, field.colors), radii=radius_m
        )
        rerun.log("world/relevancy", heat, static=True)


def log_hits(rerun: RerunFile, hits: Sequence[FieldHit]) -> None:
    """The hits' upright oriented boxes, each with its name and score, and their points."""
    rr = rerun.rerun
    for n, hit in enumerate(hits):
        color, place = entity_color(hit.entity_index), f"world/hits/{n}"
        pose = hit.T_world_object
        rerun.log(place, rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3]), static=True)
        box = rr.Boxes3D(
            half_sizes=[hit.extent_m / 2], labels=[f"{hit.label} {hit.score:.2f}"], colors=[color]
        )
        rerun.log(f"{place}/box", box, static=True)
        rerun.log(f"{place}/box", rr.AnyValues(score=hit.score), static=True)
        rerun.log(
            f"world/hit_points/{n}", rr.Points3D(hit.points_world_m, colors=[color]), static=True
        )


def write_answer(
    path: Path, field: FieldData, relevancy: np.ndarray, hits: Sequence[FieldHit]
) -> None:
    """A recording of one question: the field coloured by (N,) relevancy, and its hits."""
    with RerunFile(path) as rerun:
        log_world(rerun, field.frame, field.up_world)
        log_field(rerun, field, relevancy)
        log_hits(rerun, hits)
