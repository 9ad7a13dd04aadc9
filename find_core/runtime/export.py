"""The image path as an ONNX graph, with torch alone.

`torch.onnx.export` writes the file itself, but asks for the `onnx` package at its end, to look for
functions of its users' own. This project has none, and `onnx` needs a protobuf that nerfstudio's
environment cannot have: without the package that last step is left out.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import io
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from find_core.model.find import FindModel
from find_core.runtime.image_path import ImagePath
from find_core.runtime.places import places_of
from find_core.runtime.protocol import RuntimeUnavailableError

OPSET = 17
TRACED_SIZE = (96, 160)
"""Of the example that is traced; any size will do, as none may stay in the graph."""
_WRITERS = (
    "torch.onnx._internal.torchscript_exporter.onnx_proto_utils",  # torch >= 2.9
    "torch.onnx._internal.onnx_proto_utils",
)
# The newer one needs onnx and onnxscript. Torch 2.4 has no other and no such argument.
_OLDER_EXPORTER: dict[str, Any] = (
    {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
)
_lock = threading.Lock()  # the exporter keeps global state


def export(path: ImagePath, model: FindModel) -> bytes:
    """The ONNX graph of `path`, weights included; sizes and batch are free.

    Raises:
        RuntimeUnavailableError: this encoder, or this torch, does not export.
    """
    example = path.inputs(torch.zeros(2, 3, *TRACED_SIZE), places_of(model, TRACED_SIZE))
    free = {name: {0: "batch", 2: f"{name}_h", 3: f"{name}_w"} for name in path.input_names}
    for name in path.input_names[1:]:
        del free[name][0]
    free |= {name: {0: "batch", 1: f"{name}_1"} for name in path.output_names}
    maps = [name for name in path.output_names if name.startswith(("mask_features", "frozen"))]
    free |= {name: {0: "batch", 2: f"{name}_h", 3: f"{name}_w"} for name in maps}
    return graph_of(path.eval(), example, path.input_names, path.output_names, free)


def graph_of(
    module: torch.nn.Module, example: Sequence[torch.Tensor], inputs: Sequence[str],
    outputs: Sequence[str], free: Mapping[str, Mapping[int, str]],
) -> bytes:  # fmt: skip
    """The ONNX graph of a module in eval mode, weights included.

    Args:
        example: what is traced. free: per input or output the dimensions that may differ from it.

    Raises:
        RuntimeUnavailableError: this module, or this torch, does not export.
    """
    file: Any = io.BytesIO()  # the older exporter takes a buffer; its annotation does not say so
    try:
        with _lock, warnings.catch_warnings(), without_onnx_package(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                tuple(example),
                file,  # type: ignore[arg-type]  # the older exporter, used here, writes to files
                input_names=inputs,
                output_names=outputs,
                dynamic_axes=free,
                opset_version=OPSET,
                **_OLDER_EXPORTER,
            )
    except Exception as error:  # whatever an encoder's code does that a graph cannot
        raise RuntimeUnavailableError(
            f"the model does not export ({_first_line(error)})"
        ) from error
    return file.getvalue()


@contextlib.contextmanager
def without_onnx_package() -> Iterator[None]:
    """Let the exporter finish where `onnx` is not installed; where it is, change nothing."""
    writer = None
    if importlib.util.find_spec("onnx") is None:
        for name in _WRITERS:
            with contextlib.suppress(ImportError):
                writer = importlib.import_module(name)
                break
    step = getattr(writer, "_add_onnxscript_fn", None)
    if step is None:
        yield
        return
    writer._add_onnxscript_fn = lambda model_bytes, custom_opsets: model_bytes  # type: ignore[union-attr]
    try:
        yield
    finally:
        writer._add_onnxscript_fn = step  # type: ignore[union-attr]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
