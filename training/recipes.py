"""Recipes: functions that return all numbers of a training in one place.

python -m training.train --recipe find_base --print          # a table
python -m training.train --recipe find_base --print json
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from find_core.encoders import LanguageConfig, VisionConfig
from find_core.model.config import FindConfig
from training.base_recipe import TINY, find_base, tiny_base
from training.config import (
    BankConfig,
    DataConfig,
    LossConfig,
    OptimConfig,
    RecipeError,
    TaskWeights,
    TrainConfig,
    changed,
)
from training.data.augment import ViewConfig
from training.data.batches import BatchConfig
from training.engine.stages import DataPart, Recipe, Stage, single
from training.hub_recipes import COCO_IMAGES, HUB_RECIPES
from training.losses.mask_criterion import MaskLossConfig
from training.losses.matcher import MatchCosts

OFF = TaskWeights(0.0, 0.0, 0.0)


def find_focalt_coco640() -> Recipe:
    """The paper's base model on COCO at 640 px: every published value (docs/spec.md 3).

    Data layout: training/README.md. The class bank follows the paper: one random class a picture.
    """
    batch = 192
    config = TrainConfig(
        name="find-focalt-coco640",
        model=FindConfig(
            name="find-focalt-coco640",
            vision=VisionConfig(
                name="focal_dw", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375),
                short_side_px=640, max_side_px=1024,
            ),
            language=LanguageConfig(
                name="causal_lm", options={"model": "huggyllama/llama-7b", "layer": -12}
            ),
        ),
        losses=LossConfig(),
        bank=BankConfig(),
        optim=OptimConfig(steps=50 * COCO_IMAGES // batch),
        data=DataConfig(
            coco_split="train2017",
            view=ViewConfig(height=640, width=640, min_crop=0.1, photometric=0.0),
            batch=BatchConfig(size=batch, partners=0, real=batch),
        ),
        precision="fp16",
    )  # fmt: skip
    return single(
        config, "find_focalt_coco640", "The paper's training; frozen vision of X-Decoder."
    )


def find_tabletop() -> Recipe:
    """The packaged default: rendered tabletops, then photographs of seven sets, on two CPU cores.

    Six stages of about an hour and a half each; each can be exported and used. Sizes, step counts
    and loss weights were chosen by measurement. With lighter mask terms the cross-entropies'
    gradient in the interface was five times that of the masks, and the layers hardly improved on
    the initial prediction. How the shipped weights came about: the model card.
    """
    first = TrainConfig(
        name="find-tabletop",
        model=FindConfig(
            name="find-tabletop", hidden_dim=128, mask_dim=64, stride4_dim=64, num_heads=4,
            ffn_dim=384, num_queries=30, num_layers=6, encoder_layers=1, norm_groups=16,
            num_memories=4, max_spatial_points=64, mask_coordinates=True, selection="score",
            single_things=True,
        ),
        losses=LossConfig(
            masks=MaskLossConfig(
                num_points=0, aux_weight=0.5, aux_every=2, costs=MatchCosts(2.0, 5.0, 5.0)
            ),
            panoptic=TaskWeights(1.0, 5.0, 6.0),
            interactive=TaskWeights(0.6, 2.5, 3.5),
            grounding=TaskWeights(0.5, 2.5, 3.5),
            interleave=TaskWeights(0.5, 3.0, 4.0),
            interleave_semantic=1.0, interleave_itc=0.4, retrieval=0.6, retrieval_tokens=0.0,
            referring=1.0, class_text=1.0, grounding_chance=0.4, interactive_chance=0.5, refine=0.1,
            objects_first=700, instances=2.0, phrases=1.0, relevance=1.0, alignment=0.5,
        ),
        bank=BankConfig(max_names=96, fresh=12, fresh_present=True, max_age=300),
        optim=OptimConfig(
            lr=8e-4, clip=1.0, warmup=100, schedule="linear", decay_from=0.5, steps=2520, ema=0.998
        ),
        data=DataConfig(batch=BatchConfig(size=8, partners=3, real=1)),
        frozen=(), logit_scale=3.0, precision="bf16",
    )  # fmt: skip
    small = (
        DataPart("rendered", (0, 856), variants=2), DataPart("rendered", (10_000, 13_000), variants=2),
        DataPart("photographs", first_variant=1, variants=8, min_crop=0.55),
    )  # fmt: skip
    large = (
        DataPart("rendered", (20_000, 22_400), variants=2, min_crop=0.75),
        DataPart("photographs", first_variant=1, variants=10, min_crop=0.55),
    )
    more = (
        *large, DataPart("rendered", (22_400, 24_000), variants=2, min_crop=0.75),
        DataPart("photographs", first_variant=11, variants=12, min_crop=0.4),
    )  # fmt: skip
    most = (*more, DataPart("rendered", (24_000, 29_628), variants=1, min_crop=0.75))
    pictured = (  # scenes from 2,000 on are rendered with --wide
        DataPart("rendered", (0, 3200), first_variant=1, min_crop=0.75),
        DataPart("photographs", variants=3, min_crop=0.45),
        DataPart("composites", first_variant=1, min_crop=0.7, count=1600),
        DataPart("references", first_variant=1, min_crop=0.8, count=2000),
    )
    stages = (
        Stage("Objects alone for the first steps, then all tasks.", {}, small, processes=2),
        Stage("All tasks from the start, with Muon and twice the photographs.", {
            "model.relevance_scale": 15.2, "model.relevance_bias": 0.63,
            "losses.objects_first": 0, "losses.grounding_chance": 0.3,
            "losses.interactive_chance": 0.45,
            "optim.lr": 4e-4, "optim.muon": 6e-4, "optim.decay_from": 0.25, "optim.steps": 3200,
            "data.batch.real": 2, "seed": 1,
        }, small, processes=2),
        Stage("Places: larger images, objects of one kind that only their places tell apart.", {
            "model.vision.short_side_px": 352, "model.vision.max_side_px": 480,
            "model.level_coordinates": True,
            "model.relevance_scale": 21.58, "model.relevance_bias": 0.603,
            "optim.decay_from": 0.3, "optim.steps": 2200,
            "data.view.height": 352, "data.view.width": 480,
            "data.batch.asks.alike": 0.8, "data.batch.asks.untrue": 0.3, "seed": 2,
        }, large, processes=2),
        Stage("Language: phrases within sentences and in other words; photographs blanked in part.", {
            "model.relevance_scale": 24.2, "model.relevance_bias": 0.585,
            "losses.phrases_placed": 3, "optim.decay_from": 0.3, "optim.steps": 1850,
            "data.batch.lookalikes": 2, "data.batch.photo_dropout": 0.5,
            "data.batch.asks.alike_phrases": 3, "seed": 3,
        }, more, processes=2),
        Stage("Breadth: 5,600 more scenes, a third of each batch photographs, some of them mixed.", {
            "model.relevance_scale": 26.27, "model.relevance_bias": 0.576,
            "optim.decay_from": 0.2, "optim.steps": 1600,
            "data.batch.size": 9, "data.batch.real": 3, "data.batch.lookalikes": 1,
            "data.batch.photo_mix": 0.5, "data.batch.photo_dropout": 0.6,
            "data.batch.asks.alike": 0.7, "data.batch.asks.visual": 0.75, "seed": 4,
        }, most, processes=2),
        Stage("Photographs of seven sets in two thirds of each batch; pictures of the thing alone.", {
            "model.relevance_scale": 15.0, "model.relevance_bias": 0.6,
            "bank.max_names": 160, "bank.fresh": 16,
            "optim.warmup": 40, "optim.decay_from": 0.25, "optim.steps": 1250, "optim.ema": 0.995,
            "data.composites": 1600, "data.references": 2000,
            "data.batch.partners": 1, "data.batch.real": 6, "data.batch.photo_partners": 1,
            "data.batch.photo_balance": 0.6, "data.batch.photo_mix": 0.4,
            "data.batch.photo_dropout": 0.5, "data.batch.references": 3,
            "data.batch.asks.visual": 0.6, "data.batch.asks.alone": 0.5, "seed": 1,
        }, pictured, processes=2),
        Stage("The same with one more rendered scene a batch, rates falling for longer.", {
            "optim.warmup": 60, "optim.decay_from": 0.4, "optim.steps": 950, "optim.ema": 0.998,
            "data.batch.real": 5, "seed": 9,
        }, pictured),
        Stage("The same for longer, from what it had learnt alone.", {
            "optim.warmup": 60, "optim.decay_from": 0.45, "optim.steps": 1080, "optim.ema": 0.998,
            "data.batch.real": 5, "seed": 11,
        }, pictured),
    )  # fmt: skip
    export = {"model.vision.short_side_px": 416, "model.vision.max_side_px": 568}
    return Recipe("find_tabletop", first, stages, export)


def tiny() -> Recipe:
    """Milliseconds a step on tiny random encoders: for tests and dry runs."""
    config = changed(find_tabletop().config(), {
        **TINY, "name": "find-tiny", "model.name": "find-tiny", "optim.lr": 2e-3,
        "optim.warmup": 10, "optim.steps": 60, "save_every": 20,
    })  # fmt: skip
    return single(config, "tiny", "A dry run.")


WITHOUT: dict[str, dict[str, Any]] = {
    "retrieval": {"losses.retrieval": 0.0, "losses.retrieval_tokens": 0.0},
    "grounding": {"losses.grounding": OFF},
    "interactive": {"losses.interactive": OFF},
    "interleave": {"losses.interleave": OFF, "losses.interleave_itc": 0.0},
}
"""What leaves a task out of a training."""
LAYERS = (-1, -6, -12, -18, -24, -30)
"""Hidden layers of the language model that the paper compares."""


def without(task: str) -> Callable[[], Recipe]:
    """Table 5 of the paper: the base recipe less one task."""

    def build() -> Recipe:
        base = find_focalt_coco640().config()
        config = changed(base, {**WITHOUT[task], "name": f"{base.name}-no-{task}"})
        return single(config, f"ablate_no_{task}", f"The paper's training without {task}.")

    build.__doc__ = f"Ablation: find_focalt_coco640 without {task}."
    return build


def language_layer(layer: int) -> Callable[[], Recipe]:
    """Table 5 of the paper: which hidden layer of the language model is read."""

    def build() -> Recipe:
        base = find_focalt_coco640().config()
        options = {**base.model.language.options, "layer": layer}
        config = changed(
            base, {"model.language.options": options, "name": f"{base.name}-layer{layer}"}
        )
        purpose = f"The paper's training, reading layer {layer} of the language model."
        return single(config, f"ablate_layer_{layer}", purpose)

    build.__doc__ = f"Ablation: find_focalt_coco640 reading language layer {layer}."
    return build


RECIPES: dict[str, Callable[[], Recipe]] = {
    "find_focalt_coco640": find_focalt_coco640,
    "find_base": find_base,
    **HUB_RECIPES,
    "find_tabletop": find_tabletop,
    "tiny": tiny,
    "tiny_base": tiny_base,
    **{f"ablate_no_{t}": without(t) for t in WITHOUT},
    **{f"ablate_layer_{-n}": language_layer(-n) for n in map(abs, LAYERS)},
}

OLD_NAMES: dict[str, tuple[str, int]] = {
    "find_tabletop_further": ("find_tabletop", 2),
    "find_tabletop_placed": ("find_tabletop", 3),
    "find_tabletop_spoken": ("find_tabletop", 4),
    "find_tabletop_mixed": ("find_tabletop", 5),
}
"""Stages that were recipes of their own: the model card names them."""


def open_recipe(name: str) -> tuple[Recipe, int]:
    """The recipe of that name, and the stage that the name stands for (1 but for old names).

    Raises:
        RecipeError: there is none.
    """
    name, stage = OLD_NAMES.get(name, (name, 1))
    if name not in RECIPES:
        raise RecipeError(f"No recipe {name!r}: choose one of {', '.join(RECIPES)}.")
    return RECIPES[name](), stage


def recipe(name: str, stage: int | None = None) -> TrainConfig:
    """All numbers of one stage of the recipe of that name (the first, if none is given).

    Raises:
        RecipeError: there is no such recipe or stage.
    """
    found, default = open_recipe(name)
    return found.config(stage or default)
