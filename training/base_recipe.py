"""`find_base`: the packaged default from nothing, in one recipe.

Rendered scenes and photographs share every batch from the first step. The curriculum is two stages:
objects and words, then places, look-alikes and falling rates. `python -m training.make_default` runs
all of it. docs/training.md has the table of what each set teaches and the plan by the clock.
"""

from __future__ import annotations

from typing import Any

from find_core.encoders import LanguageConfig, VisionConfig
from find_core.model.config import FindConfig
from training.config import (
    BankConfig,
    DataConfig,
    LossConfig,
    OptimConfig,
    TaskWeights,
    TrainConfig,
    changed,
)
from training.data.augment import ViewConfig
from training.data.batches import BatchConfig
from training.data.queries.config import QueryConfig
from training.engine.stages import DataPart, Recipe, Stage
from training.losses.mask_criterion import MaskLossConfig
from training.losses.matcher import MatchCosts

SCENES, COMPOSITES, REFERENCES = 3200, 1600, 2000
PLAIN_SCENES = 2000
"""Scenes as the validation draws them; those after them have cameras and lamps of a wider range."""


def find_base() -> Recipe:
    """The packaged default, `find-base`: rendered tabletops and photographs, on two CPU cores or a GPU."""
    first = TrainConfig(
        name="find-base",
        model=FindConfig(
            name="find-base", hidden_dim=128, mask_dim=64, stride4_dim=64, num_heads=4, ffn_dim=384,
            num_queries=30, num_layers=6, encoder_layers=1, norm_groups=16, num_memories=4,
            max_spatial_points=64, mask_coordinates=True, level_coordinates=True,
            selection="score", single_things=True, relevance_scale=15.0, relevance_bias=0.6,
            vision=VisionConfig(short_side_px=352, max_side_px=480),
        ),
        losses=LossConfig(
            masks=MaskLossConfig(
                num_points=0, aux_weight=0.5, aux_every=2, costs=MatchCosts(2.0, 5.0, 5.0)
            ),
            panoptic=TaskWeights(1.0, 5.0, 6.0), interactive=TaskWeights(0.6, 2.5, 3.5),
            grounding=TaskWeights(0.5, 2.5, 3.5), interleave=TaskWeights(0.5, 3.0, 4.0),
            interleave_semantic=1.0, interleave_itc=0.4, retrieval=0.6, retrieval_tokens=0.0,
            referring=1.0, class_text=1.0, grounding_chance=0.4, interactive_chance=0.5, refine=0.1,
            objects_first=700, instances=2.0, phrases=1.0, relevance=1.0, alignment=0.5,
        ),
        bank=BankConfig(max_names=160, fresh=16, fresh_present=True, max_age=300),
        optim=OptimConfig(
            lr=6e-4, muon=1e-3, clip=1.0, warmup=100, schedule="linear", decay_from=1.0, steps=2600,
            ema=0.998,
        ),
        data=DataConfig(
            composites=COMPOSITES, references=REFERENCES,
            view=ViewConfig(height=352, width=480),
            batch=BatchConfig(
                size=9, partners=1, real=6, photo_partners=1, photo_balance=0.6, references=3,
                photo_dropout=0.5, photo_mix=0.4, asks=QueryConfig(visual=0.6, alone=0.5),
            ),
        ),
        frozen=(), logit_scale=3.0, precision="bf16",
    )  # fmt: skip
    parts = (
        DataPart("rendered", (0, SCENES), variants=1, first_variant=1, min_crop=0.75),
        DataPart("photographs", variants=3, min_crop=0.45),
        DataPart("composites", variants=1, first_variant=1, min_crop=0.7, count=COMPOSITES),
        DataPart("references", variants=1, first_variant=1, min_crop=0.8, count=REFERENCES),
    )
    stages = (
        Stage("Objects alone for the first steps, then every task.", {}, parts, processes=2),
        Stage("Places, look-alikes, relations that do not hold; rates fall.", {
            "losses.objects_first": 0, "losses.grounding_chance": 0.3,
            "losses.interactive_chance": 0.45, "losses.phrases_placed": 3,
            "optim.lr": 4e-4, "optim.muon": 6e-4, "optim.decay_from": 0.25, "optim.steps": 4400,
            "data.batch.lookalikes": 1, "data.batch.asks.alike": 0.7,
            "data.batch.asks.alike_phrases": 3, "data.batch.asks.untrue": 0.3, "seed": 1,
        }, parts, processes=2),
    )  # fmt: skip
    export = {"model.vision.short_side_px": 416, "model.vision.max_side_px": 568}
    return Recipe("find_base", first, stages, export)


TINY: dict[str, Any] = {
    "model.hidden_dim": 32, "model.mask_dim": 16, "model.stride4_dim": 16, "model.num_heads": 2,
    "model.ffn_dim": 64, "model.num_queries": 10, "model.num_layers": 3, "model.norm_groups": 4,
    "model.max_spatial_points": 24,
    "model.vision": VisionConfig(name="tiny_conv", short_side_px=64, max_side_px=96),
    "model.language": LanguageConfig(name="tiny_text"),
    "losses.objects_first": 0, "optim.ema": 0.0, "data.view.height": 64, "data.view.width": 96,
    "log_every": 1,
}  # fmt: skip
"""A model of milliseconds a step on tiny random encoders."""


def tiny_base() -> Recipe:
    """`find_base` in miniature: the same stages and kinds of data, for dry runs."""
    base = find_base()
    first = changed(base.first, {
        **TINY, "name": "find-tiny-base", "model.name": "find-tiny-base", "optim.steps": 2,
        "data.composites": 4, "data.references": 8, "data.batch.size": 4, "data.batch.real": 2,
        "data.batch.partners": 1, "data.batch.references": 2, "save_every": 2,
    })  # fmt: skip
    parts = (
        DataPart("rendered", (0, 8)),
        DataPart("photographs"),
        DataPart("composites", count=4),
        DataPart("references", count=8),
    )
    stages = tuple(
        Stage(s.purpose, {**s.changes, **({"optim.steps": 2} if s.changes else {})}, parts)
        for s in base.stages
    )
    return Recipe("tiny_base", first, stages)
