"""The image path by OpenVINO, in float32 or bfloat16 (on processors that have it)."""

from __future__ import annotations

import io
import threading
from typing import Any

import torch
from torch import Tensor

from find_core.model.find import FindModel
from find_core.model.image_state import ImageState
from find_core.runtime.image_path import ImagePath
from find_core.runtime.places import PlacesCache
from find_core.runtime.protocol import RuntimeUnavailableError

PRECISIONS = {"openvino": "f32", "openvino-bf16": "bf16"}


class OpenVino:
    """A compiled model on the CPU, with as many threads as torch has.

    Args:
        name: of `PRECISIONS`. graph: of `path`, as `export` makes it.

    Raises:
        RuntimeUnavailableError: openvino is not installed, does not take the graph, or the processor
            has no bfloat16 arithmetic and it was asked for.
    """

    def __init__(self, name: str, graph: bytes, path: ImagePath, model: FindModel) -> None:
        try:
            import openvino
        except ImportError:
            raise RuntimeUnavailableError("it is not installed: pip install openvino") from None
        self.name, self._openvino = name, openvino
        self._path, self._places = path, PlacesCache(model)
        precision = PRECISIONS[name]
        # No CACHE_DIR: its files are the same for both precisions, and a model compiled for one gave
        # wrong answers (60 % off) when loaded for the other (2026.4). Compiling takes a second.
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # By default the whole process, torch's threads included, is pinned to its cores.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            core = openvino.Core()
            able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            if precision == "bf16" and "BF16" not in able:
                raise RuntimeUnavailableError("this processor has no bfloat16 arithmetic")
            compiled = core.compile_model(core.read_model(io.BytesIO(graph)), "CPU", options)
            self._request = compiled.create_infer_request()
        except RuntimeError as error:
            raise RuntimeUnavailableError(
                f"it does not take the graph ({str(error)[:120]})"
            ) from error
        self._lock = threading.Lock()  # a request serves one caller at a time

    def __call__(self, images_BCHW: Tensor) -> ImageState:
        """See `ImageRuntime`."""
        places = self._places(images_BCHW)
        return self._path.state(self.outputs(self._path.inputs(images_BCHW, places)), places)

    def outputs(self, inputs: list[Tensor]) -> list[Tensor]:
        """Run the graph; it writes into the tensors that are returned."""
        shared = self._openvino.Tensor
        inputs = [x.contiguous() for x in inputs]
        shapes = self._path.output_shapes(inputs[0].shape[0], *inputs[0].shape[-2:])
        outputs = [torch.empty(shape) for shape in shapes]
        with self._lock:
            for n, x in enumerate(inputs):
                self._request.set_input_tensor(n, shared(x.numpy(), shared_memory=True))
            for n, y in enumerate(outputs):
                self._request.set_output_tensor(n, shared(y.numpy(), shared_memory=True))
            self._request.infer()
        return outputs
