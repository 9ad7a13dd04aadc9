"""Training samples a second, on made-up data: the tabletop recipe and the paper's."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from find_core.encoders import LanguageConfig, build_vision
from tests.training.worlds import write_world
from training.cache import CacheJob, fill, open_writer
from training.config import BankConfig, TrainConfig, changed
from training.data.batches import Batches
from training.data.formats import tabletop
from training.data.sources import open_sources
from training.engine.build import build_module
from training.engine.trainer import Trainer
from training.recipes import recipe

SCENES = 8
STEPS = 20


def configs(dry: bool) -> dict[str, TrainConfig]:
    """Recipes with encoders that need no weights; sizes of the interface are the recipes' own."""
    words = {"model.language": LanguageConfig("tiny_text", {"width": 384})}
    if dry:
        return {"tiny": changed(recipe("tiny"), {"data.batch.size": 2})}
    llama = {"model.language": LanguageConfig("tiny_text", {"width": 4096})}
    paper = {"data.batch.size": 8, "data.batch.real": 0, **llama}
    return {
        "find_tabletop": changed(recipe("find_tabletop"), words),
        "find_focalt_coco640": changed(
            recipe("find_focalt_coco640"), {**paper, "bank": BankConfig(max_names=16)}
        ),
    }


def measure_training(device: str, dry: bool, until: float) -> dict[str, Any]:
    """Samples a second of each recipe; `device` is where accelerate puts it, and is checked."""
    if device == "cuda":
        os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"  # one for both: it is the process's
    figures: dict[str, Any] = {}
    chosen = configs(dry)
    for n, (name, config) in enumerate(chosen.items()):
        share = (until - time.monotonic()) / (len(chosen) - n)
        try:
            with tempfile.TemporaryDirectory() as folder:
                end = time.monotonic() + share
                figures[name] = measure(config, Path(folder), device, end, 1 if dry else STEPS)
        except Exception as error:  # of one recipe
            figures[name] = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
    failed = [f"{name}: {r['error']}" for name, r in figures.items() if "error" in r]
    return figures | ({"error": "; ".join(failed)} if failed else {})


def measure(
    config: TrainConfig, folder: Path, device: str, until: float, steps: int
) -> dict[str, Any]:
    world = write_world(folder / "world", count=SCENES)
    store = folder / "store"
    config = changed(config, {"data.tabletop": str(world), "data.store": str(store)})
    encoder: Any = build_vision(config.model.vision)
    writer = open_writer(str(store), "a", encoder, config.model.vision, config.data.view)
    records = [tabletop.record_of(s) for s in tabletop.read_split(world, "train")]
    fill(writer, encoder, config.model.vision, CacheJob(records, [0], config.data.view))
    writer.close()
    sources = open_sources(config.data)
    module = build_module(config, sources.knowledge, sources.names, sources.store.shape.channels)
    batches = Batches(
        sources.records, sources.store, sources.knowledge, config.data.batch, config.seed
    )
    trainer = Trainer(config, folder / "run", module, batches, [], lambda line: None)
    if module.model.device.type != device:
        raise RuntimeError(f"accelerate chose {module.model.device.type}, not {device}")
    batches.refresh()
    spent = []
    for step in range(steps + 1):
        begun = time.perf_counter()
        result = trainer.train_step(step)
        if device == "cuda":
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - begun)
        if time.monotonic() > until and step >= 2:
            break
    seconds = sum(spent[1:]) / len(spent[1:])
    figures = {
        "batch": config.data.batch.size,
        "precision": trainer.accelerator.mixed_precision,
        "seconds_a_step": round(seconds, 4),
        "samples_a_second": round(config.data.batch.size / seconds, 2),
        "steps": len(spent) - 1,
        "last_loss": result["loss"],
    }
    if device == "cuda":
        figures["memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
    return figures
