"""The image path by torch itself: always there, on every device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from find_core.model.find import FindModel
from find_core.model.image_state import ImageState
from find_core.runtime.places import PlacesCache


class TorchRuntime:
    """Calls the modules.

    Args:
        compile: have `torch.compile` make both; a minute for each new input size.
    """

    name = "torch"

    def __init__(self, vision: Any, model: FindModel, compile: bool = False) -> None:
        self._vision, self._model = vision, model
        self._places = PlacesCache(model)
        if compile:
            self._vision = torch.compile(vision)
            model.pixel_decoder.compile()  # in place: the names of its weights stay

    def __call__(self, images_BCHW: Tensor) -> ImageState:
        """See `ImageRuntime`."""
        return self._model.image_state(self._vision(images_BCHW), self._places(images_BCHW))
