"""Training state on disk: atomic, resumable, never unpickled as arbitrary objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from find_core.errors import CheckpointError
from find_core.support.files import read_tensors, replace_file, write_tensors, write_text
from find_core.support.json_text import json_text
from training.config import RecipeError, TrainConfig, flat, from_dict
from training.engine.optim import MovingAverage
from training.step.step import TrainStep

STATE, CONFIG = "state.pt", "config.json"
LEARNS_THE_SAME = ("name", "log_every", "save_every", "refresh_every")
"""Settings that a run may go on with in another form: nothing that is learnt depends on them."""


@dataclass
class RunState:
    """Everything that the next step depends on; randomness is a function of seed and step."""

    module: TrainStep
    optimizers: list[Optimizer]
    average: MovingAverage | None
    step: int = 0


def save_state(folder: Path, state: RunState) -> None:
    """Write `state.pt`; after kill -9 at any moment the folder holds the old or the new one."""
    memory = {n: (age, row.cpu()) for n, (age, row) in state.module.bank.memory.items()}
    payload = {
        "step": state.step,
        "module": state.module.state_dict(),
        "optimizers": [o.state_dict() for o in state.optimizers],
        "average": state.average.values if state.average else None,
        "bank": memory,
    }
    replace_file(folder / STATE, lambda file: _save(payload, file))


def _save(payload: dict[str, Any], file: Path) -> None:
    try:
        torch.save(payload, file)
    except RuntimeError as error:  # what PyTorch makes of a full disk
        raise OSError(str(error)) from None


def load_state(folder: Path, state: RunState) -> bool:
    """Continue from `state.pt` if it is there.

    Raises:
        RecipeError: the file is damaged, or of a run with other parameters.
    """
    path = folder / STATE
    if not path.is_file():
        return False
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
        memory = {n: (age, row) for n, (age, row) in payload["bank"].items()}
        step, average = int(payload["step"]), payload["average"]
        module, optimizers = _renamed(payload["module"]), payload["optimizers"]
        average = None if average is None else _renamed(average)
        _check_state(step, module, average)
    except OSError:
        raise
    except Exception as error:  # damaged bytes make PyTorch's reader fail in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecipeError(
            f"{path} is damaged ({reason:.100}): delete it to begin again; "
            f"--set init={folder / 'last.safetensors'} begins from the last weights."
        ) from None
    try:
        state.module.load_state_dict(module)
        for optimizer, values in zip(state.optimizers, optimizers, strict=True):
            optimizer.load_state_dict(values)
    except (RuntimeError, ValueError):
        raise RecipeError(
            f"{folder} holds a run of other parameters or another optimiser: give the settings "
            "that it was begun with, or another --out."
        ) from None
    device = state.module.model.device
    if state.average is not None and average is not None:
        state.average.values = {n: value.to(device) for n, value in average.items()}
    state.module.bank.memory = {n: (age, row.to(device)) for n, (age, row) in memory.items()}
    state.step = step
    return True


def _check_state(step: int, module: dict[str, Tensor], average: dict[str, Tensor] | None) -> None:
    """Raise a ValueError where a state that can be read cannot be right."""
    if step < 0:
        raise ValueError(f"it stands at step {step}")
    for name, tensor in [*module.items(), *(average or {}).items()]:
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds NaN or infinity")
    if average is not None and set(average) != set(module):
        raise ValueError("its moving average has other weights")


def _renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of runs that were begun when the relevance was called presence."""
    return {
        f"relevance.{n.removeprefix('presence.')}" if n.startswith("presence.") else n: v
        for n, v in tensors.items()
    }


def what_differs(folder: Path, config: TrainConfig) -> str:
    """How a run differs from how it was begun in what it learns, in a sentence; empty where not."""
    if not (folder / STATE).is_file():
        return ""
    try:
        old, new = flat(load_config(folder)), flat(config)
    except RecipeError as error:
        return f"How the run was begun is not known: {error}"
    changes = [
        f"{key}={_plain(old.get(key))}, now {_plain(value)}"
        for key, value in new.items()
        if old.get(key) != value and key not in LEARNS_THE_SAME
    ]
    return f"{folder} was begun with {'; '.join(changes)}." if changes else ""


def _plain(value: Any) -> str:
    return value if isinstance(value, str) and value else repr(value)


def save_weights(path: Path, weights: dict[str, Tensor], half: bool = False) -> None:
    """A safetensors file, written atomically; `half` stores matrices as float16."""
    cast = {
        n: (v.half() if half and v.is_floating_point() and v.ndim > 1 else v).contiguous().cpu()
        for n, v in weights.items()
    }
    write_tensors(path, cast, {})


def load_weights(path: Path) -> dict[str, Tensor]:
    """Weights as float32.

    Raises:
        CheckpointError: missing, damaged, or not a safetensors file.
    """
    tensors, _ = read_tensors(path, CheckpointError)
    return {n: v.float() if v.is_floating_point() else v for n, v in tensors.items()}


def mix(old: Mapping[str, Tensor], new: Mapping[str, Tensor], keep: float) -> dict[str, Tensor]:
    """keep * old + (1 - keep) * new: what was known before stays known (WiSE-FT, arXiv 2109.01903)."""
    return {
        n: torch.lerp(v.float(), old[n].float(), keep) if v.is_floating_point() else v
        for n, v in new.items()
    }


def model_weights(state: RunState) -> dict[str, Tensor]:
    """The interface's weights: the moving average where there is one."""
    source = state.average.values if state.average else state.module.state_dict()
    return {n.removeprefix("model."): v for n, v in source.items() if n.startswith("model.")}


def save_config(folder: Path, config: TrainConfig) -> None:
    write_text(folder / CONFIG, json_text(config.to_dict(), indent=1))


def load_config(folder: Path) -> TrainConfig:
    """The run's recipe as it was run.

    Raises:
        RecipeError: the folder holds no run, or its config.json is damaged.
    """
    try:
        return from_dict(TrainConfig, json.loads((folder / CONFIG).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise RecipeError(
            f"{folder} holds no training run ({error}): give the --out folder of training.train."
        ) from None
