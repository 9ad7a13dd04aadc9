"""What a runtime is: images in, what prompts work on out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # ROS nodes name runtimes in their parameters before they load torch
    from torch import Tensor

    from find_core.model.image_state import ImageState

RUNTIMES = ("auto", "torch", "onnxruntime", "openvino", "openvino-bf16")


class ImageRuntime(Protocol):
    """Computes the image path. May be called from several threads."""

    name: str
    """One of `RUNTIMES`, never "auto"."""

    def __call__(self, images_BCHW: Tensor) -> ImageState:
        """(B, 3, H, W) float32 on the model's device, normalised and padded to multiples of 32."""
        ...


class RuntimeUnavailableError(Exception):
    """A runtime cannot serve this model here; its text ends a sentence "... is not used: <text>"."""
