"""The paper's ablations, at any scale: tasks left out, language layers swept, encoders swapped.

    python -m training.ablate --out runs/ablate --steps 300 --axes tasks layers encoders \\
        --set data.tabletop=DATA/tabletop data.photos=PHOTOS data.store=STORE --val-store VAL

Every variant is a training of the same recipe, seed and steps; it differs in what its row says. OUT
gets a folder a variant, ablation.md (a table), ablation.json and curves.png. The same command goes on
where it was stopped: finished variants are not run again, the one under way goes on.

    tasks      the recipe without retrieval, grounding, interactive or interleaved prompts
    layers     --language smollm2 (or causal_lm with --model) read at each of --layers
    encoders   the language encoders of --languages, and the vision encoders of --visions

A store of features serves one vision encoder: with --visions leave data.store empty. Figures are those
of a few fixed validation batches (training/engine/validate.py): compare rows, do not quote them.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from find_core.encoders import LanguageConfig
from find_core.support.command_line import whole
from find_core.support.files import replace_file, write_text
from find_core.support.json_text import figures_text, json_text
from training.config import RecipeError, TrainConfig, changed, override
from training.data.batches import Batches
from training.data.sources import open_sources
from training.engine.build import build_module, initial_vision
from training.engine.command import ends_in_a_sentence
from training.engine.curves import read_metrics, smooth
from training.engine.trainer import Trainer
from training.engine.validate import validate
from training.recipes import LAYERS, RECIPES, WITHOUT, open_recipe
from training.train import fixed_batches

AXES = ("tasks", "layers", "encoders")
WHOLE = "whole"
COLUMNS = ("val_text_miou", "val_visual_miou", "val_stroke_miou", "val_grounding_miou", "val_oracle_miou", "val_presence_auc",
           "val_caption_r1", "val_photo_text_miou", "val_coco_text_miou")  # fmt: skip
"""Figures that come first in the table, where a run has them; others follow."""


@dataclass(frozen=True)
class Variant:
    """One row: what of the recipe it changes, by dotted key."""

    name: str
    axis: str
    changes: Mapping[str, Any]

    @property
    def folder(self) -> str:
        return re.sub(r"[^A-Za-z0-9.-]+", "-", self.name)


def variants(axes: Sequence[str], args: argparse.Namespace) -> list[Variant]:
    """The rows of some axes; the whole recipe comes first.

    Raises:
        RecipeError: an axis without what it compares.
    """
    rows = [Variant(WHOLE, "", {})]
    if "tasks" in axes:
        rows += [Variant(f"no {task}", "tasks", changes) for task, changes in WITHOUT.items()]
    if "layers" in axes:
        options = {"model": args.model} if args.model else {}
        rows += [
            Variant(f"{args.language}, layer {n}", "layers", {
                "model.language": LanguageConfig(args.language, {**options, "layer": n})
            })
            for n in args.layers
        ]  # fmt: skip
    if "encoders" in axes:
        if not args.languages and not args.visions:
            raise RecipeError("The axis encoders compares nothing: give --languages or --visions.")
        rows += [Variant(f"language {n}", "encoders", {"model.language": LanguageConfig(*_named(n))})
                 for n in args.languages]  # fmt: skip
        rows += [Variant(f"vision {n}", "encoders", {"model.vision.name": _named(n)[0], "model.vision.options": _named(n)[1]})
                 for n in args.visions]  # fmt: skip
    return rows


def _named(text: str) -> tuple[str, dict[str, Any]]:
    """ "auto_backbone:facebook/dinov2-small" -> the encoder's name and its options."""
    name, _, model = text.partition(":")
    return name, {"model": model} if model else {}


