"""Frozen features averaged under masks.

Letters: N masks, P mask width, F channels of all pooled maps, h/w map size, M = h*w.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from find_core.model.image_state import ImageState
from find_core.preprocess import Geometry

LEVELS = (1, 0)
"""Of `ImageState.level_masks`, in the order of `ImageState.frozen`: strides 16, then 32."""
_LEAST = 1e-4


def pooled_proposals(pixel_NP: Tensor, state: ImageState, geometry: Geometry) -> Tensor:
    """(N, F): under the masks that pixel embeddings draw, weighted by their probability."""
    weights = []
    for maps, level in zip(state.frozen, LEVELS, strict=True):
        logits_NM = pixel_NP.float() @ state.level_masks[level][0].float()
        weights.append(logits_NM.sigmoid().unflatten(1, maps.shape[-2:]))
    return _pooled(weights, state.frozen, geometry)


def pooled_region(mask: Tensor, state: ImageState, geometry: Geometry | None = None) -> Tensor:
    """(F,): under a mask (H', W') of the padded input; soft where a cell is covered in part."""
    mask_11HW = mask.float()[None, None]
    sizes = [(maps.shape[-2], maps.shape[-1]) for maps in state.frozen]
    weights = [F.adaptive_avg_pool2d(mask_11HW, size)[0] for size in sizes]
    return _pooled(weights, state.frozen, geometry)[0]


def _pooled(
    weights_Nhw: Sequence[Tensor], frozen: Sequence[Tensor], geometry: Geometry | None
) -> Tensor:
    out = []
    for weights, maps_1Chw in zip(weights_Nhw, frozen, strict=True):
        if geometry is not None:
            weights = weights * _inside(weights, geometry)
        flat = weights.flatten(1)
        flat = flat / (flat.sum(1, keepdim=True) + _LEAST)
        out.append(flat @ maps_1Chw[0].flatten(1).float().T)
    return torch.cat(out, dim=1)


def _inside(weights_Nhw: Tensor, geometry: Geometry) -> Tensor:
    """(h, w): 1 in cells that show some of the image, 0 where there is padding alone."""
    size = weights_Nhw.shape[-2:]
    height, width = (-(-r * s // p) for r, s, p in
                     zip(geometry.resized, size, geometry.padded, strict=True))  # fmt: skip
    inside = weights_Nhw.new_zeros(size)
    inside[:height, :width] = 1
    return inside
