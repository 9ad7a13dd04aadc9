"""Dataparser for this project's posed RGB-D sequences (meta.json, rgb/, depth/), as robots write.

This module imports neither the trainer nor datamanagers: a dataparser's entry point is loaded while
those are being imported, and would close a circle that breaks every ns-* command.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import (
    DataParser,
    DataParserConfig,
    DataparserOutputs,
)
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.plugins.registry_dataparser import DataParserSpecification

from find_core.errors import FieldError
from find_core.images import measure_image, read_bytes
from find_field.geometry.pinhole import OPENCV_FROM_OPENGL
from find_field.io.datasets import FrameFiles, open_folder


@dataclass
class PosedRGBDDataParserConfig(DataParserConfig):
    """Posed RGB-D sequence: meta.json, rgb/, depth/; 7-Scenes folders whose depth is registered."""

    _target: type = field(default_factory=lambda: PosedRGBD)
    """target class to instantiate"""
    eval_interval: int = 8
    """Every n-th frame is kept for evaluation."""
    center: Literal["poses", "none"] = "poses"
    """Move the mean camera position to the origin for training (undone on export)."""
    auto_scale: bool = True
    """Scale cameras into a unit cube for training (undone on export)."""
    scene_scale: float = 1.0
    """Half the side of the region that is trained without contraction, after scaling."""


@dataclass
class PosedRGBD(DataParser):
    """Reads the folder kinds of `find_field.io.datasets`."""

    config: PosedRGBDDataParserConfig

    def _generate_dataparser_outputs(self, split: str = "train") -> DataparserOutputs:
        folder = open_folder(self.config.data, registered=True)
        files = folder.files
        poses: np.ndarray = np.stack(
            [f.T_world_camera @ np.linalg.inv(OPENCV_FROM_OPENGL) for f in files]
        )
        shift = -poses[:, :3, 3].mean(axis=0) if self.config.center == "poses" else np.zeros(3)
        poses[:, :3, 3] += shift
        reach = float(np.abs(poses[:, :3, 3]).max())
        scale = 1 / reach if self.config.auto_scale and reach > 0 else 1.0
        poses[:, :3, 3] *= scale
        is_eval = np.arange(len(files)) % self.config.eval_interval == 0
        chosen = np.flatnonzero(~is_eval if split == "train" else is_eval)
        if not len(chosen):
            raise FieldError(
                f"{folder.path} has {len(files)} usable frames: none is left for {split}."
            )
        half = self.config.scene_scale
        return DataparserOutputs(
            image_filenames=[files[i].rgb for i in chosen],
            cameras=_cameras([files[i] for i in chosen], poses[chosen]),
            scene_box=SceneBox(torch.tensor([[-half] * 3, [half] * 3], dtype=torch.float32)),
            dataparser_scale=scale,
            dataparser_transform=torch.tensor(
                np.concatenate([np.eye(3), shift[:, None]], axis=1), dtype=torch.float32
            ),
            metadata=_depth([files[i] for i in chosen]) | {"frame": folder.frame, "up": folder.up},
        )


def _cameras(files: list[FrameFiles], poses: np.ndarray) -> Cameras:
    """nerfstudio's cameras; its pixel centres lie at + 0.5, ours at whole numbers."""
    headers = [measure_image(read_bytes(f.rgb), f.name) for f in files]
    sizes = [(header.height, header.width) for header in headers]  # as stored: EXIF is not applied
    K = np.stack([f.intrinsics(size) for f, size in zip(files, sizes, strict=True)])
    return Cameras(
        camera_to_worlds=torch.tensor(poses[:, :3], dtype=torch.float32),
        fx=torch.tensor(K[:, 0, 0], dtype=torch.float32),
        fy=torch.tensor(K[:, 1, 1], dtype=torch.float32),
        cx=torch.tensor(K[:, 0, 2] + 0.5, dtype=torch.float32),
        cy=torch.tensor(K[:, 1, 2] + 0.5, dtype=torch.float32),
        height=torch.tensor([h for h, _ in sizes], dtype=torch.int32),
        width=torch.tensor([w for _, w in sizes], dtype=torch.int32),
        camera_type=CameraType.PERSPECTIVE,
        distortion_params=_distortion(files),
    )


def _distortion(files: list[FrameFiles]) -> torch.Tensor | None:
    """(N, 6) k1, k2, k3, k4, p1, p2 as nerfstudio orders them; None where no lens distorts."""
    rows = np.zeros((len(files), 6), np.float32)
    for row, file in zip(rows, files, strict=True):
        if file.distortion is not None:
            k1, k2, p1, p2, k3 = (*file.distortion, 0.0)[:5]
            row[:] = k1, k2, k3, 0.0, p1, p2
    return torch.from_numpy(rows) if rows.any() else None


def _depth(files: list[FrameFiles]) -> dict:
    if any(f.depth is None for f in files):
        return {"depth_filenames": None, "depth_unit_scale_factor": 0.001}
    return {
        "depth_filenames": [f.depth for f in files],
        "depth_unit_scale_factor": files[0].depth_scale,
    }


posed_rgbd = DataParserSpecification(
    config=PosedRGBDDataParserConfig(),
    description="Posed RGB-D sequence (meta.json, rgb/, depth/), metric, as a robot records it.",
)
