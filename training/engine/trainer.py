"""The training loop: steps, checkpoints, validation, curves; goes on where a killed run stopped."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from find_core.drawing import write_image
from find_core.support.files import write_text
from training.config import RecipeError, TrainConfig
from training.data.batches import Batches
from training.data.sample import Batch
from training.engine.checkpoints import (
    RunState,
    load_state,
    model_weights,
    save_config,
    save_state,
    save_weights,
    what_differs,
)
from training.engine.curves import MetricLog, draw_curves, read_metrics
from training.engine.optim import MovingAverage, build_optimizers, clip_gradients, set_rates
from training.engine.samples import sample_sheet
from training.engine.validate import validate
from training.step.step import TrainStep

SCORED = ("text_miou", "visual_miou", "presence_auc")
SCORED_PHOTOS = ("photo_text_miou", "photo_visual_miou")
"""Validation figures whose mean chooses the best weights; those of photographs where there are any."""

Report = Callable[[str], None]


class Trainer:
    """Runs a recipe in a folder.

    Args:
        batches: training stream. val: fixed batches for `validate`. report: prints a line.
        changed: go on with a run in the folder that was begun with other settings.

    Raises:
        RecipeError: such a run is there, and `changed` is not given; or its state is damaged.
    """

    def __init__(
        self, config: TrainConfig, folder: Path, module: TrainStep, batches: Batches,
        val: list[Batch], report: Report = print, changed: bool = False,
    ) -> None:  # fmt: skip
        from accelerate import Accelerator, DistributedDataParallelKwargs

        self.config, self.folder, self.report = config, folder, report
        self.batches, self.val = batches, val
        # Not every step asks every task: which parameters take part differs.
        partly = DistributedDataParallelKwargs(find_unused_parameters=True)
        if (
            not torch.cuda.is_available()
        ):  # or accelerate would not see that torchrun started several
            os.environ.setdefault("ACCELERATE_USE_CPU", "true")
        self.accelerator = Accelerator(kwargs_handlers=[partly])
        started = int(os.environ.get("WORLD_SIZE", "1"))
        if started != self.accelerator.num_processes:
            raise RecipeError(
                f"{started} processes were started, and each would train alone: start them with torchrun "
                "or accelerate launch."
            )
        made = build_optimizers(module, config.optim)
        average = MovingAverage(module, config.optim.ema) if config.optim.ema else None
        self.state = RunState(module, made, average)
        folder.mkdir(parents=True, exist_ok=True)
        differs = what_differs(folder, config)
        try:
            resumed = load_state(folder, self.state)
        except RecipeError as error:
            raise RecipeError(f"{error} {differs}".strip()) from None
        if differs and not changed:
            raise RecipeError(
                f"{differs} Give the settings it was begun with, or another --out; --changed goes on "
                "with it all the same."
            )
        if average is not None and not resumed:
            average.values = {n: v.clone() for n, v in module.state_dict().items()}
        self.wrapped, *self.state.optimizers = self.accelerator.prepare(module, *made)
        if self.main:
            if differs:
                self.report(differs)
            save_config(folder, config)
            self.log = MetricLog(folder, self.state.step)
        self.best = max(
            (m.get("val_score") or 0.0 for m in read_metrics(folder / "metrics.jsonl")), default=0.0
        )

    @property
    def main(self) -> bool:
        return self.accelerator.is_main_process

    def run(self, until: int | None = None) -> None:
        """Train to the recipe's last step, or stop after step `until`."""
        self._train(until)
        if self.batches.left_out:
            self.report(self.batches.what_was_left_out())

    def _train(self, until: int | None) -> None:
        end = min(self.config.optim.steps, until or self.config.optim.steps)
        sums: dict[str, list[float]] = defaultdict(list)
        started = time.monotonic()
        while self.state.step < end:
            step = self.state.step
            if step % self.config.refresh_every == 0:
                self.batches.refresh()
            for name, value in self.train_step(step).items():
                sums[name].append(value)
            self.state.step += 1
            if self.state.step % self.config.log_every == 0 and self.main:
                means = {k: float(np.mean(v)) for k, v in sums.items()}
                means["seconds_a_step"] = (time.monotonic() - started) / self.config.log_every
                self._log(step, means)
                sums.clear()
                started = time.monotonic()
            if self.state.step % self.config.save_every == 0 or self.state.step == end:
                self.save()

    def train_step(self, step: int) -> dict[str, float]:
        """One update; everything random about it follows from seed and step."""
        process = self.accelerator.process_index
        torch.manual_seed(hash_seed(self.config.seed, step, process))
        count = self.accelerator.num_processes
        result = self.wrapped(self.batches.batch(step * count + process), step)
        set_rates(self.state.optimizers, step, self.config.optim)
        for optimizer in self.state.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(result.total)
        norm = clip_gradients(self.state.module.parameters(), self.config.optim.clip)
        if np.isfinite(norm):
            for optimizer in self.state.optimizers:
                optimizer.step()
            if self.state.average is not None:
                self.state.average.update(self.state.module, step)
        scale = self.state.module.model.heads.logit_scale.detach().exp()
        extra = {"grad_norm": norm, "logit_scale": float(scale)}
        return {"loss": float(result.total.detach()), **result.terms, **extra}

    def save(self) -> None:
        """Checkpoint, then validate the averaged weights, keep the best, draw the curves.

        All processes validate (its forward waits for all of them); the main one writes, the
        checkpoint first: what goes wrong with looking at weights costs none of them.
        """
        weights = model_weights(self.state)
        if self.main:
            save_state(self.folder, self.state)
            save_weights(self.folder / "last.safetensors", weights)
        values, samples = self._look_at_average() if self.val else ({}, None)
        if not self.main:
            return
        if samples is not None:
            write_image(self.folder / "samples.png", samples)
            self.log.picture("samples", samples, self.state.step - 1)
        if values:
            score = [values.get(f"val_{k}", 0.0) for k in SCORED]
            score += [values[f"val_{k}"] for k in SCORED_PHOTOS if f"val_{k}" in values]
            values["val_score"] = float(np.mean(score))
            self._log(self.state.step - 1, values)
            if values["val_score"] > self.best:
                self.best = values["val_score"]
                save_weights(self.folder / "best.safetensors", weights)
        draw_curves(read_metrics(self.folder / "metrics.jsonl"), self.folder / "curves.png")
        write_text(self.folder / "relevance.txt", relevance_line(self.state.module))

    def _look_at_average(self) -> tuple[dict[str, float], np.ndarray | None]:
        """Figures and sample pictures of the averaged weights on the validation batches."""
        module = self.state.module
        own = {n: v.clone() for n, v in module.state_dict().items()}
        memory = dict(module.bank.memory)
        if self.state.average is not None:
            module.load_state_dict(self.state.average.values)
        values = validate(module, self.val)
        samples = sample_sheet(module, self.val, self.config.data.view)
        module.load_state_dict(own)
        module.bank.memory = memory
        return values, samples

    def _log(self, step: int, values: dict[str, float]) -> None:
        self.log.write(step, values)
        words = " ".join(f"{k} {v:.3f}" for k, v in values.items())
        steps = self.config.optim.steps
        self.report(f"step {step + 1}/{steps} {words}")
        if "seconds_a_step" in values:
            self.report(how_far(read_metrics(self.folder / "metrics.jsonl"), step + 1, steps))


