"""Train a recipe from a pack, by the clock: images are encoded where the training runs.

Views, what is asked of them and their masks are made in worker processes, ahead of the step that
needs them; matching is spread over further ones. A GPU encodes the views and does the rest.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from find_core.encoders import build_language
from find_core.model.find import FindModel
from find_core.support.command_line import fraction, number, whole
from find_core.support.files import write_text
from find_core.support.formats import Key, read_state
from find_core.support.json_text import figures_text, json_text
from training.config import TrainConfig, changed, from_dict
from training.data.batches import Batches
from training.data.formats.records import Record
from training.data.queries.label_knowledge import LabelKnowledge
from training.data.sample import Batch
from training.data.sources import derived
from training.data.text_cache import TextCache
from training.engine.checkpoints import (
    RunState,
    load_state,
    model_weights,
    save_config,
    save_state,
    save_weights,
)
from training.engine.curves import draw_curves, read_metrics
from training.engine.optim import MovingAverage, build_optimizers, clip_gradients, set_rates
from training.engine.validate import validate
from training.losses.distributed import agreed, mean_gradients
from training.losses.matcher import match_in_processes
from training.pack.encoder import Encoder
from training.pack.language import PackedMiniLM
from training.pack.processes import left, run_processes
from training.pack.rows import PixelStore, read_parts
from training.step.step import TrainStep

VAL_BATCHES = 8
PREFETCH = 3


@dataclass
class Pack:
    """What the folders hold: stages' numbers, records, knowledge."""

    stages: list[TrainConfig]
    train: dict[str, Record]
    val: dict[str, Record]
    knowledge: LabelKnowledge
    names: list[str]
    first: Path
    min_crop: dict[str, float]


def read_pack(folder: Path) -> Pack:
    """Read PACK/part-00 and as many other parts as are there."""
    parts = sorted(folder.glob("part-*"))
    data = json.loads((parts[0] / "pack.json").read_text())
    stages = [from_dict(TrainConfig, stage) for stage in data["stages"]]
    matches = {k: frozenset(v) for k, v in data["matches"].items()}
    lists = tuple(frozenset(names) for names in data["class_lists"])
    records, held = read_parts(parts), set(data["val"])
    train = {k: r for k, r in records.items() if k not in held}
    rendered = [r for r in train.values() if not r.is_photograph]
    pictured = [r for r in train.values() if r.is_photograph]
    train |= {r.key: r for r in derived(rendered, pictured, stages[0].data)}
    val = {k: r for k, r in records.items() if k in held}
    knowledge = LabelKnowledge(matches, frozenset(data["coco"]), class_lists=lists)
    return Pack(stages, train, val, knowledge, data["names"], parts[0], data["min_crop"])


class Steps(Dataset[Batch]):
    """Batch n of a seeded stream, for the workers of a loader."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __getitem__(self, step: int) -> Batch:
        torch.set_num_threads(1)
        return self.batches.batch(step)


def scaled(config: TrainConfig, args: argparse.Namespace, processes: int) -> TrainConfig:
    """The recipe's mix of images at another batch size; blanking is done where features are made.

    Each of several processes has its share of the batch.
    """
    batch = config.data.batch
    size = (args.batch or batch.size) / processes
    parts = ("size", "partners", "lookalikes", "real", "photo_partners", "references")
    changes: dict[str, Any] = {
        f"data.batch.{p}": round(getattr(batch, p) * size / batch.size) for p in parts
    }
    changes |= {
        "optim.lr": config.optim.lr * args.rate,
        "optim.muon": config.optim.muon * args.rate,
    }
    if args.ema is not None:
        changes["optim.ema"] = args.ema
    return changed(config, {**changes, "data.batch.photo_dropout": 0.0})


def build(pack: Pack, config: TrainConfig, device: torch.device) -> TrainStep:
    """The interface, freshly initialised from the seed."""
    path = pack.first / "language.safetensors"
    language: Any = PackedMiniLM(path) if path.is_file() else build_language(config.model.language)
    torch.manual_seed(config.seed)
    vision: Any = torch.jit.load(str(pack.first / "vision.pt"), map_location="cpu").float()
    probe = torch.zeros(1, 3, config.data.view.height, config.data.view.width)
    with torch.no_grad():
        channels = [m.shape[1] for m in vision(probe)]
    model = FindModel(config.model, channels, language.width)
    with torch.no_grad():
        model.heads.logit_scale.fill_(config.logit_scale)
    step = TrainStep(model, TextCache(language.to(device)), pack.knowledge, pack.names, config)
    return step.to(device)


@dataclass(frozen=True)
class Clock:
    """Turns minutes (or steps) into the recipe's own steps."""

    minutes: float | None
    steps: int | None
    recipe_steps: tuple[int, ...]

    def at(self, elapsed_s: float, step: int) -> tuple[int, int, float]:
        """(stage, step of that stage as the recipe counts, share of the whole), stages from 0."""
        share = step / self.steps if self.steps else elapsed_s / (60 * (self.minutes or 1))
        position = min(share, 1.0) * sum(self.recipe_steps)
        for stage, count in enumerate(self.recipe_steps):
            if position < count or stage == len(self.recipe_steps) - 1:
                return stage, min(int(position), count - 1), share
            position -= count
        raise AssertionError


