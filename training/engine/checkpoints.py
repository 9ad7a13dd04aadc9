"""Training state on disk: atomic, resumable, never unpickled as arbitrary objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.optim import Optimizer

from find_core.files import replace_file, write_tensors, write_text
from training.config import RecipeError, TrainConfig, from_dict
from training.engine.optim import MovingAverage
from training.step.step import TrainStep

STATE = "state.pt"


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
    """Continue from `state.pt` if it is there."""
    path = folder / STATE
    if not path.is_file():
        return False
    payload = torch.load(path, map_location="cpu", weights_only=True)
    state.module.load_state_dict(payload["module"])
    for optimizer, values in zip(state.optimizers, payload["optimizers"], strict=True):
        optimizer.load_state_dict(values)
    if state.average is not None and payload["average"] is not None:
        state.average.values = payload["average"]
    state.module.bank.memory = {n: (age, row) for n, (age, row) in payload["bank"].items()}
    state.step = payload["step"]
    return True


def save_weights(path: Path, weights: dict[str, Tensor], half: bool = False) -> None:
    """A safetensors file, written atomically; `half` stores matrices as float16."""
    cast = {
        n: (v.half() if half and v.is_floating_point() and v.ndim > 1 else v).contiguous().cpu()
        for n, v in weights.items()
    }
    write_tensors(path, cast, {})


def load_weights(path: Path) -> dict[str, Tensor]:
    """Weights as float32."""
    return {n: v.float() if v.is_floating_point() else v for n, v in load_file(path).items()}


def model_weights(state: RunState) -> dict[str, Tensor]:
    """The interface's weights: the moving average where there is one."""
    source = state.average.values if state.average else state.module.state_dict()
    return {n.removeprefix("model."): v for n, v in source.items() if n.startswith("model.")}


def save_config(folder: Path, config: TrainConfig) -> None:
    write_text(folder / "config.json", json.dumps(config.to_dict(), indent=1))


def load_config(folder: Path) -> TrainConfig:
    """The run's recipe as it was run.

    Raises:
        RecipeError: the folder holds no run.
    """
    try:
        return from_dict(TrainConfig, json.loads((folder / "config.json").read_text()))
    except (OSError, json.JSONDecodeError, TypeError, KeyError) as error:
        raise RecipeError(
            f"{folder} holds no training run ({error}): give the --out folder of training.train."
        ) from None
