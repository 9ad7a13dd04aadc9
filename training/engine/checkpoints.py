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

from find_core.files import read_tensors, replace_file, write_tensors, write_text
from find_core.formats import Key, check_object
from find_core.printable import shown
from training.config import RecipeError, TrainConfig, from_dict
from training.engine.optim import MovingAverage
from training.step.step import TrainStep

STATE, CONFIG = "state.pt", "config.json"


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
    replace_file(folder / STATE, lambda file: torch.save(payload, file))


def load_state(folder: Path, state: RunState) -> bool:
    """Continue from `state.pt` if it is there.

    Raises:
        RecipeError: it is damaged, or of another model or recipe.
    """
    path = folder / STATE
    if not path.is_file():
        return False
    payload = _read_state(path)
    try:
        state.module.load_state_dict(payload["module"])
        for optimizer, values in zip(state.optimizers, payload["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        memory = {n: (int(age), row) for n, (age, row) in payload["bank"].items()}
        if state.average is not None and payload["average"] is not None:
            check_same(state.average.values or payload["module"], payload["average"])
            state.average.values = payload["average"]
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise RecipeError(
            f"{path} is of another model or recipe ({shown(problem, 160)}): give the same recipe, or "
            "another --out."
        ) from None
    state.module.bank.memory = memory
    state.step = payload["step"]
    return True


STATE_LAYOUT = {
    "step": Key((int,), low=0),
    "module": Key((dict,)),
    "optimizers": Key((list,)),
    "average": Key((dict, type(None))),
    "bank": Key((dict,)),
}


def _read_state(path: Path) -> dict[str, Any]:
    """What `save_state` wrote, whole.

    Raises:
        RecipeError: it is damaged.
    """
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
        check_object(payload, STATE_LAYOUT, "it", RecipeError)
        for part in (payload["module"], payload["average"] or {}):
            for name, tensor in part.items():
                if not torch.isfinite(tensor).all():
                    raise RecipeError(f"{shown(name)} holds NaN or infinity")
    except Exception as problem:  # whatever the damaged part's reader raises
        raise RecipeError(
            f"{path} is damaged ({shown(problem, 160)}): delete it to begin anew, or put a copy there."
        ) from None
    return payload


def check_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    """Raise a ValueError where two sets of weights differ in names or shapes."""
    shapes = [{n: tuple(v.shape) for n, v in part.items()} for part in (one, other)]
    if shapes[0] != shapes[1]:
        raise ValueError("its moving average has other weights")


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
        RecipeError: no such file, damaged, or of another format.
    """
    if not path.is_file():
        raise RecipeError(f"No weights at {path}: check the path.")
    tensors, _ = read_tensors(path, RecipeError)
    return {n: v.float() if v.is_floating_point() else v for n, v in tensors.items()}


def model_weights(state: RunState) -> dict[str, Tensor]:
    """The interface's weights: the moving average where there is one."""
    source = state.average.values if state.average else state.module.state_dict()
    return {n.removeprefix("model."): v for n, v in source.items() if n.startswith("model.")}


def save_config(folder: Path, config: TrainConfig) -> None:
    write_text(folder / CONFIG, json.dumps(config.to_dict(), indent=1))


def load_config(folder: Path) -> TrainConfig:
    """The run's recipe as it was run.

    Raises:
        RecipeError: the folder holds no run.
    """
    try:
        return from_dict(TrainConfig, json.loads((folder / CONFIG).read_text()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecipeError(
            f"{folder} holds no training run ({error}): give the --out folder of training.train."
        ) from None
