"""The position terms of an input size, kept for the sizes that were seen last."""

from __future__ import annotations

import threading
from collections import OrderedDict

import torch
from torch import Tensor

from find_core.model.find import FindModel
from find_core.model.pixel_decoder import Places

KEPT_SIZES = 4
STRIDES = (4, 8, 16, 32)


class PlacesCache:
    """`Places` by padded input size; they depend on nothing else."""

    def __init__(self, model: FindModel) -> None:
        self._model = model
        self._kept: OrderedDict[tuple[int, int], Places] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, images_BCHW: Tensor) -> Places:
        """The position terms for a batch of padded images."""
        size = (images_BCHW.shape[-2], images_BCHW.shape[-1])
        with self._lock:
            if size in self._kept:
                self._kept.move_to_end(size)
                return self._kept[size]
        made = places_of(self._model, size)
        with self._lock:
            self._kept[size] = made
            while len(self._kept) > KEPT_SIZES:
                self._kept.popitem(last=False)
        return made


def places_of(model: FindModel, size: tuple[int, int]) -> Places:
    """The position terms of a padded input of (H, W), on the model's device, float32."""
    maps = [(size[0] // s, size[1] // s) for s in STRIDES]
    with torch.no_grad(), torch.autocast(model.device.type, enabled=False):
        return model.pixel_decoder.places(maps, model.device)
