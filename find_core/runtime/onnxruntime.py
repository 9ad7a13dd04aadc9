"""The image path by onnxruntime, in float32: the same answers to about 1e-6, in half the time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from find_core.model.find import FindModel
from find_core.model.image_state import ImageState
from find_core.runtime.image_path import ImagePath
from find_core.runtime.places import PlacesCache
from find_core.runtime.protocol import RuntimeUnavailableError


def session_of(graph: bytes) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU, with as many threads as torch has.

    Raises:
        RuntimeUnavailableError: onnxruntime is not installed, or does not take the graph.
    """
    try:
        import onnxruntime
    except ImportError:
        raise RuntimeUnavailableError("it is not installed: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that wait do so asleep: a robot's other programs need the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own types have no common base
        raise RuntimeUnavailableError(f"it does not take the graph ({str(error)[:120]})") from error


class OnnxRuntime:
    """A session on the CPU, with as many threads as torch has.

    Args:
        graph: of `path`, as `export` makes it.

    Raises:
        RuntimeUnavailableError: onnxruntime is not installed, or does not take the graph.
    """

    name = "onnxruntime"

    def __init__(self, graph: bytes, path: ImagePath, model: FindModel) -> None:
        self._session = session_of(graph)
        self._path, self._places = path, PlacesCache(model)

    def __call__(self, images_BCHW: Tensor) -> ImageState:
        """See `ImageRuntime`."""
        places = self._places(images_BCHW)
        return self._path.state(self.outputs(self._path.inputs(images_BCHW, places)), places)

    def outputs(self, inputs: list[Tensor]) -> list[Tensor]:
        """Run the graph; it writes into the tensors that are returned."""
        binding = self._session.io_binding()
        inputs = [x.contiguous() for x in inputs]  # held until the run is over
        for name, x in zip(self._path.input_names, inputs, strict=True):
            binding.bind_input(name, "cpu", 0, np.float32, tuple(x.shape), x.data_ptr())
        shapes = self._path.output_shapes(inputs[0].shape[0], *inputs[0].shape[-2:])
        outputs = [torch.empty(shape) for shape in shapes]
        for name, y in zip(self._path.output_names, outputs, strict=True):
            binding.bind_output(name, "cpu", 0, np.float32, tuple(y.shape), y.data_ptr())
        self._session.run_with_iobinding(binding)
        return outputs
