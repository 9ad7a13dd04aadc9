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
from collections.abc import Sequence
from pathlib import Path

import torch

from find_core.command_line import Parser, run_command, whole
from training.config import TrainConfig, override
from training.data.batches import Batches
from training.data.sample import Batch
from training.data.sources import Sources, open_sources
from training.engine.build import build_module, initial_vision
from training.engine.trainer import Trainer
from training.recipes import RECIPES, recipe


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", required=True, choices=sorted(RECIPES))
    parser.add_argument("--out", required=True, type=Path, help="folder of the run")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="override settings"
    )
    parser.add_argument("--val-store", default="", help="feature store of pictures to validate on")
    parser.add_argument("--threads", type=whole(1), default=1, help="CPU threads")
    parser.add_argument("--until", type=whole(1), help="stop after this step (go on later)")
    return run_command("training.train", parser, argv, _run)


def _run(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    config = override(recipe(args.recipe), args.set)
    sources = open_sources(config.data, config.model.vision, encoder=initial_vision(config))
    module = build_module(config, sources.knowledge, sources.names, sources.store.shape.channels)
    batches = Batches(
        sources.records, sources.store, sources.knowledge, config.data.batch, config.seed,
        reload=sources.reload,
    )  # fmt: skip
    val = fixed_batches(config, sources, args.val_store) if args.val_store else []
    size = sum(p.numel() for p in module.model.parameters()) / 1e6
    print(f"{batches.refresh()} pictures, {len(sources.names)} names, {size:.2f} M parameters")
    Trainer(config, args.out, module, batches, val, lambda line: print(line, flush=True)).run(
        args.until
    )


def fixed_batches(
    config: TrainConfig, sources: Sources, store: str, count: int = 12
) -> list[Batch]:
    """The same few batches of other pictures, whenever they are asked for."""
    other = sources.validation(store)
    plain = dataclasses.replace(config.data.batch, photo_dropout=0.0, photo_mix=0.0)
    stream = Batches(other.records, other.store, other.knowledge, plain, seed=12345)
    return [stream.batch(n) for n in range(count)]


if __name__ == "__main__":
    sys.exit(main())
