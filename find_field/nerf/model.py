"""nerfacto with a feature head that learns where things are, without touching how they look.

Dimension letters: R rays, S samples of a ray, K top samples kept, k coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from nerfstudio.cameras.rays import RayBundle, RaySamples
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.field_components.spatial_distortions import SceneContraction
from nerfstudio.model_components.losses import DepthLossType, depth_loss
from nerfstudio.models.nerfacto import NerfactoModel, NerfactoModelConfig
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor
from torch.nn import functional as F

from find_field.io.export import pca_rgb
from find_field.nerf.feature_head import FeatureHead


@dataclass
class FindFieldModelConfig(NerfactoModelConfig):
    """nerfacto's options, and the feature head's."""

    _target: type = field(default_factory=lambda: FindFieldModel)
    """target class to instantiate"""
    feature_resolutions: tuple[int, ...] = (64, 256)
    """Sides of the feature planes."""
    feature_channels: int = 16
    """Channels of each plane."""
    feature_hidden: int = 64
    """Width of the network that reads them."""
    feature_samples: int = 8
    """Samples of a ray, those of the highest weight, that the features are read at."""
    feature_loss_mult: float = 1.0
    """Weight of the feature loss; its gradient never reaches density or colour."""
    feature_loss_centred: bool = True
    """Measure the loss's angles from the mean feature: what all images share hides the rest."""
    depth_loss_mult: float = 0.05
    """Weight of the depth loss, where the data has depth."""
    depth_sigma: float = 0.02
    """Standard deviation of the depth, in the training's (scaled) units."""


class FindFieldModel(NerfactoModel):
    """nerfacto plus embeddings: outputs `features` and `feature_pca` beside its own.

    Attributes:
        basis: (D, k) of the features. feature_mean: (k,) over the training images.
        viewer_outputs: makes further outputs of these, where there is someone to look.
    """

    config: FindFieldModelConfig
    basis: Tensor
    feature_mean: Tensor

    def populate_modules(self) -> None:
        with lpips_on_demand():
            super().populate_modules()
        if self.config.predict_normals:
            raise ValueError("find-field does not predict normals: leave predict_normals off.")
        self.register_buffer("basis", self.kwargs["metadata"]["find_basis"].float())
        self.register_buffer("feature_mean", self.kwargs["metadata"]["find_mean"].float())
        self.contraction = SceneContraction(order=float("inf"))
        self.feature_field = FeatureHead(
            self.config.feature_resolutions, self.config.feature_channels,
            self.config.feature_hidden, self.basis.shape[1],
        )  # fmt: skip
        self.viewer_outputs: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None

    def get_param_groups(self) -> dict:
        return {
            **super().get_param_groups(),
            "feature_field": list(self.feature_field.parameters()),
        }

    def get_outputs(self, ray_bundle: RayBundle) -> dict[str, Any]:
        """nerfacto's outputs, and "features" (R, k)."""
        if self.training:
            self.camera_optimizer.apply_to_raybundle(ray_bundle)
        samples, weights_list, samples_list = self.proposal_sampler(
            ray_bundle, density_fns=self.density_fns
        )
        found = self.field.forward(samples)
        weights = samples.get_weights(found[FieldHeadNames.DENSITY])
        weights_list.append(weights)
        samples_list.append(samples)
        with torch.no_grad():
            depth = self.renderer_depth(weights=weights, ray_samples=samples)
        outputs = {
            "rgb": self.renderer_rgb(rgb=found[FieldHeadNames.RGB], weights=weights),
            "accumulation": self.renderer_accumulation(weights=weights),
            "depth": depth,
            "expected_depth": self.renderer_expected_depth(weights=weights, ray_samples=samples),
            "features": self._render_features(weights.detach(), samples),
        }
        for i in range(self.config.num_proposal_iterations):
            outputs[f"prop_depth_{i}"] = self.renderer_depth(
                weights=weights_list[i], ray_samples=samples_list[i]
            )
        if self.training:
            outputs |= {"weights_list": weights_list, "ray_samples_list": samples_list}
            outputs["directions_norm"] = ray_bundle.metadata["directions_norm"]
        else:
            # The first three: chunks are coloured alike, and the basis is ordered by energy.
            features = F.normalize(outputs["features"], dim=-1)
            outputs["feature_pca"] = features[..., :3] * 0.5 + 0.5
            if self.viewer_outputs is not None:
                outputs |= self.viewer_outputs(outputs)
        return outputs

    def _render_features(self, weights: Tensor, samples: RaySamples) -> Tensor:
        """(R, k): the top-weight samples' coefficients, averaged by weight."""
        top = min(self.config.feature_samples, weights.shape[-2])
        share, index = weights[..., 0].topk(top, dim=-1)  # (R, K)
        positions = samples.frustums.get_positions().detach()
        positions = positions.gather(-2, index[..., None].expand(*index.shape, 3))
        coefficients = self.feature_field(self.contraction(positions) / 2)
        total = share.sum(-1, keepdim=True).clamp_min(1e-6)
        return (share[..., None] * coefficients).sum(-2) / total

    def get_loss_dict(self, outputs: dict, batch: dict, metrics_dict: dict | None = None) -> dict:
        losses = super().get_loss_dict(outputs, batch, metrics_dict)
        if "features" in batch:
            target = batch["features"].to(self.device)
            losses["feature_loss"] = self.config.feature_loss_mult * self._feature_loss(
                outputs["features"], target
            )
        if self.training and "depth_image" in batch and self.config.depth_loss_mult > 0:
            losses["depth_loss"] = self.config.depth_loss_mult * self._depth_loss(outputs, batch)
        return losses

    def _feature_loss(self, features_Rk: Tensor, target_Rk: Tensor) -> Tensor:
        error = (features_Rk - target_Rk).square().sum(-1)
        origin = self.feature_mean if self.config.feature_loss_centred else 0.0
        angle = 1 - F.cosine_similarity(features_Rk - origin, target_Rk - origin, dim=-1)
        return (error + angle).mean()

    def _depth_loss(self, outputs: dict, batch: dict) -> Tensor:
        """Of the proposals and of the field; nerfstudio turns z-depth into length along the ray."""
        truth = batch["depth_image"].to(self.device)
        sigma = torch.tensor([self.config.depth_sigma], device=self.device)
        pairs = zip(outputs["weights_list"], outputs["ray_samples_list"], strict=True)
        parts = [
            depth_loss(
                weights=weights, ray_samples=samples, termination_depth=truth,
                predicted_depth=outputs["expected_depth"], sigma=sigma,
                directions_norm=outputs["directions_norm"], is_euclidean=False,
                depth_loss_type=DepthLossType.DS_NERF,
            )
            for weights, samples in pairs
        ]  # fmt: skip
        return torch.stack(parts).mean()

    def get_image_metrics_and_images(self, outputs: dict, batch: dict) -> tuple[dict, dict]:
        """nerfacto's metrics, and how well the rendered features agree with the image's own."""
        metrics, images = super().get_image_metrics_and_images(outputs, batch)
        if metrics["lpips"] != metrics["lpips"]:  # NaN: its weights could not be had
            del metrics["lpips"]
        if "features" in batch:
            metrics |= self._feature_metrics(outputs["features"], batch["features"].to(self.device))
        images["feature_pca"] = pca_image(outputs["features"])
        return metrics, images

    def _feature_metrics(self, rendered_HWk: Tensor, truth_hwk: Tensor) -> dict[str, float]:
        """Cosines at the resolution of the image's map; the constant predictor's beside them."""
        size = truth_hwk.shape[:2]
        small = F.interpolate(rendered_HWk.permute(2, 0, 1)[None], size=size, mode="area")[0]
        small = small.permute(1, 2, 0)
        mean = self.feature_mean.expand_as(truth_hwk)
        return {
            "feature_cosine": float(F.cosine_similarity(small, truth_hwk, dim=-1).mean()),
            "feature_cosine_constant": float(F.cosine_similarity(mean, truth_hwk, dim=-1).mean()),
            "feature_cosine_centred": float(
                F.cosine_similarity(small - mean, truth_hwk - mean, dim=-1).mean()
            ),
        }


