"""Train FIND.

    python -m training.train --recipe find_tabletop --out runs/tabletop \\
        --set data.tabletop=DATA/tabletop data.coco_panoptic=COCO data.store=STORE
    accelerate launch --multi_gpu -m training.train --recipe find_focalt_coco640 --out runs/focalt \\
        --set data.coco_panoptic=COCO data.store=STORE

A run that was interrupted (even by kill -9) goes on where its last checkpoint stands when the same
command is given again. The folder holds config.json, metrics.jsonl, curves.png, samples.png (answers
to the validation pictures, with --val-store), TensorBoard events, state.pt, best.safetensors and
last.safetensors.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from find_core import checkpoint
from find_core.drawing.overlay import write_image
from find_core.encoders import VisionEncoder, build_language
from find_core.errors import FindError
from find_core.files import write_text
from find_core.model.find import FindModel
from training.config import RecipeError, TrainConfig, override
from training.data.batches import Batch, Batches
from training.data.queries.label_knowledge import Facts
from training.data.sources import Sources, open_sources
from training.data.text_cache import TextCache
from training.engine.checkpoints import (
    RunState,
    load_state,
    load_weights,
    model_weights,
    save_config,
    save_state,
    save_weights,
)
from training.engine.curves import MetricLog, draw_curves, read_metrics
from training.engine.optim import MovingAverage, build_optimizers, clip_gradients, set_rates
from training.engine.samples import sample_sheet
from training.engine.validate import validate
from training.recipes import RECIPES, recipe
from training.step.step import TrainStep

Report = Callable[[str], None]


def build_module(config: TrainConfig, facts: Facts, names: list[str], channels: Any) -> TrainStep:
    """The interface, freshly initialised from the seed (or from `config.init`), in training form."""
    texts = TextCache(build_language(config.model.language), bf16=config.precision == "bf16")
    torch.manual_seed(config.seed)
    model = FindModel(config.model, channels, texts.width)
    with torch.no_grad():
        model.heads.logit_scale.fill_(config.logit_scale)
    if config.init:
        start_from(model, initial_weights(Path(config.init)))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(tuple(config.frozen) or ("\0",)))
    return TrainStep(model, texts, facts, names, config)


def start_from(model: FindModel, weights: dict[str, torch.Tensor]) -> None:
    """Load weights; parts that start at zero (`level_coordinates`) may be missing from them."""
    own = model.state_dict()
    zero = {n: v for n, v in own.items() if n not in weights and not v.any()}
    model.load_state_dict(weights | zero)


def initial_weights(source: Path) -> dict[str, torch.Tensor]:
    """The interface's weights of a safetensors file or of a checkpoint folder."""
    if source.is_file():
        return load_weights(source)
    tensors = checkpoint.read(source).tensors
    return {n: v for n, v in tensors.items() if not n.startswith(("vision.", "language."))}


def initial_vision(config: TrainConfig) -> VisionEncoder | None:
    """The frozen vision encoder that a checkpoint folder brings along, if it does."""
    if not config.init or Path(config.init).is_file():
        return None
    return checkpoint.build(checkpoint.read(config.init)).vision


class Trainer:
    """Runs a recipe in a folder.

    Args:
        batches: training stream. val: fixed batches for `validate`. report: prints a line.
    """

    def __init__(
        self, config: TrainConfig, folder: Path, module: TrainStep, batches: Batches,
        val: list[Batch], report: Report = print,
    ) -> None:  # fmt: skip
        from accelerate import Accelerator, DistributedDataParallelKwargs

        self.config, self.folder, self.report = config, folder, report
        self.batches, self.val = batches, val
        # Not every step asks every task: which parameters take part differs.
        partly = DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = Accelerator(kwargs_handlers=[partly])
        made = build_optimizers(module, config.optim)
        average = MovingAverage(module, config.optim.ema) if config.optim.ema else None
        self.state = RunState(module, made, average)
        folder.mkdir(parents=True, exist_ok=True)
        resumed = load_state(folder, self.state)
        if average is not None and not resumed:
            average.values = {n: v.clone() for n, v in module.state_dict().items()}
        self.wrapped, *self.state.optimizers = self.accelerator.prepare(module, *made)
        if self.main:
            save_config(folder, config)
            self.log = MetricLog(folder, self.state.step)
        self.best = max(
            (m.get("val_score", 0.0) for m in read_metrics(folder / "metrics.jsonl")), default=0.0
        )

    @property
    def main(self) -> bool:
        return self.accelerator.is_main_process

    def run(self, until: int | None = None) -> None:
        """Train to the recipe's last step, or stop after step `until`."""
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
        """Checkpoint, validate the averaged weights, keep the best, draw the curves.

        All processes validate (its forward waits for all of them); the main one writes.
        """
        values, samples = self._look_at_average() if self.val else ({}, None)
        if not self.main:
            return
        if samples is not None:
            write_image(self.folder / "samples.png", samples)
            self.log.picture("samples", samples, self.state.step - 1)
        save_state(self.folder, self.state)
        weights = model_weights(self.state)
        save_weights(self.folder / "last.safetensors", weights)
        if values:
            score = [
                values.get(f"val_{k}", 0.0) for k in ("text_miou", "visual_miou", "presence_auc")
            ]
            values["val_score"] = float(np.mean(score))
            self._log(self.state.step - 1, values)
            if values["val_score"] > self.best:
                self.best = values["val_score"]
                save_weights(self.folder / "best.safetensors", weights)
        draw_curves(read_metrics(self.folder / "metrics.jsonl"), self.folder / "curves.png")
        write_text(self.folder / "presence.txt", presence_line(self.state.module))

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
        self.report(f"step {step + 1}/{self.config.optim.steps} {words}")


def hash_seed(seed: int, step: int, process: int) -> int:
    return int(np.random.SeedSequence((seed, step, process)).generate_state(1)[0])


def presence_line(module: TrainStep) -> str:
    presence = module.presence
    return f"scale {float(presence.log_scale.detach().exp()):.4f} bias {float(presence.bias.detach()):.4f}\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", required=True, choices=sorted(RECIPES))
    parser.add_argument("--out", required=True, type=Path, help="folder of the run")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="override settings"
    )
    parser.add_argument("--val-store", default="", help="feature store of pictures to validate on")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--until", type=int, help="stop after this step (go on later)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        config = override(recipe(args.recipe), args.set)
        sources = open_sources(config.data, config.model.vision, encoder=initial_vision(config))
        module = build_module(config, sources.facts, sources.names, sources.store.shape.channels)
        batches = Batches(
            sources.records, sources.store, sources.facts, config.data.batch, config.seed,
            reload=sources.reload,
        )  # fmt: skip
        val = fixed_batches(config, sources, args.val_store) if args.val_store else []
        size = sum(p.numel() for p in module.model.parameters()) / 1e6
        print(f"{batches.refresh()} pictures, {len(sources.names)} names, {size:.2f} M parameters")
        Trainer(config, args.out, module, batches, val, lambda line: print(line, flush=True)).run(
            args.until
        )
    except RecipeError as error:
        sys.exit(str(error))
    except FindError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def fixed_batches(
    config: TrainConfig, sources: Sources, store: str, count: int = 12
) -> list[Batch]:
    """The same few batches of other pictures, whenever they are asked for."""
    other = sources.validation(store)
    plain = dataclasses.replace(config.data.batch, photo_dropout=0.0, photo_mix=0.0)
    stream = Batches(other.records, other.store, other.facts, plain, seed=12345)
    return [stream.batch(n) for n in range(count)]


if __name__ == "__main__":
    main()
