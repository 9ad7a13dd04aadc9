"""What a frame's depth says: read once a frame, whatever the number of prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from find_core.results import Localization
from find_ros.localizer_parameters import LocalizerParameters
from find_ros.messages.camera_info import Intrinsics, intrinsics_from_info
from find_ros.messages.errors import MessageError, check_same_frame
from find_ros.messages.images import check_size, depth_to_m
from find_ros.messages.objects_3d import UP, UP_OPTICAL, SpatialObject, spatial_objects
from find_ros.pipeline.camera_pipeline import CameraPipeline
from find_ros.pipeline.frame_buffer import Frame


@dataclass(frozen=True, eq=False)
class DepthView:
    """One frame's depth in the frame of the 3D outputs.

    Attributes:
        depth_m: (H, W) float32 z-depth, metres, 0 invalid. intrinsics: of image and depth.
        frame_id: of the outputs. T_out_camera: (4, 4) from the camera's optical frame to it.
        up: of the outputs' frame.
    """

    depth_m: np.ndarray
    intrinsics: Intrinsics
    frame_id: str
    T_out_camera: np.ndarray
    up: tuple[float, float, float]

    def objects(self, localization: Localization, max_points: int) -> list[SpatialObject]:
        """What was found, in 3D; at most `max_points` points each."""
        return spatial_objects(
            localization, self.depth_m, self.intrinsics, self.T_out_camera, max_points, self.up
        )


def depth_view(
    frame: Frame, pipeline: CameraPipeline, size: tuple[int, int], parameters: LocalizerParameters
) -> DepthView:
    """The depth of a frame whose colour image is of `size` (H, W).

    Raises:
        MessageError, ImageMessageError, PoseError: something is missing or cannot be used.
    """
    if frame.depth is None:
        raise MessageError("no_depth", "no depth image has this image's stamp (depth_tolerance_s).")
    if pipeline.camera.info is None:
        raise MessageError("no_camera_info", "camera_info has not come in.")
    check_same_frame(frame.depth.header.frame_id, frame.image.header.frame_id)
    check_size(frame.depth, parameters.max_megapixels)
    depth_m = depth_to_m(frame.depth)
    intrinsics = intrinsics_from_info(pipeline.camera.info, rectified=parameters.rectified)
    if depth_m.shape != size or (intrinsics.height, intrinsics.width) != size:
        raise MessageError(
            "size_mismatch",
            f"image {size[1]}x{size[0]}, depth {depth_m.shape[1]}x{depth_m.shape[0]} and "
            f"camera_info {intrinsics.width}x{intrinsics.height} differ: give depth that is "
            "aligned to the colour image.",
        )
    camera_frame = frame.image.header.frame_id
    target, T_target_camera = parameters.target_frame or camera_frame, np.eye(4)
    if target != camera_frame:
        assert pipeline.poses is not None
        T_target_camera = pipeline.poses.lookup(target, camera_frame, frame.stamp_ns)
    up = UP_OPTICAL if target == camera_frame else UP
    return DepthView(depth_m, intrinsics, target, T_target_camera, up)
