"""Train FIND.

    python -m training.train --recipe find_tabletop --print
    python -m training.train --recipe find_tabletop --stage 1 --out runs/stage1 \\
        --set data.tabletop=DATA/tabletop data.coco_panoptic=COCO data.store=STORE
    accelerate launch --multi_gpu -m training.train --recipe find_focalt_coco640 --out runs/focalt \\
        --set data.coco_panoptic=COCO data.store=STORE

A run that was interrupted (even by kill -9) goes on where its last checkpoint stands when the same
command is given again; with other settings it is refused, unless by --changed. The folder holds config.json, metrics.jsonl, curves.png, samples.png (answers
to the validation pictures, with --val-store), TensorBoard events, state.pt, best.safetensors and
last.safetensors.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch

from find_core.support.command_line import whole
from find_core.support.json_text import json_text
from training.config import RecipeError, TrainConfig, override
from training.data.batches import Batches
from training.data.sample import Batch
from training.data.sources import Sources, open_sources
from training.engine.build import build_module, initial_vision
from training.engine.command import ends_in_a_sentence
from training.engine.trainer import Trainer
from training.recipes import OLD_NAMES, RECIPES, open_recipe


def main() -> None:
    args = parser().parse_args()
    torch.set_num_threads(args.threads)
    with ends_in_a_sentence("training.train"):
        recipe, stage = open_recipe(args.recipe)
        if args.print == "table":
            print(recipe.table(args.set))
        elif args.print == "json":
            print(json_text(recipe.to_dict(args.set), indent=1))
        else:
            stage = args.stage or stage
            train(override(config_of(recipe.config(stage), args), args.set), stage, args)


def config_of(config: TrainConfig, args: argparse.Namespace) -> TrainConfig:
    """The recipe's config; with --dry-run, in miniature on files below --out."""
    if not args.dry_run or args.out is None:
        return config
    from training.engine.dry_run import in_miniature

    return in_miniature(config, args.out / "dry")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*sorted(RECIPES), *OLD_NAMES]
    parser.add_argument(
        "--recipe", required=True, choices=names, metavar="NAME", help=f"one of {', '.join(names)}"
    )
    parser.add_argument(
        "--stage", type=whole(1), help="which run of a recipe of several (default: 1)"
    )
    parser.add_argument(
        "--print", nargs="?", const="table", choices=("table", "json"),
        help="print every number of all stages, and train nothing",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="folder of the run")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="override settings"
    )
    parser.add_argument("--val-store", default="", help="feature store of pictures to validate on")
    parser.add_argument("--threads", type=whole(1, 1024), default=1, help="CPU threads")
    parser.add_argument(
        "--dry-run", action="store_true",
        help="recipes of hub encoders: small random encoders and a miniature COCO below --out",
    )  # fmt: skip
    parser.add_argument("--until", type=whole(1), help="stop after this step (go on later)")
    parser.add_argument(
        "--changed", action="store_true",
        help="go on with a run that was begun with other settings, which is refused otherwise",
    )  # fmt: skip
    return parser


def train(config: TrainConfig, stage: int, args: argparse.Namespace) -> None:
    """Run one stage of a recipe, or go on with it.

    Raises:
        RecipeError: no folder to write to, or no feature store where one is named.
    """
    if args.out is None or (args.out.exists() and not args.out.is_dir()):
        raise RecipeError("Name a folder for the run: --out runs/NAME.")
    if config.data.store and not (Path(config.data.store) / "layout.json").is_file():
        raise RecipeError(
            f"data.store={config.data.store} is no feature store: fill one with "
            f"python -m training.cache --store {config.data.store}."
        )
    if stage > 1 and not config.init:
        print(f"Stage {stage} is meant to start from the weights of stage {stage - 1}, this run "
              "starts from none: --set init=FOLDER/last.safetensors.")  # fmt: skip
    sources = open_sources(config.data, config.model.vision, encoder=initial_vision(config))
    module = build_module(config, sources.knowledge, sources.names, sources.store.shape.channels)
    batches = Batches(
        sources.records, sources.store, sources.knowledge, config.data.batch, config.seed,
        reload=sources.reload,
    )  # fmt: skip
    val = fixed_batches(config, sources, args.val_store) if args.val_store else []
    size = sum(p.numel() for p in module.model.parameters()) / 1e6
    print(f"{batches.refresh()} pictures, {len(sources.names)} names, {size:.2f} M parameters")
    trainer = Trainer(
        config, args.out, module, batches, val, lambda line: print(line, flush=True), args.changed
    )
    trainer.run(args.until)


def fixed_batches(
    config: TrainConfig, sources: Sources, store: str, count: int = 12
) -> list[Batch]:
    """The same few batches of other pictures, whenever they are asked for."""
    other = sources.validation(store)
    plain = dataclasses.replace(config.data.batch, photo_dropout=0.0, photo_mix=0.0)
    stream = Batches(other.records, other.store, other.knowledge, plain, seed=12345)
    return [stream.batch(n) for n in range(count)]


if __name__ == "__main__":
    main()
