"""The image path by torch itself: always there, on every device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from find_core.model.find import FindModel
from find_core.model.image_state import ImageState
from find_core.runtime.folding import channels_last, folded, twin
from find_core.runtime.places import PlacesCache


class TorchRuntime:
    """Calls the modules; on CPUs copies of them that take fewer passes over memory (`folding`).

    Args:
        compile: have `torch.compile` make both; a minute for each new input size.
    """

    name = "torch"

    def __init__(self, vision: Any, model: FindModel, compile: bool = False) -> None:
        self._places = PlacesCache(model)
        if model.device.type == "cpu":
            vision, model = folded(vision), twin(model)
            channels_last(model.pixel_decoder)
        if compile:
            vision, model = torch.compile(vision), twin(model)
            model.pixel_decoder = torch.compile(model.pixel_decoder)  # type: ignore[assignment]
        self._vision, self._model = vision, model

    def __call__(self, images_BCHW: Tensor) -> ImageState:
        """See `ImageRuntime`."""
        return self._model.image_state(self._vision(images_BCHW), self._places(images_BCHW))
