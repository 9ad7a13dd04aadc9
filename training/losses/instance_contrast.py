"""Mask features directly: pixels of one instance alike, of two instances unlike.

Masks are dot products of a proposal with the mask features, so features that already tell
instances apart leave less for the proposals to learn. Ours, for short trainings on small machines.

Dimension letters: B pictures, M instances, C channels, H/W pixels at 1/4 scale, P = H*W.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

SCALE = 10.0


def instance_contrast(features_BCHW: Tensor, masks_BMHW: Tensor, valid_BM: Tensor) -> Tensor:
    """Cross-entropy of every labelled pixel over the mean features of its picture's instances.

    Small instances weigh as the square root of their size. Scalar; 0 without two instances.

    Args:
        masks_BMHW: share of each cell that the instance covers, in [0, 1]. valid_BM: bool.
    """
    total, count = features_BCHW.sum() * 0.0, 0
    for features_CHW, masks_MHW, valid_M in zip(features_BCHW, masks_BMHW, valid_BM, strict=True):
        masks_MP = masks_MHW[valid_M].flatten(1)
        if len(masks_MP) < 2:
            continue
        pixels_CP = F.normalize(features_CHW.flatten(1), dim=0)
        size_M1 = masks_MP.sum(1, keepdim=True)
        means_MC = F.normalize((masks_MP / (size_M1 + 1e-6)) @ pixels_CP.T, dim=1)
        weight_MP = masks_MP / (size_M1.sqrt() + 1e-6)
        log_share = (SCALE * means_MC @ pixels_CP).log_softmax(0)
        total = total - (log_share * weight_MP).sum() / weight_MP.sum().clamp(min=1e-6)
        count += 1
    return total / max(count, 1)
