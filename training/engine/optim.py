"""Optimisers, their schedule, and the moving average of the weights (docs/spec.md 3.3)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from training.config import OptimConfig, RecipeError

STEPS_AT = (0.88889, 0.96296)


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict]:
    """Norms, biases, embeddings and scalars are not decayed."""
    plain: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    for part in module.modules():
        bare = isinstance(part, nn.LayerNorm | nn.GroupNorm | nn.Embedding)
        for parameter in part.parameters(recurse=False):
            if parameter.requires_grad:
                (plain if bare or parameter.ndim < 2 else decayed).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]


def build_optimizers(module: nn.Module, config: OptimConfig) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the interface's matrices where `config.muon` is a rate.

    Raises:
        RecipeError: Muon is asked for and this torch has none.
    """
    groups = parameter_groups(module, config.weight_decay)
    if not config.muon:
        return [torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.999))]
    if not hasattr(torch.optim, "Muon"):
        raise RecipeError("optim.muon needs torch 2.9 or later: update it, or set optim.muon=0.")
    matrices = [p for n, p in module.named_parameters() if p.requires_grad and is_matrix(n, p)]
    known = {id(p) for p in matrices}
    for group in groups:
        group["params"] = [p for p in group["params"] if id(p) not in known]
    muon = torch.optim.Muon(
        matrices, lr=config.muon, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw"
    )
    return [torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.999)), muon]


def is_matrix(name: str, parameter: Tensor) -> bool:
    """Is it a hidden layer's linear map? Those are what Muon is made for."""
    parts = name.removeprefix("model.").split(".")
    return parameter.ndim == 2 and (parts[0] in ("interface", "heads") or "encoder" in parts)


def set_rates(optimizers: Iterable[torch.optim.Optimizer], step: int, config: OptimConfig) -> None:
    """Every optimiser's rate at a step, in the order of `build_optimizers`."""
    factor = learning_rate(step, config)
    for optimizer, base in zip(optimizers, (config.lr, config.muon), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = base * factor


def learning_rate(step: int, config: OptimConfig) -> float:
    """Factor on the base rate at a step (0-based)."""
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    progress = step / max(1, config.steps)
    if config.schedule == "steps":
        # The published warm-up has factor 1: nominal only.
        return 0.1 ** sum(progress >= at for at in STEPS_AT)
    if progress < config.decay_from:
        return warm
    rest = (1.0 - progress) / (1.0 - config.decay_from)
    return warm * max(0.02, rest)


class MovingAverage:
    """Exponential average of a module's parameters, with a start that forgets the beginning."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {n: p.detach().clone() for n, p in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1.0 - decay)


def clip_gradients(parameters: Iterable[Tensor], limit: float) -> float:
    """Clip the global norm; returns the norm before (not finite = skip the step)."""
    norm = float(nn.utils.clip_grad_norm_(list(parameters), limit))
    return norm if math.isfinite(norm) else math.nan
