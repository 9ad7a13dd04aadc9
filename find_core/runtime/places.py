"""The position terms of an input size, kept for the sizes that were seen last."""

from __future__ import annotations

import torch
from torch import Tensor

from find_core.model.find import FindModel
from find_core.model.pixel_decoder import Places
from find_core.support.lru import Lru

KEPT_SIZES = 4
STRIDES = (4, 8, 16, 32)


class PlacesCache:
    """`Places` by padded input size; they depend on nothing else."""

    def __init__(self, model: FindModel) -> None:
        self._model = model
        self._kept: Lru[tuple[int, int], Places] = Lru(KEPT_SIZES)

    def __call__(self, images_BCHW: Tensor) -> Places:
        """The position terms for a batch of padded images."""
        size = (images_BCHW.shape[-2], images_BCHW.shape[-1])
        made = self._kept.get(size)
        if made is None:
            made = places_of(self._model, size)
            self._kept.put(size, made)
        return made


def places_of(model: FindModel, size: tuple[int, int]) -> Places:
    """The position terms of a padded input of (H, W), on the model's device, float32."""
    maps = [(size[0] // s, size[1] // s) for s in STRIDES]
    with torch.no_grad(), torch.autocast(model.device.type, enabled=False):
        return model.pixel_decoder.places(maps, model.device)
