"""The image path by torch itself: always there, on every device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from find_core.model.find import FindModel
from find_core.model.image_state import ImageState
from find_core.runtime.cuda_graph import CudaGraph
from find_core.runtime.folding import channels_last, folded, twin
from find_core.runtime.places import PlacesCache
from find_core.runtime.warm_up import Path, WarmUp


class TorchRuntime:
    """Calls the modules; on CPUs copies of them that take fewer passes over memory (`folding`).

    Args:
        compile: have `torch.compile` make both for each of the first input shapes, on GPUs replayed
            as a CUDA graph. That takes up to a minute a shape, in the background (`WarmUp`).
    """

    name = "torch"

    def __init__(self, vision: Any, model: FindModel, compile: bool = False) -> None:
        self._places = PlacesCache(model)
        if model.device.type == "cpu":
            vision, model = folded(vision), twin(model)
            channels_last(model.pixel_decoder)
        self._vision, self._model = vision, model
        self._maps: Path = WarmUp(self._plain, self._fast) if compile else self._plain

    def __call__(self, images_BCHW: Tensor) -> ImageState:
        """See `ImageRuntime`."""
        mask_features, *maps = self._maps(images_BCHW)
        places = self._places(images_BCHW)
        return self._model.state_of_maps(mask_features, maps[:3], places, maps[3:])

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for what is being compiled in the background; whether all of it is ready."""
        return self._maps.wait(timeout_s) if isinstance(self._maps, WarmUp) else True

    def _plain(self, images_BCHW: Tensor) -> list[Tensor]:
        """Mask features, then the three levels, then the encoder's last two maps."""
        features = self._vision(images_BCHW)
        mask_features, levels = self._model.pixel_decoder(features, self._places(images_BCHW))
        return [mask_features, *levels, *features[2:]]

    def _fast(self, example_BCHW: Tensor) -> Path:
        """`_plain` for images of the example's shape."""
        vision = torch.compile(self._vision, dynamic=False)
        decoder = torch.compile(self._model.pixel_decoder, dynamic=False)
        places = self._places(example_BCHW)  # held here: a graph reads them where they are now

        def fast(images_BCHW: Tensor) -> list[Tensor]:
            features = vision(images_BCHW)
            mask_features, levels = decoder(features, places)
            return [mask_features, *levels, *features[2:]]

        if example_BCHW.device.type == "cuda":
            return CudaGraph(fast, example_BCHW)
        fast(example_BCHW)
        return fast
