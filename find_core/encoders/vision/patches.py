"""Vision transformers of `transformers` that are no AutoBackbone: SigLIP, SigLIP 2, RADIO.

Their last layer's patches are one map, resampled to the four strides.

Dimension letters: B batch, N patches, C channels, H/W input pixels.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from find_core.encoders.base import FrozenModule, missing_package
from find_core.encoders.hf_load import pretrained_model
from find_core.encoders.vision.huggingface import patch_scale, resample
from find_core.errors import EncoderError


class PatchVision(FrozenModule):
    """The last layer's patches of one vision model.

    Args:
        model: hub name or folder.

    Raises:
        EncoderError: the model cannot be loaded, or the installed transformers does not know it.
    """

    class_name: str

    def __init__(self, model: str) -> None:
        super().__init__()
        try:
            import transformers
        except ImportError:
            raise missing_package(self.class_name, "transformers") from None
        try:
            loader = getattr(transformers, self.class_name)
        except AttributeError:
            raise EncoderError(
                f"transformers {transformers.__version__} has no {self.class_name}: install a newer one."
            ) from None
        self.network: Any = pretrained_model(loader.from_pretrained, model)
        self.patch_px = int(self.network.config.patch_size)
        self.scale = patch_scale([float(self.patch_px)])
        self.channels = (self.network.config.hidden_size,) * 4

    @torch.no_grad()
    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """(B, 3, H, W), H and W divisible by 32 -> [res2, res3, res4, res5]."""
        size = image_BCHW.shape[-2:]
        if self.scale != 1:
            fitted = [round(side * self.scale) for side in size]
            image_BCHW = F.interpolate(image_BCHW, fitted, mode="bilinear", antialias=True)
        height, width = (side // self.patch_px for side in image_BCHW.shape[-2:])
        patches_BNC = self.patches(image_BCHW)
        map_BCHW = patches_BNC.transpose(1, 2).unflatten(2, (height, width))
        return resample([map_BCHW] * 4, size)

    def patches(self, image_BCHW: Tensor) -> Tensor:
        """(B, N, C) in reading order, without class tokens and registers."""
        raise NotImplementedError


class SiglipVision(PatchVision):
    """SigLIP's vision tower; SigLIP 2 of one resolution has the same classes. Pixels in [-1, 1]."""

    class_name = "SiglipVisionModel"

    def __init__(self, model: str = "google/siglip2-base-patch16-512") -> None:
        super().__init__(model)

    def patches(self, image_BCHW: Tensor) -> Tensor:
        return self.network(image_BCHW, interpolate_pos_encoding=True).last_hidden_state


class RadioVision(PatchVision):
    """(C-)RADIO. Pixels in [0, 1]: it takes mean and deviation itself."""

    class_name = "RadioModel"

    def __init__(self, model: str = "nvidia/C-RADIOv4-H") -> None:
        super().__init__(model)

    def patches(self, image_BCHW: Tensor) -> Tensor:
        return self.network(image_BCHW).features
