"""From a trained scene to a FeatureField: rendered surface points, back in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.utils.rich_utils import CONSOLE
from rich.progress import track

from find_core.errors import FieldError
from find_core.protocols import FindLike
from find_field.field.data import SEMANTIC
from find_field.field.feature_field import FeatureField
from find_field.field.fusion import SurfaceSample
from find_field.geometry.pinhole import OPENCV_FROM_OPENGL
from find_field.lift import LiftConfig, Lifter
from find_field.nerf.rendering import FeatureModel, render
from find_field.nerf.world_transform import WorldTransform


@dataclass
class ExportConfig:
    """How a trained scene becomes voxels."""

    when_trained: bool = True
    """Write scene.field beside the checkpoints when training ends."""
    voxel_size_m: float = 0.01
    """Side of a voxel, in the input's units (metres)."""
    rays: int = 400_000
    """Rays rendered over all training cameras."""
    min_accumulation: float = 0.7
    """Rays that meet less than this are air."""
    min_cosine: float = 0.1
    """Surface seen more grazingly than this, and jumps in depth, are left out."""
    max_depth_m: float = 20.0
    """Farther surface is left out."""
    up: str = ""
    """Up in the world the poses came in: z; auto (estimated); check (z, unless cameras and surfaces
    speak clearly against it); or three numbers, "0 -0.9 -0.4". Empty: what the data's format
    promises, and check where it promises nothing."""


def export_field(
    model: FeatureModel,
    cameras: Cameras,
    world: WorldTransform,
    find: FindLike,
    config: ExportConfig,
    *,
    frame: str = "world",
    up: str | tuple[float, float, float] = "check",
    rays: int | None = None,
) -> FeatureField:
    """Render cameras sparsely and fuse their surface into voxels.

    Args:
        model: the trained scene. cameras: to render, those of the training images.
        world: back into the input's metric frame. find: whose embeddings were learned.
        frame: name of that world frame. up: its direction that is up, as `LiftConfig.up_world`.
        rays: in all, instead of the config's.

    Raises:
        FieldError: no surface was met.
    """
    lifting = LiftConfig(voxel_size_m=config.voxel_size_m, frame=frame, up_world=config.up or up,
                         source="ns-train find-field")  # fmt: skip
    lifter = Lifter(find, lifting, basis=model.basis.cpu().numpy())
    cameras = cameras.to(model.device)
    per_camera = max((rays or config.rays) // len(cameras), 16)
    for index in track(range(len(cameras)), "Exporting the field", console=CONSOLE):
        pose_ns = cameras.camera_to_worlds[index].double().cpu().numpy()
        lifter.up_evidence.add_camera(world.rotation_to_world(pose_ns) @ OPENCV_FROM_OPENGL[:3, :3])
        sample, points, eye = _sample(model, cameras, index, per_camera, world, config)
        lifter.up_evidence.add_surface(points, eye)
        if len(sample.weights):
            lifter.add_sample(sample)
    if not lifter.frames_fused:
        raise FieldError(
            "No surface was met: train longer, or lower export.min_accumulation "
            f"({config.min_accumulation}) or raise export.max_depth_m ({config.max_depth_m})."
        )
    return lifter.field()


def _sample(model: FeatureModel, cameras: Cameras, index: int, count: int, world: WorldTransform,
            config: ExportConfig) -> tuple[SurfaceSample, np.ndarray, np.ndarray]:  # fmt: skip
    """Surface of one camera, every n-th pixel of every n-th row.

    Returns:
        The sample; its grid of points (h, w, 3), NaN where nothing was kept; the camera's (3,).
    """
    height, width = int(cameras.height[index]), int(cameras.width[index])
    stride = max(1, round(np.sqrt(height * width / count)))
    rows = torch.arange(stride // 2, height, stride)
    columns = torch.arange(stride // 2, width, stride)
    pixels = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).float() + 0.5
    bundle = cameras.generate_rays(index, coords=pixels.to(cameras.device)).flatten()
    outputs = render(model, bundle)
    points_ns = bundle.origins + bundle.directions * outputs["depth"]
    points = world.to_world(points_ns.cpu().numpy()).reshape(len(rows), len(columns), 3)
    eye = world.to_world(bundle.origins.cpu().numpy()).reshape(points.shape)
    cosine = _surface_cosine(points, eye)
    distance = np.linalg.norm(points - eye, axis=-1)
    accumulation = outputs["accumulation"].cpu().numpy().reshape(cosine.shape)
    keep = (accumulation >= config.min_accumulation) & (cosine >= config.min_cosine)
    keep &= distance <= config.max_depth_m
    near = np.minimum(1, 1 / np.maximum(distance, 1e-6) ** 2)
    colors = (outputs["rgb"].clamp(0, 1) * 255).round().byte().cpu().numpy()
    features = outputs["features"].float().cpu().numpy()
    flat = keep.ravel()
    sample = SurfaceSample(
        points_world_m=points[keep],
        weights=(accumulation * cosine * near)[keep].astype(np.float32),
        colors=colors.reshape(-1, 3)[flat],
        values={SEMANTIC: features.reshape(-1, features.shape[-1])[flat]},
    )
    return sample, np.where(keep[..., None], points, np.nan), eye[0, 0]


def _surface_cosine(points: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """(h, w) |cos| between rays and the surface through a grid of points (h, w, 3).

    At a jump in depth the grid's triangle stands nearly along the ray, so that it tends to zero.
    """
    if min(points.shape[:2]) < 2:
        return np.ones(points.shape[:2])
    down, right = np.gradient(points, axis=(0, 1))
    normal = np.cross(right, down)
    ray = points - eye
    lengths = np.linalg.norm(normal, axis=-1) * np.linalg.norm(ray, axis=-1)
    return np.abs((normal * ray).sum(-1)) / np.maximum(lengths, 1e-12)