def run(pack: Pack, args: argparse.Namespace, rank: int = 0, processes: int = 1) -> None:
    """Train until the time is over; the first process writes weights and curves."""
    first = rank == 0
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    stages = [scaled(c, args, processes) for c in pack.stages]
    clock = Clock(args.minutes, args.steps, tuple(c.optim.steps for c in stages))
    module, encoder = (
        build(pack, stages[0], device),
        Encoder(pack.first / "vision.pt", stages[0].model.vision, device),
    )
    state = RunState(module, build_optimizers(module, stages[0].optim),
                     MovingAverage(module, stages[0].optim.ema) if stages[0].optim.ema else None)  # fmt: skip
    args.out.mkdir(parents=True, exist_ok=True)
    before_s = _resumed(args.out, state)
    started, stage = time.monotonic(), -1
    log, saved = _Log(args.out, print if first else None), time.monotonic()
    stream: Any = iter(())
    with match_in_processes(args.match_workers):
        while True:
            elapsed = agreed(before_s + time.monotonic() - started)
            now, local, share = clock.at(elapsed, state.step)
            if share >= 1.0:
                break
            if now != stage:
                stage = now
                module.config = stages[stage]
                stream = iter(loader(pack, stages[stage], args, (state.step, rank, processes)))
            waited = time.monotonic()
            batch = next(stream)
            waited = time.monotonic() - waited
            dropout = pack.stages[stage].data.batch.photo_dropout
            batch = encoder.batch(batch, dropout, seed=state.step * processes + rank)
            values = update(module, batch, local, state, stages[stage])
            state.step += 1
            log.step(state.step, values | {"waited_s": waited}, share, elapsed)
            if first and time.monotonic() - saved > 60 * args.save_minutes:
                _save(args.out, state, elapsed)
                saved = time.monotonic()
    left()
    if first:
        _finish(pack, args, stages, state, encoder, before_s + time.monotonic() - started, log)


def _finish(
    pack: Pack, args: argparse.Namespace, stages: list[TrainConfig], state: RunState,
    encoder: Encoder, elapsed_s: float, log: _Log,
) -> None:  # fmt: skip
    _save(args.out, state, elapsed_s)
    save_config(args.out, stages[-1])
    save_weights(args.out / "last.safetensors", model_weights(state))
    if pack.val:
        log.write(state.step, looked_at(pack, stages[-1], state, encoder))
    _curves(args.out)


def update(
    module: TrainStep, batch: Batch, step: int, state: RunState, config: TrainConfig
) -> dict[str, float]:
    """One step of the recipe's own count."""
    torch.manual_seed(state.step)
    module.train()
    result = module(batch, step)
    set_rates(state.optimizers, step, config.optim)
    for optimizer in state.optimizers:
        optimizer.zero_grad(set_to_none=True)
    result.total.backward()
    mean_gradients(module.parameters())
    norm = clip_gradients(module.parameters(), config.optim.clip)
    if np.isfinite(norm):
        for optimizer in state.optimizers:
            optimizer.step()
        if state.average is not None:
            state.average.update(module, state.step)
    return {"loss": float(result.total.detach()), **result.terms, "grad_norm": norm}


