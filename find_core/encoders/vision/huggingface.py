"""Vision encoders by name through `transformers`: any AutoBackbone, and SAM's image encoder.

FIND reads four maps at strides 4, 8, 16 and 32. A hierarchical backbone (Swin, ConvNeXt...) has
them; a plain ViT (DINOv2, SAM...) has one, which is resampled.

Dimension letters: B batch, C channels, H/W input pixels, h/w map size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from find_core.encoders.base import FrozenModule, missing_package
from find_core.encoders.hf_load import pretrained, pretrained_model
from find_core.errors import EncoderError, ImageError

STRIDES = (4, 8, 16, 32)
# Divisible by every stride and by DINOv2's patch of 14 pixels.
_PROBE_PX = 448


class AutoBackboneVision(FrozenModule):
    """Any model that `transformers.AutoBackbone` knows.

    For each of the four strides the deepest map of the nearest stride is taken. Where a patch size
    divides none of them (14 pixels), the image is first resized so that the grid of patches falls
    on a stride: no border is cut off.

    Args:
        model: hub name or folder.

    Raises:
        EncoderError: the model cannot be loaded or gives no maps.
    """

    def __init__(self, model: str = "facebook/dinov2-base") -> None:
        super().__init__()
        try:
            from transformers import AutoConfig
        except ImportError:
            raise missing_package("auto_backbone", "transformers") from None
        config = pretrained(AutoConfig.from_pretrained, model)
        stages = list(range(1, len(config.stage_names))) if hasattr(config, "stage_names") else [-1]
        kind, strides, channels = _probe(model, stages)
        chosen = [_nearest(strides, stride) for stride in STRIDES]
        used = sorted(set(chosen))
        self.maps = [used.index(i) for i in chosen]
        self.channels = tuple(channels[i] for i in chosen)
        self.scale = patch_scale([strides[i] for i in used])
        # Not AutoBackbone.from_pretrained, which asks the hub about local folders too.
        self.backbone = pretrained_model(
            kind.from_pretrained, model, out_indices=[stages[i] for i in used]
        )

    @torch.no_grad()
    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """(B, 3, H, W), H and W divisible by 32 -> [res2, res3, res4, res5]."""
        size = image_BCHW.shape[-2:]
        if self.scale != 1:
            fitted = [round(side * self.scale) for side in size]
            image_BCHW = F.interpolate(image_BCHW, fitted, mode="bilinear", antialias=True)
        maps = self.backbone(image_BCHW).feature_maps
        return resample([maps[i] for i in self.maps], size)


class SamVision(FrozenModule):
    """SAM's ViT and neck: one 256-channel map at stride 16, resampled to the four strides.

    Its position table is for one square image size (1024): smaller images are zero-padded to it
    inside, and the maps cropped again.

    Args:
        model: hub name or folder of a SAM model.

    Raises:
        EncoderError: the model cannot be loaded.
    """

    def __init__(self, model: str = "facebook/sam-vit-base") -> None:
        super().__init__()
        try:
            from transformers import SamModel
        except ImportError:
            raise missing_package("sam_vit", "transformers") from None
        # The prompt encoder and the mask decoder are left behind.
        self.encoder = pretrained_model(SamModel.from_pretrained, model).vision_encoder
        self.image_px = self.encoder.config.image_size
        self.patch_px = self.encoder.config.patch_size
        self.channels = (self.encoder.config.output_channels,) * 4

    @torch.no_grad()
    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """(B, 3, H, W), H and W divisible by 32 -> [res2, res3, res4, res5].

        Raises:
            ImageError: a side is longer than SAM's own image size.
        """
        height, width = image_BCHW.shape[-2:]
        if max(height, width) > self.image_px:
            raise ImageError(
                f"SAM reads at most {self.image_px} pixels a side, got {height}x{width}: set "
                f"max_side_px={self.image_px} in the vision config."
            )
        padded = F.pad(image_BCHW, (0, self.image_px - width, 0, self.image_px - height))
        whole = self.encoder(padded).last_hidden_state
        part = whole[..., : height // self.patch_px, : width // self.patch_px]
        return resample([part] * 4, (height, width))


def resample(maps: list[Tensor], size: Sequence[int]) -> list[Tensor]:
    """Bring four maps of an image of (H, W) `size` to strides 4, 8, 16, 32."""
    out = []
    for x, stride in zip(maps, STRIDES, strict=True):
        target = (size[0] // stride, size[1] // stride)
        if x.shape[-2] > target[0]:
            step = int(x.shape[-2] // target[0])
            if (step * target[0], step * target[1]) == tuple(x.shape[-2:]):
                x = F.avg_pool2d(x, step)  # the same means, and it can be exported
            else:
                x = F.adaptive_avg_pool2d(x, target)
        elif tuple(x.shape[-2:]) != target:
            x = F.interpolate(x, target, mode="bilinear", align_corners=False)
        out.append(x)
    return out


def _probe(model: str, stages: list[int]) -> tuple[Any, list[float], list[int]]:
    """Class, and stride and channels of each stage, found on the meta device: no weights, no work."""
    from transformers import AutoBackbone, AutoConfig

    config = pretrained(AutoConfig.from_pretrained, model, out_indices=stages)
    try:
        with torch.device("meta"):
            backbone = AutoBackbone.from_config(config).eval()
            maps = backbone(torch.empty(1, 3, _PROBE_PX, _PROBE_PX)).feature_maps
    except Exception as error:
        raise EncoderError(f"{model!r} gives no feature maps ({str(error)[:100]}).") from error
    return type(backbone), [_PROBE_PX / x.shape[-1] for x in maps], [x.shape[1] for x in maps]


def _nearest(strides: list[float], wanted: int) -> int:
    """Index of the last (deepest) map whose stride is nearest to `wanted` (in octaves)."""
    ratios = [max(s / wanted, wanted / s) for s in strides]
    return max(i for i, ratio in enumerate(ratios) if ratio <= min(ratios) + 1e-6)


def patch_scale(strides: list[float]) -> float:
    """How much to resize images so that the stride of a plain ViT is one of the four."""
    if len(strides) > 1 or strides[0] in STRIDES:
        return 1.0
    nearest = min(STRIDES, key=lambda s: max(s / strides[0], strides[0] / s))
    return strides[0] / nearest
