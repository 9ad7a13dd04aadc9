"""Loading the model a parameter names, off the executor's thread."""

from __future__ import annotations

import contextlib
import importlib
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import find_core
from find_core.errors import CheckpointError, FindError
from find_ros.support.text import printable

MODEL_MEANING = (
    "Packaged default, checkpoint directory, hub id, official .pt, 'tiny' (random weights, for "
    "trying out the plumbing), or a name that the process registered at its start. A running node "
    "takes packaged and registered names only."
)

# Takes the device ("auto", "cpu", "cuda", "cuda:0"), gives what `find_core.load` gives.
ModelFactory = Callable[[str], Any]


def _tiny(device: str) -> Any:
    from find_core.testing import tiny_find

    return tiny_find()


# Names that the parameter `model` may take besides checkpoints. Parameters come from the graph, and
# so name no function: a process that has models of its own fills this before its node starts.
MODEL_FACTORIES: dict[str, ModelFactory] = {"tiny": _tiny}


def register_model(name: str, factory: ModelFactory) -> None:
    """Let the parameter `model` of this process' nodes name a model of your own.

        register_model("mine", lambda device: MyFind(device))
        sys.exit(find_ros.localizer.main())

    Raises:
        ValueError: the name is no plain word, or is taken.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name):
        raise ValueError(f"{name!r} is no name for a model: use letters, digits, '-' and '_'.")
    if name in MODEL_FACTORIES:
        raise ValueError(f"A model called {name!r} is registered already.")
    MODEL_FACTORIES[name] = factory


def check_model_change(name: str) -> None:
    """What may be loaded at the word of the graph: neither files of the machine nor downloads.

    Raises:
        ValueError: neither registered nor packaged.
    """
    packaged = Path(find_core.__file__).parent.glob("share/*/config.json")
    known = sorted({*MODEL_FACTORIES, *(path.parent.name for path in packaged)})
    if name not in known:
        raise ValueError(
            f"{printable(name)!r} can be given at the start of the node only; a running node takes "
            f"{', '.join(known)}."
        )


def check_device(device: str) -> None:
    """Raises ValueError for what is no device."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", device):
        raise ValueError(f"{printable(device)!r} is no device: give auto, cpu, cuda or cuda:N.")


def import_torch() -> None:
    """Import torch in this thread, now.

    While another thread imports it, scipy (poses!) looks into the half imported module and fails.
    Where torch is missing, loading a model says so.
    """
    with contextlib.suppress(ImportError):
        importlib.import_module("torch")


def load_model(name: str, device: str, input_px: int = 0, runtime: str = "auto") -> Any:
    """Load a `Find`.

    Args:
        input_px: shorter side of the network's input; 0: the model's own.
        runtime: of the image path. Registered models decide both for themselves.

    Raises:
        FindError: with a sentence that says what to do.
    """
    if name in MODEL_FACTORIES:
        return MODEL_FACTORIES[name](device)
    from find_core import load

    return load(name, device=device, input_px=input_px or None, runtime=runtime)


def runtime_of(find: Any) -> str:
    """What computes the image path of a loaded model, for logs and diagnostics."""
    return "none" if find is None else str(getattr(find, "runtime_name", "its own"))


def load_aside(
    name: str,
    device: str,
    keep_waiting: Callable[[], bool],
    input_px: int = 0,
    runtime: str = "auto",
    prompts: bool = False,
) -> Any:
    """`load_model` in its own thread, so that a shutdown need not wait for it.

    Args:
        keep_waiting: asked 20 times a second; False abandons the load.
        prompts: also load what reads prompts, which otherwise waits for the first one.

    Raises:
        FindError: loading failed, or was abandoned.
    """
    box: dict[str, Any] = {}

    def work() -> None:
        try:
            find = load_model(name, device, input_px, runtime)
            if prompts and hasattr(find, "prepare"):  # registered models need not have it
                find.prepare(wait=True)
            box["find"] = find
        except FindError as error:
            box["error"] = error
        except BaseException as error:  # a broken installation, no memory, a library's sys.exit
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
