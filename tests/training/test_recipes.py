"""Recipes and their numbers: whole trainings as data, overrides, and what a run refuses."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from training.config import RecipeError, TrainConfig, changed, flat, from_dict, override
from training.recipes import OLD_NAMES, RECIPES, find_tabletop, open_recipe, recipe


@pytest.mark.parametrize("name", [*sorted(RECIPES), *OLD_NAMES])
def test_recipes_survive_json(name: str) -> None:
    config = recipe(name)
    assert from_dict(TrainConfig, json.loads(json.dumps(config.to_dict()))) == config


def test_default_recipe_has_the_published_values() -> None:
    config = recipe("find_focalt_coco640")
    losses, optim = config.losses, config.optim
    assert dataclasses.astuple(losses.panoptic) == (2.0, 5.0, 5.0)
    for task in (losses.interactive, losses.grounding, losses.interleave):
        assert dataclasses.astuple(task) == (0.4, 1.0, 1.0)
    assert (losses.retrieval, losses.interleave_itc, losses.retrieval_tokens) == (8.0, 8.0, 0.5)
    masks = losses.masks
    assert (masks.num_points, masks.oversample, masks.importance) == (12544, 3.0, 0.75)
    assert dataclasses.astuple(masks.costs) == (2.0, 5.0, 5.0)
    assert masks.no_object == 0.1 and losses.relevance == 0.0 and losses.alignment == 0.0
    assert (optim.lr, optim.weight_decay, optim.clip) == (1e-4, 0.05, 0.01)
    assert config.frozen == ("pixel_decoder.",) and config.logit_scale == 1.0


STEPS = [2520, 3200, 2200, 1850, 1600, 1250, 950, 1080]


def test_the_stages_of_the_default_are_those_that_the_model_card_names() -> None:
    steps = [config.optim.steps for config in find_tabletop().configs()]
    assert steps == STEPS
    assert [config.seed for config in find_tabletop().configs()] == [0, 1, 2, 3, 4, 1, 9, 11]
    for name, (new, stage) in OLD_NAMES.items():
        assert open_recipe(name)[1] == stage and recipe(name) == recipe(new, stage)
    assert recipe("find_tabletop") == recipe("find_tabletop", 1)


def test_a_stage_keeps_what_it_does_not_change() -> None:
    whole = find_tabletop()
    configs = [flat(config) for config in whole.configs()]
    for before, after, stage in zip(configs, configs[1:], whole.stages[1:]):
        differ = {key for key in after if after[key] != before[key]}
        assert differ <= set(stage.changes), differ


def test_there_is_no_ninth_stage() -> None:
    with pytest.raises(RecipeError, match="1 to 8"):
        recipe("find_tabletop", 9)


@pytest.mark.parametrize("form", ["table", "json"])
def test_every_resolved_number_is_printed(form: str) -> None:
    command = [sys.executable, "-m", "training.train", "--recipe", "find_tabletop", "--print", form]
    done = subprocess.run(
        [*command, "--set", "optim.clip=0.125"], capture_output=True, text=True, check=True
    )
    assert "0.125" in done.stdout
    if form == "json":
        stages = json.loads(done.stdout)["stages"]
        assert [s["config"]["optim"]["steps"] for s in stages] == STEPS
        assert stages[4]["data"][-1]["scenes"] == [24000, 29628]
        configs = [from_dict(TrainConfig, s["config"]) for s in stages]
        assert configs == find_tabletop().configs(["optim.clip=0.125"])
    else:
        assert all(f"  {key} " in done.stdout for key in flat(recipe("find_tabletop")))


@pytest.mark.parametrize(
    ("assignment", "word"),
    [("optim.lr", "KEY=VALUE"), ("optim.speed=1", "speed"), ("optim.lr=fast", "float"),
     ("optim.steps=1.5", "int"), ("name.x=1", "parts"), ("optim.lr=NaN", "finite"),
     ("optim.steps=0", "at least 1"), ("data.batch.size=0", "at least 1"),
     ("precision=half", "bf16"), ("bank.fresh_present=1", "bool"), ("optim.lr=true", "float"),
     ('frozen=["a", 1]', "str"), ("losses.panoptic=3", "JSON object")],
)  # fmt: skip
def test_bad_overrides_say_what_is_wrong(assignment: str, word: str) -> None:
    with pytest.raises(RecipeError, match=word):
        override(recipe("tiny"), [assignment])


def test_override_reaches_nested_settings() -> None:
    config = override(
        recipe("tiny"),
        ["losses.panoptic.ce=1", "data.batch.size=4", "precision=bf16", 'frozen=["lang_proj."]',
         "data.batch.asks.reference_kinds=[[\"box\", 1]]", "bank.fresh_present=False"],
    )  # fmt: skip
    assert (config.losses.panoptic.ce, config.data.batch.size) == (1.0, 4)
    assert (config.precision, config.frozen) == ("bf16", ("lang_proj.",))
    assert config.data.batch.asks.reference_kinds == (("box", 1.0),)
    assert config.bank.fresh_present is False


def test_changes_by_key_are_checked_too() -> None:
    assert changed(recipe("tiny"), {"optim.lr": 1}).optim.lr == 1.0
    with pytest.raises(RecipeError, match=r"optim\.learning"):
        changed(recipe("tiny"), {"optim.learning": 1})


@pytest.mark.parametrize(
    ("data", "word"),
    [({"optim": {"lr": "fast"}, "name": "x"}, r"optim\.lr"), ([], "JSON object"),
     ({"optim": {"rate": 1.0}, "name": "x"}, r"optim\.rate"), ({"seed": None, "name": "x"}, "seed")],
)  # fmt: skip
def test_a_damaged_config_is_named(data: object, word: str) -> None:
    with pytest.raises(RecipeError, match=word):
        from_dict(TrainConfig, data)


def test_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="find_tabletop"):
        recipe("find_table")


def test_the_weight_of_relevance_is_still_read_by_its_old_name() -> None:
    assert override(recipe("tiny"), ["losses.presence=0.25"]).losses.relevance == 0.25
    old = recipe("tiny").to_dict()
    old["losses"]["presence"] = old["losses"].pop("relevance")
    assert from_dict(TrainConfig, old) == recipe("tiny")
