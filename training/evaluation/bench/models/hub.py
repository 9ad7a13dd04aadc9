"""What the adapters of transformers share: loading in a sentence, inputs, resized masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from find_core.encoders.hf_load import pretrained, pretrained_model
from find_core.errors import EncoderError
from training.evaluation.bench.model import weights_fingerprint


def load_pair(
    model_class: str, path: str, processor_class: str = "AutoProcessor"
) -> tuple[Any, Any]:
    """A model in evaluation mode, on CUDA where there is one, and its processor.

    Args:
        model_class, processor_class: names in `transformers`. path: folder or hub name.

    Raises:
        EncoderError: not there, of another kind, or a package that it needs is missing.
    """
    import transformers

    try:
        loaders = getattr(transformers, model_class), getattr(transformers, processor_class)
        model = pretrained_model(loaders[0].from_pretrained, path)
        processor = pretrained(loaders[1].from_pretrained, path)
    except (AttributeError, ImportError) as error:
        line = next((x for x in str(error).splitlines() if x), type(error).__name__)
        raise EncoderError(f"{model_class} cannot be used here ({line:.140}): install what it names.") from None  # fmt: skip
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.eval().requires_grad_(False).to(device), processor


class HubModel:
    """A loaded model: its name is the path's last part, its fingerprint that of its weights."""

    def __init__(self, kind: str, path: str, *modules: torch.nn.Module) -> None:
        self.name = f"{kind} {path.rstrip('/').rsplit('/', 1)[-1]}"
        self._modules = modules
        self._fingerprint = ""

    @property
    def fingerprint(self) -> str:
        self._fingerprint = self._fingerprint or weights_fingerprint(*self._modules)
        return self._fingerprint

    @property
    def device(self) -> torch.device:
        return next(self._modules[0].parameters()).device


def as_pil(image: np.ndarray) -> Image.Image:
    """(H, W, 3) uint8 RGB as every processor takes it."""
    return Image.fromarray(image)


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, h, w) -> (N, *size) float32, bilinear."""
    return torch.nn.functional.interpolate(
        maps[None].float(), size, mode="bilinear", align_corners=False
    )[0]


def to_bool(masks: Tensor) -> np.ndarray:
    return masks.cpu().numpy().astype(np.bool_)