def pca_image(features: Tensor) -> Tensor:
    """(H, W, 3) in [0, 1]: three principal directions of feature images (H, W, k)."""
    flat = features.reshape(-1, features.shape[-1]).float()
    unit = F.normalize(flat, dim=-1).cpu().numpy()
    rgb = torch.from_numpy(pca_rgb(unit)).to(features.device)
    return rgb.reshape(*features.shape[:-1], 3).float() / 255


class _Lpips:
    """LPIPS whose network is fetched when it is first asked for, and NaN where it cannot be.

    Not a torch module, so that checkpoints neither hold it nor miss it.
    """

    def __init__(self, build: Any, options: dict) -> None:
        self._build, self._options = build, options
        self._metric: Any = None

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        if self._metric is None:
            try:
                self._metric = self._build(**self._options).to(first.device)
            except Exception as error:
                CONSOLE.print(f"[yellow]LPIPS is left out: its network cannot be had ({error}).")
                self._metric = lambda *_: torch.tensor(float("nan"))
        return self._metric(first, second)


@contextmanager
def lpips_on_demand() -> Iterator[None]:
    """nerfacto builds LPIPS at once, and dies offline: within this block it gets `_Lpips` instead."""
    from torchmetrics.image import lpip

    holder: Any = lpip  # a class is replaced by a function for a moment

    original = holder.LearnedPerceptualImagePatchSimilarity
    holder.LearnedPerceptualImagePatchSimilarity = lambda **options: _Lpips(original, options)
    try:
        yield
    finally:
        holder.LearnedPerceptualImagePatchSimilarity = original