RECENT = 10
"""Reports whose pace tells how long the rest takes."""


def how_far(metrics: Sequence[Mapping[str, float]], step: int, steps: int) -> str:
    """Share of the steps, hours spent over all of a run's days, and hours to come, as a line.

    Args:
        metrics: a run's reports; those with a `seconds_a_step` speak of the steps since the last.
    """
    timed = [m for m in metrics if "seconds_a_step" in m]
    ends = [0, *(int(m["step"]) + 1 for m in timed)]
    spent_s = sum(
        m["seconds_a_step"] * (end - start)
        for m, start, end in zip(timed, ends[:-1], ends[1:], strict=True)
    )
    pace_s = float(np.mean([m["seconds_a_step"] for m in timed[-RECENT:]])) if timed else 0.0
    left_s = pace_s * (steps - step)
    return (
        f"{100 * step / steps:.0f} % of {steps} steps, {spent_s / 3600:.2f} h spent, "
        f"{left_s / 3600:.2f} h to go at {pace_s:.2f} s a step"
    )


def hash_seed(seed: int, step: int, process: int) -> int:
    """The seed of everything random in one process's part of a step."""
    return int(np.random.SeedSequence((seed, step, process)).generate_state(1)[0])


def relevance_line(module: TrainStep) -> str:
    """Scale and bias of the relevance score as they stand."""
    scale, bias = module.relevance.log_scale.detach().exp(), module.relevance.bias.detach()
    return f"scale {float(scale):.4f} bias {float(bias):.4f}\n"
