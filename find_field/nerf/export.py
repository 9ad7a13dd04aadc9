"""From a trained scene to a FeatureField: rendered surface points, back in metres."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from nerfstudio.cameras.rays import RayBundle

from find_core.errors import FieldError
from find_field.field.feature_field import FeatureField
from find_field.lift import LiftConfig, Lifter, SurfaceSample
from find_field.nerf.world_transform import Similarity

if TYPE_CHECKING:
    from find_field.nerf.pipeline import FindFieldPipeline


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


def similarity_of(pipeline: FindFieldPipeline) -> Similarity:
    """What nerfstudio did to the world the poses came in."""
    outputs = pipeline.datamanager.train_dataparser_outputs
    return Similarity(outputs.dataparser_transform.double().numpy()[:3], outputs.dataparser_scale)


@torch.no_grad()
def export_field(
    pipeline: FindFieldPipeline, config: ExportConfig, rays: int | None = None
) -> FeatureField:
    """Render the training cameras sparsely and fuse their surface into voxels.

    Args:
        rays: in all, instead of the config's.
    """
    model, was_training = pipeline.model, pipeline.model.training
    model.eval()
    similarity = similarity_of(pipeline)
    lifter = _lifter(pipeline, config, similarity)
    cameras = pipeline.datamanager.train_dataset.cameras.to(model.device)
    per_camera = max((rays or config.rays) // len(cameras), 16)
    for index in range(len(cameras)):
        sample = _sample(model, cameras, index, per_camera, similarity, config)
        if len(sample.weights):
            lifter.add_sample(sample)
    model.train(was_training)
    if not lifter.frames_fused:
        raise FieldError(
            "No surface was met: train longer, or lower export.min_accumulation "
            f"({config.min_accumulation}) or raise export.max_depth_m ({config.max_depth_m})."
        )
    return lifter.field()


def load_and_export(config_path: str | Path, **options: Any) -> FeatureField:
    """Export a finished training run, given its config.yml."""
    from nerfstudio.utils.eval_utils import eval_setup

    _, pipeline, _, _ = eval_setup(Path(config_path), test_mode="inference")
    for name, value in options.items():
        setattr(pipeline.config.export, name, value)
    return pipeline.export()


def _lifter(pipeline: FindFieldPipeline, config: ExportConfig, similarity: Similarity) -> Lifter:
    find = pipeline.datamanager.find
    described = SimpleNamespace(name=find.name, fingerprint=find.fingerprint)
    frame = pipeline.datamanager.train_dataset.metadata.get("frame", "world")
    up: Any = (0.0, 0.0, 1.0)
    if getattr(pipeline.datamanager.dataparser.config, "orientation_method", "none") != "none":
        # The data's own frame may have any direction up; nerfstudio turned it to z.
        up = tuple(float(v) for v in similarity.direction_to_world(np.array([0, 0, 1.0])))
    lift_config = LiftConfig(voxel_size_m=config.voxel_size_m, frame=frame, up_world=up,
                             source="ns-train find-field")  # fmt: skip
    return Lifter(described, lift_config, basis=pipeline.model.basis.cpu().numpy())


def _sample(model: Any, cameras: Any, index: int, count: int, similarity: Similarity,
            config: ExportConfig) -> SurfaceSample:  # fmt: skip
    """Surface points of one camera, every n-th pixel of every n-th row."""
    height, width = int(cameras.height[index]), int(cameras.width[index])
    stride = max(1, round(np.sqrt(height * width / count)))
    rows = torch.arange(stride // 2, height, stride)
    columns = torch.arange(stride // 2, width, stride)
    pixels = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).float() + 0.5
    bundle = cameras.generate_rays(index, coords=pixels.to(cameras.device)).flatten()
    outputs = _in_chunks(model, bundle)
    points_ns = bundle.origins + bundle.directions * outputs["depth"]
    points = similarity.to_world(points_ns.cpu().numpy()).reshape(len(rows), len(columns), 3)
    eye = similarity.to_world(bundle.origins.cpu().numpy()).reshape(points.shape)
    cosine = _surface_cosine(points, eye)
    distance = np.linalg.norm(points - eye, axis=-1)
    accumulation = outputs["accumulation"].cpu().numpy().reshape(cosine.shape)
    keep = (accumulation >= config.min_accumulation) & (cosine >= config.min_cosine)
    keep &= distance <= config.max_depth_m
    near = np.minimum(1, 1 / np.maximum(distance, 1e-6) ** 2)
    colors = (outputs["rgb"].clamp(0, 1) * 255).round().byte().cpu().numpy()
    features = outputs["features"].float().cpu().numpy()
    flat = keep.ravel()
    return SurfaceSample(
        points_world_m=points[keep],
        weights=(accumulation * cosine * near)[keep].astype(np.float32),
        colors=colors.reshape(-1, 3)[flat],
        values={"semantic": features.reshape(-1, features.shape[-1])[flat]},
    )


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


def _in_chunks(model: Any, bundle: RayBundle) -> dict[str, torch.Tensor]:
    chunk = model.config.eval_num_rays_per_chunk
    parts = []
    for start in range(0, len(bundle), chunk):
        rays = bundle[start : start + chunk]
        parts.append(model(rays))
    names = ("rgb", "depth", "accumulation", "features")
    return {name: torch.cat([part[name] for part in parts]) for name in names}
