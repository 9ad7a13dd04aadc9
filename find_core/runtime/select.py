"""Which runtime serves a model here."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from find_core.errors import FindError
from find_core.model.find import FindModel
from find_core.runtime.cache import cached, weights_key
from find_core.runtime.export import export
from find_core.runtime.image_path import ImagePath
from find_core.runtime.onnxruntime import OnnxRuntime
from find_core.runtime.openvino import OpenVino
from find_core.runtime.places import places_of
from find_core.runtime.protocol import RUNTIMES, ImageRuntime, RuntimeUnavailableError
from find_core.runtime.torch_runtime import TorchRuntime

TOLERANCE = 1e-4
"""Of the check after an export, relative to each output's largest value. Rounding gives 1e-6; a size
that stayed in the graph gives 1e-1 or an error."""
CHECKED = ((1, 64, 96), (2, 160, 128))  # batch, height, width; neither is the traced one
logger = logging.getLogger(__name__)


def open_runtime(
    name: str,
    vision: Any,
    model: FindModel,
    *,
    plain: bool = True,
    compile: bool = False,
    folder: Path | None = None,
) -> ImageRuntime:
    """The runtime called `name`; torch, with one sentence in the log, where that one does not serve.

    Args:
        name: one of `RUNTIMES`. "auto" is onnxruntime on CPUs where it is installed, else torch.
        vision: the frozen encoder. model: on its device, in eval mode.
        plain: whether full precision is wanted; with another the caller wants torch's own.
        compile: see `TorchRuntime`. folder: of exported graphs, instead of the user's cache.

    Raises:
        FindError: there is no runtime of that name, or it does not go with the other options.
    """
    if name not in RUNTIMES:
        raise FindError(f"Unknown runtime {name!r}: choose one of {', '.join(RUNTIMES)}.")
    own = plain and not compile
    if name not in ("auto", "torch") and not own:
        raise FindError(f"Runtime {name!r} has its own precision: leave dtype and compile alone.")
    on_cpu = model.device.type == "cpu"
    if name == "auto":
        there = importlib.util.find_spec("onnxruntime") is not None
        name = "onnxruntime" if on_cpu and own and there else "torch"
    if name != "torch":
        try:
            if not on_cpu:
                raise RuntimeUnavailableError("it serves CPUs only")
            return _open(name, vision, model, folder)
        except RuntimeUnavailableError as reason:
            logger.warning("Runtime %s is not used, torch is: %s.", name, reason)
    return TorchRuntime(vision, model, compile)


def _open(name: str, vision: Any, model: FindModel, folder: Path | None) -> ImageRuntime:
    if not isinstance(vision, nn.Module):
        raise RuntimeUnavailableError("the vision encoder is no torch module")
    path = ImagePath(vision, model).eval()

    def make() -> bytes:
        graph = export(path, model)
        # In full precision whatever was asked for: bfloat16 differs by more than a wrong size might.
        check(_make(name.removesuffix("-bf16"), graph, path, model), path, model)
        return graph

    return _make(name, cached(weights_key(path), make, folder), path, model)


def _make(name: str, graph: bytes, path: ImagePath, model: FindModel) -> OnnxRuntime | OpenVino:
    if name == "onnxruntime":
        return OnnxRuntime(graph, path, model)
    return OpenVino(name, graph, path, model)


@torch.inference_mode()
def check(runtime: OnnxRuntime | OpenVino, path: ImagePath, model: FindModel) -> None:
    """Compare a new graph with torch at sizes that it was not traced at.

    Raises:
        RuntimeUnavailableError: it cannot run there, or its answers are others.
    """
    seeded = torch.Generator().manual_seed(0)
    for batch, height, width in CHECKED:
        images = torch.randn(batch, 3, height, width, generator=seeded)
        inputs = path.inputs(images, places_of(model, (height, width)))
        try:
            got = runtime.outputs(inputs)
        except Exception as error:
            raise RuntimeUnavailableError(
                f"the graph of this encoder holds a size ({str(error)[:80]})"
            ) from error
        for name, a, b in zip(path.output_names, got, path(*inputs), strict=True):
            worst = float((a - b).abs().max() / b.abs().max().clamp(min=1e-6))
            if not worst <= TOLERANCE:
                raise RuntimeUnavailableError(f"its {name} differs from torch's by {worst:.1e}")
