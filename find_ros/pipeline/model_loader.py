"""Loading the model a parameter names, and changing its input size, off the executor's thread."""

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
from find_ros.support.text import printable, sentence_of

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


LARGEST_INPUT = 3
"""Times the model's own size that a running node takes: memory grows with the square, and a process
that runs out of it is killed without a word."""


class RunningModel:
    """A loaded model, and the input size at which it sees images.

    Another size is tried beside the frames, by what they will ask, and then taken over at once: no
    frame waits for it, and a size that fails leaves the old one in use.

    Args:
        find: as loaded. tried: asks a model what a frame will, and raises what goes wrong.
        report: called from the trying thread when that is over, with the parameter's value then in
            use, and the sentence why it is not the one that was asked for, or "".
        start_thread: takes a name and what to run.

    Attributes:
        find: the one in use. error: why the last wish for a size was not granted; "" it was.
    """

    def __init__(
        self,
        find: Any,
        parameter: int,
        tried: Callable[[Any], object],
        report: Callable[[int, str], object],
        start_thread: Callable[[str, Callable[[], None]], threading.Thread],
    ) -> None:
        self.find, self.error, self.own_px = find, "", 0
        if hasattr(find, "at_input_px"):  # registered models need not have it
            self.own_px = int(find.at_input_px(None).config.vision.short_side_px)
        self._first = self._used = self._wanted = parameter
        self._tried, self._report, self._start_thread = tried, report, start_thread
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def input_px(self) -> int:
        """Shorter side in use; 0 where the model does not say."""
        return int(self.find.config.vision.short_side_px) if self.own_px else 0

    def problem(self, parameter: int) -> str:
        """Why the running model cannot have this input size (0: its own), or ''."""
        if parameter in (self._first, self._used):
            return ""
        if not self.own_px:
            return "input_px: this model decides its input size for itself."
        if parameter > (most_px := LARGEST_INPUT * self.own_px):
            return (
                f"input_px: with this model a running node takes at most {most_px}; {parameter} can "
                "be given at its start only."
            )
        try:
            self.find.at_input_px(parameter or None)
        except FindError as error:
            return f"input_px: {sentence_of(error)}"
        return ""

    def want(self, parameter: int) -> None:
        """Have another input size (0: the model's own), soon; the last wish counts."""
        with self._lock:
            if self._closed or parameter == self._wanted:
                return
            self._wanted, self.error = parameter, ""
            if self._thread is None:
                self._thread = self._start_thread("input size", self._run)

    def close(self, timeout_s: float) -> bool:
        """Take nothing over any more; False when a size is still being tried after `timeout_s`."""
        with self._lock:
            self._closed, thread = True, self._thread
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._lock:
                wanted = self._wanted
                if self._closed or wanted == self._used:
                    self._thread = None  # under the lock: who wants another one starts another
                    return
            find, error = self._made(wanted)
            with self._lock:
                if self._closed:
                    return
                if not error:
                    self.find, self._used = find, wanted
                if self._wanted != wanted:
                    continue
                self._wanted, self.error = self._used, error
            self._report(self._used, error)

    def _made(self, parameter: int) -> tuple[Any, str]:
        """The model at another size, and why it does not serve, or ""."""
        try:
            find = self.find.at_input_px(parameter or None)
            self._tried(find)
        except Exception as failed:  # the frames go on as they are
            what = "" if isinstance(failed, FindError) else f"{type(failed).__name__}: "
            return None, f"input_px {parameter} was not taken: {what}{sentence_of(failed)}"
        return find, ""


def model_values(model: RunningModel | None) -> dict[str, Any]:
    """What diagnostics say of the model."""
    find = model.find if model is not None else None
    return {
        "device": getattr(find, "device", "cpu") if model is not None else "none",
        "runtime": runtime_of(find),
        "input_px": model.input_px if model is not None else 0,
        "input_px_own": model.own_px if model is not None else 0,
        "input_px_error": model.error if model is not None else "",
    }