def loader(
    pack: Pack, config: TrainConfig, args: argparse.Namespace, place: tuple[int, int, int]
) -> DataLoader[Batch]:
    """Batches made ahead by worker processes.

    Args:
        place: the step to begin with, this process's rank, and how many processes there are.
    """
    store: Any = PixelStore(pack.train, config.data.view, pack.min_crop)
    batches = Batches(pack.train, store, pack.knowledge, config.data.batch, config.seed)
    start, rank, processes = place
    workers = max(1, args.workers // processes) if args.workers else 0
    ahead: dict[str, Any] = {"prefetch_factor": PREFETCH} if workers else {}
    endless = range(start * processes + rank, 10**9, processes)
    options: dict[str, Any] = {"batch_size": None, "sampler": endless, "num_workers": workers}
    return DataLoader(Steps(batches), **options, **ahead)


def looked_at(
    pack: Pack, config: TrainConfig, state: RunState, encoder: Encoder
) -> dict[str, float]:
    """Figures of the averaged weights on held-out images."""
    store: Any = PixelStore(pack.val, config.data.view)
    plain = dataclasses.replace(config.data.batch, photo_mix=0.0)
    stream = Batches(pack.val, store, pack.knowledge, plain, seed=12345)
    if state.average is not None:
        state.module.load_state_dict(state.average.values)
    return validate(state.module, [encoder.batch(stream.batch(n)) for n in range(VAL_BATCHES)])


def _resumed(out: Path, state: RunState) -> float:
    """Seconds that earlier runs took; their state is loaded."""
    if not load_state(out, state):
        return 0.0
    clock = read_state(out / "clock.json", {"seconds": Key((float,), low=0)})
    return float(clock["seconds"]) if clock else 0.0  # killed before its first clock was written


def _save(out: Path, state: RunState, elapsed_s: float) -> None:
    save_state(out, state)
    write_text(out / "clock.json", json_text({"seconds": elapsed_s, "step": state.step}))


def _curves(out: Path) -> None:
    with contextlib.suppress(ImportError):  # metrics.jsonl says the same
        draw_curves(read_metrics(out / "metrics.jsonl"), out / "curves.png")


class _Log:
    """metrics.jsonl, and a line now and then."""

    EVERY = 20

    def __init__(self, out: Path, report: Callable[[str], None] | None) -> None:
        self.path, self.report = out / "metrics.jsonl", report
        self.sums: dict[str, list[float]] = defaultdict(list)
        self.since = time.monotonic()

    def step(self, step: int, values: dict[str, float], share: float, elapsed_s: float) -> None:
        if self.report is None:
            return
        for name, value in values.items():
            self.sums[name].append(value)
        if step % self.EVERY and len(self.sums["loss"]) > 1:
            return
        means = {k: float(np.mean(v)) for k, v in self.sums.items()}
        means["seconds_a_step"] = (time.monotonic() - self.since) / len(self.sums["loss"])
        self.write(step, means)
        left = elapsed_s * (1 / max(share, 1e-6) - 1)
        self.report(
            f"step {step}, {100 * share:.0f} %, {left / 60:.1f} min to go, loss {means['loss']:.2f}, "
            f"{means['seconds_a_step']:.2f} s a step, {means['waited_s']:.2f} s of them waiting"
        )
        self.sums.clear()
        self.since = time.monotonic()

    def write(self, step: int, values: dict[str, float]) -> None:
        with self.path.open("a") as file:
            file.write(figures_text({"step": step, **values}) + "\n")


def main(folder: Path) -> None:
    """The command line of PACK/run.py."""
    parser = argparse.ArgumentParser(description="Train from this pack.")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument(
        "--minutes", type=number(above=0), help="of training, resumed runs included"
    )
    length.add_argument("--steps", type=whole(1))
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--batch", type=whole(1), help="images a step (default: the recipe's)")
    parser.add_argument(
        "--rate", type=number(above=0), default=1.0, help="factor on the learning rates"
    )
    parser.add_argument("--ema", type=fraction, help="decay of the averaged weights")
    parser.add_argument(
        "--processes", type=whole(1, 1024), default=1, help="that share batch and GPU"
    )
    parser.add_argument(
        "--workers", type=whole(0, 1024), default=12, help="processes that make batches"
    )
    parser.add_argument(
        "--match-workers", type=whole(0, 1024), default=0, help="processes that match"
    )
    parser.add_argument("--save-minutes", type=number(above=0), default=5.0)
    parser.add_argument("--device")
    args, pack = parser.parse_args(), read_pack(folder)
    run_processes(args.processes, functools.partial(run, pack, args))
    print(f"weights in {args.out}")
