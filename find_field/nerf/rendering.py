"""What export and viewer ask of a trained scene: rays in; colours, distances, coefficients out.

Dimension letters: R rays, D embedding width, k coefficients.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor


class FeatureModel(Protocol):
    """A trained scene; rays and distances are in nerfstudio's frame and units."""

    config: Any
    training: bool

    @property
    def basis(self) -> Tensor:
        """(D, k): what the coefficients are coefficients of."""

    @property
    def device(self) -> Any: ...

    def __call__(self, ray_bundle: RayBundle, /) -> dict[str, Tensor]:
        """At least "rgb" (R, 3), "depth" and "accumulation" (R, 1), and "features" (R, k)."""

    def train(self, mode: bool = True) -> Any: ...


@torch.no_grad()
def render(model: FeatureModel, rays: RayBundle) -> dict[str, Tensor]:
    """Those four outputs of R rays, in chunks that fit the model, as it renders when not training."""
    was_training = model.training
    model.train(False)
    chunk = model.config.eval_num_rays_per_chunk
    parts = [model(rays[start : start + chunk]) for start in range(0, len(rays), chunk)]
    model.train(was_training)
    names = ("rgb", "depth", "accumulation", "features")
    return {name: torch.cat([part[name] for part in parts]) for name in names}