def run(variant: Variant, config: TrainConfig, args: argparse.Namespace) -> dict[str, Any]:
    """Train the variant, or read what an earlier run found.

    Raises:
        RecipeError: the folder holds another variant.
    """
    config = changed(config, {**variant.changes, "name": f"{config.name}, {variant.name}"})
    folder = args.out / variant.folder
    path = folder / "result.json"
    if path.is_file():
        found = json.loads(path.read_text())
        if found["config"] != json.loads(json_text(config.to_dict())):
            raise RecipeError(f"{folder} holds a run with other settings: give another --out.")
        return found
    sources = open_sources(config.data, config.model.vision, encoder=initial_vision(config))
    module = build_module(config, sources.knowledge, sources.names, sources.store.shape.channels)
    batches = Batches(sources.records, sources.store, sources.knowledge, config.data.batch, config.seed)  # fmt: skip
    batches.refresh()
    val = fixed_batches(config, sources, args.val_store, args.val_batches)
    print(f"{variant.name}: {config.optim.steps} steps", flush=True)
    trainer = Trainer(config, folder, module, batches, val, lambda line: print(line, flush=True))
    trainer.run()
    figures = validate(trainer.state.module, val)
    result = {
        "variant": variant.name, "axis": variant.axis, "steps": config.optim.steps,
        "figures": {k: round(v, 4) for k, v in figures.items() if np.isfinite(v)}, "config": config.to_dict(),
    }  # fmt: skip
    text = figures_text(result, indent=1) + "\n"
    write_text(path, text)
    return json.loads(text)


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: a row a variant; in brackets the difference to the whole recipe."""
    known = {k for r in results for k in r["figures"]}
    columns = [c for c in COLUMNS if c in known] + sorted(known - set(COLUMNS))
    whole = results[0]["figures"]
    lines = ["| variant | " + " | ".join(c.removeprefix("val_") for c in columns) + " |",
             "|---" * (len(columns) + 1) + "|"]  # fmt: skip
    for row in results:
        cells = [_cell(row["figures"], whole, c, row is not results[0]) for c in columns]
        lines.append(f"| {row['variant']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(figures: Mapping[str, float], whole: Mapping[str, float], name: str, compare: bool) -> str:  # fmt: skip
    if figures.get(name) is None:
        return "–"
    difference = (
        f" ({figures[name] - whole[name]:+.3f})" if compare and whole.get(name) is not None else ""
    )
    return f"{figures[name]:.3f}{difference}"


def draw(out: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """curves.png: the training loss of every variant, a panel an axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    axes = [a for a in AXES if any(r["axis"] == a for r in results)] or [""]
    figure, panels = plt.subplots(1, len(axes), figsize=(5 * len(axes), 3.6), squeeze=False)
    for axis, panel in zip(axes, panels[0], strict=True):
        for row in results:
            if row["axis"] in ("", axis):
                metrics = read_metrics(out / row["folder"] / "metrics.jsonl")
                points = [(m["step"], m["loss"]) for m in metrics if m.get("loss") is not None]
                steps, losses = zip(*points, strict=True) if points else ((), ())
                panel.plot(steps, smooth(torch.tensor(losses).numpy()), lw=1.1, label=row["variant"])  # fmt: skip
        panel.set_title(axis or WHOLE, fontsize=9)
        panel.set_xlabel("step")
        panel.set_ylabel("loss (terms differ between tasks)", fontsize=7)
        panel.legend(fontsize=6)
    figure.tight_layout()
    replace_file(out / "curves.png", lambda file: figure.savefig(file, dpi=100))
    plt.close(figure)


def ablate(args: argparse.Namespace) -> list[dict[str, Any]]:
    """All variants; table and curves are written again after each."""
    base = override(open_recipe(args.recipe)[0].config(), args.set)
    if args.steps:
        base = changed(base, {"optim.steps": args.steps})
    if "encoders" in args.axes and args.visions and (base.data.store or args.val_store):
        raise RecipeError(
            "A store holds the features of one vision encoder: with --visions set data.store= and "
            "leave --val-store out, so that images are encoded as they come."
        )
    results: list[dict[str, Any]] = []
    for variant in variants(args.axes, args):
        found = run(variant, base, args)
        kept = {k: found[k] for k in ("variant", "axis", "steps", "figures")}
        results.append({**kept, "folder": variant.folder})
        write_text(args.out / "ablation.json", json_text(results, indent=1) + "\n")
        write_text(args.out / "ablation.md", table(results))
        draw(args.out, results)
    return results


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--recipe", default="find_base", choices=sorted(RECIPES), metavar="NAME")
    top.add_argument("--out", type=Path, required=True, help="folder of the runs and the table")
    top.add_argument("--axes", nargs="+", choices=AXES, default=["tasks"])
    top.add_argument("--steps", type=whole(1), help="of every variant, instead of the recipe's")
    top.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="override settings")
    top.add_argument("--val-store", default="", help="feature store of pictures to validate on")
    top.add_argument("--val-batches", type=whole(1), default=12)
    top.add_argument("--language", default="smollm2", help="layers: smollm2 or causal_lm")
    top.add_argument("--model", default="", help="layers: folder or hub name of a causal_lm")
    top.add_argument("--layers", type=whole(-1000, 1000), nargs="*", default=list(LAYERS))
    top.add_argument(
        "--languages", nargs="*", default=["minilm", "smollm2"], metavar="NAME[:MODEL]"
    )
    top.add_argument("--visions", nargs="*", default=[], metavar="NAME[:MODEL]")
    top.add_argument("--threads", type=whole(1, 1024), default=1)
    return top


def main() -> None:
    args = parser().parse_args()
    torch.set_num_threads(args.threads)
    with ends_in_a_sentence("training.ablate"):
        print(table(ablate(args)))


if __name__ == "__main__":
    main()
