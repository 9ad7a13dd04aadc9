"""Loading the model a parameter names, off the executor's thread."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable
from typing import Any

from find_core.errors import CheckpointError, FindError

MODEL_MEANING = (
    "Packaged default, checkpoint directory, hub id, official .pt, 'tiny' (random weights, for "
    "trying out the plumbing), or 'package.module:function' that takes the device and returns a Find."
)


def import_torch() -> None:
    """Import torch in this thread, now.

    While another thread imports it, scipy (poses!) looks into the half imported module and fails.
    Where torch is missing, loading a model says so.
    """
    with contextlib.suppress(ImportError):
        importlib.import_module("torch")


def load_model(name: str, device: str, input_px: int = 0) -> Any:
    """Load a `Find`.

    Args:
        input_px: shorter side of the network's input; 0: the model's own (and what functions and
            'tiny' give is left as it is).

    Raises:
        FindError: with a sentence that says what to do.
    """
    if name == "tiny":
        from find_core.testing import tiny_find

        return tiny_find()
    module, separator, function = name.partition(":")
    if separator and module.replace(".", "").replace("_", "").isalnum() and function.isidentifier():
        try:
            return getattr(importlib.import_module(module), function)(device)
        except (ImportError, AttributeError) as error:
            if "/" not in name and not isinstance(error, FindError):
                raise CheckpointError(f"Model {name!r} cannot be imported: {error}.") from None
            raise
    from find_core import load

    return load(name, device=device, input_px=input_px or None)


def load_aside(name: str, device: str, keep_waiting: Callable[[], bool], input_px: int = 0) -> Any:
    """`load_model` in its own thread, so that a shutdown need not wait for it.

    Args:
        keep_waiting: asked 20 times a second; False abandons the load.

    Raises:
        FindError: loading failed, or was abandoned.
    """
    box: dict[str, Any] = {}

    def work() -> None:
        try:
            box["find"] = load_model(name, device, input_px)
        except FindError as error:
            box["error"] = error
        except Exception as error:  # a broken installation of torch or a package, say
            box["error"] = CheckpointError(
                f"Model {name!r} could not be loaded: {type(error).__name__}: {error}."
            )

    thread = threading.Thread(target=work, name="model loader", daemon=True)
    thread.start()
    while thread.is_alive() and keep_waiting():
        thread.join(0.05)
    if "error" in box:
        raise box["error"]
    if "find" not in box:
        raise CheckpointError("Loading was abandoned: the node is shutting down.")
    return box["find"]
