"""The trainer: it learns, and a killed run goes on as if nothing had happened."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from find_core.model.find import FindModel
from training.config import OptimConfig, RecipeError, TrainConfig, from_dict, override
from training.data.batches import Batches
from training.data.sources import open_sources
from training.engine.build import build_module, start_from
from training.engine.curves import read_metrics, smooth
from training.engine.optim import build_optimizers, learning_rate, parameter_groups, set_rates
from training.engine.trainer import Trainer
from training.engine.validate import auc, validate
from training.recipes import RECIPES, recipe


def trainer(config: TrainConfig, folder: Path) -> Trainer:
    sources = open_sources(config.data)
    module = build_module(config, sources.knowledge, sources.names, sources.store.shape.channels)
    batches = Batches(
        sources.records, sources.store, sources.knowledge, config.data.batch, config.seed
    )
    return Trainer(config, folder, module, batches, [], report=lambda line: None)


def test_overfitting_the_miniature_world(config: TrainConfig, tmp_path: Path) -> None:
    """The short form of the learning test: words, references and strokes find their masks."""
    run = trainer(override(config, ["optim.steps=60", "save_every=60", "log_every=5"]), tmp_path)
    before = validate(run.state.module, [run.batches.batch(10_000)])
    run.run()
    after = validate(run.state.module, [run.batches.batch(10_000), run.batches.batch(10_001)])
    metrics = read_metrics(tmp_path / "metrics.jsonl")
    assert metrics[-1]["loss"] < 0.7 * metrics[0]["loss"]
    assert after["val_oracle_miou"] > before["val_oracle_miou"] + 0.3, (before, after)
    assert after["val_text_miou"] > before["val_text_miou"] + 0.2, (before, after)
    assert (tmp_path / "curves.png").stat().st_size > 1000


@pytest.mark.parametrize("muon", [0.0, 1e-3])
def test_resumed_run_has_the_same_losses(config: TrainConfig, tmp_path: Path, muon: float) -> None:
    config = override(
        config, ["optim.steps=4", "save_every=2", "optim.ema=0.9", f"optim.muon={muon}"]
    )
    whole = trainer(config, tmp_path / "whole")
    whole.run()
    first = trainer(config, tmp_path / "parts")
    first.run(until=2)
    second = trainer(config, tmp_path / "parts")
    assert second.state.step == 2
    second.run()
    curves = [read_metrics(tmp_path / d / "metrics.jsonl") for d in ("whole", "parts")]
    losses = [[m["loss"] for m in c] for c in curves]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for a, b in zip(*(t.state.average.values.values() for t in (whole, second)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_kill_9_loses_nothing_before_the_checkpoint(config: TrainConfig, tmp_path: Path) -> None:
    settings = [f"data.tabletop={config.data.tabletop}", f"data.store={config.data.store}",
                "optim.steps=4", "save_every=2", "data.batch.size=4"]  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "training.train",
        "--recipe",
        "tiny",
        "--set",
        *settings,
        "--out",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    killed = tmp_path / "killed"
    process = subprocess.Popen([*command, str(killed)], cwd=root, env=environment,
                               stdout=subprocess.DEVNULL)  # fmt: skip
    deadline = time.monotonic() + 300
    while not (killed / "state.pt").is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert (killed / "state.pt").is_file()
    subprocess.run([*command, str(killed)], cwd=root, env=environment, check=True, timeout=300,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    straight = trainer(override(config, ["optim.steps=4", "save_every=2"]), tmp_path / "straight")
    straight.run()
    curves = [read_metrics(d / "metrics.jsonl") for d in (killed, tmp_path / "straight")]
    assert [m["step"] for m in curves[0]] == list(range(4))
    assert [m["loss"] for m in curves[0]] == pytest.approx([m["loss"] for m in curves[1]], rel=1e-3)


@pytest.mark.parametrize("name", sorted(RECIPES))
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
    assert (losses.masks.num_points, losses.masks.oversample, losses.masks.importance) == (
        12544,
        3.0,
        0.75,
    )
    assert dataclasses.astuple(losses.masks.costs) == (2.0, 5.0, 5.0)
    assert losses.masks.no_object == 0.1 and losses.presence == 0.0 and losses.alignment == 0.0
    assert (optim.lr, optim.weight_decay, optim.clip) == (1e-4, 0.05, 0.01)
    assert config.frozen == ("pixel_decoder.",) and config.logit_scale == 1.0


@pytest.mark.parametrize(
    ("assignment", "word"),
    [("optim.lr", "KEY=VALUE"), ("optim.speed=1", "speed"), ("optim.lr=fast", "float"),
     ("optim.steps=1.5", "int"), ("name.x=1", "parts")],
)  # fmt: skip
def test_bad_overrides_say_what_is_wrong(assignment: str, word: str) -> None:
    with pytest.raises(RecipeError, match=word):
        override(recipe("tiny"), [assignment])


def test_override_reaches_nested_settings() -> None:
    changed = override(
        recipe("tiny"), ["losses.panoptic.ce=1", "data.batch.size=4", "precision=bf16"]
    )
    assert (changed.losses.panoptic.ce, changed.data.batch.size, changed.precision) == (
        1.0,
        4,
        "bf16",
    )


def test_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="find_tabletop"):
        recipe("find_table")


def test_learning_rates() -> None:
    paper = recipe("find_focalt_coco640").optim
    steps = paper.steps
    assert learning_rate(0, paper) == 1.0 and learning_rate(
        int(0.9 * steps), paper
    ) == pytest.approx(0.1)
    assert learning_rate(steps - 1, paper) == pytest.approx(0.01)
    ours = recipe("find_tabletop").optim
    assert learning_rate(0, ours) == pytest.approx(1 / ours.warmup)
    assert learning_rate(ours.steps // 2, ours) == 1.0
    assert learning_rate(ours.steps - 1, ours) == pytest.approx(0.02)


def test_norms_biases_and_embeddings_are_not_decayed() -> None:
    module = torch.nn.ModuleList(
        [torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.Embedding(2, 4)]
    )
    decayed, plain = parameter_groups(module, 0.05)
    assert [p.shape for p in decayed["params"]] == [(4, 3)] and decayed["weight_decay"] == 0.05
    assert len(plain["params"]) == 4 and plain["weight_decay"] == 0.0


def test_muon_has_the_interface_s_matrices_and_adamw_the_rest(config: TrainConfig) -> None:
    channels, width = (8, 16, 24, 32), 48
    model = FindModel(config.model, channels, width)
    adam, muon = build_optimizers(model, dataclasses.replace(config.optim, lr=3e-3, muon=1e-3))
    of_muon = {id(p) for g in muon.param_groups for p in g["params"]}
    of_adam = {id(p) for g in adam.param_groups for p in g["params"]}
    assert not of_muon & of_adam and of_muon | of_adam == {id(p) for p in model.parameters()}
    assert id(model.interface.layers[0].ffn.linear1.weight) in of_muon
    for other in (model.lang_proj.weight, model.level_embed.weight, model.heads.logit_scale):
        assert id(other) in of_adam
    set_rates([adam, muon], 0, OptimConfig(lr=3e-3, muon=1e-3, warmup=10, schedule="linear"))
    assert [o.param_groups[0]["lr"] for o in (adam, muon)] == pytest.approx([3e-4, 1e-4])


def test_parts_that_start_at_zero_may_be_missing_from_the_start(config: TrainConfig) -> None:
    """A model without `level_coordinates` goes on as the same function; nothing else may lack."""
    channels, width = (8, 16, 24, 32), 48
    torch.manual_seed(1)
    old = FindModel(config.model, channels, width).state_dict()
    placed = FindModel(dataclasses.replace(config.model, level_coordinates=True), channels, width)
    start_from(placed, old)
    assert all(torch.equal(placed.state_dict()[n], v) for n, v in old.items())
    assert not placed.pixel_decoder.level_coordinates[0].weight.any()
    del old["lang_proj.weight"]
    with pytest.raises(RuntimeError, match=r"lang_proj\.weight"):
        start_from(placed, old)


def test_auc_and_smoothing_by_hand() -> None:
    import numpy as np

    assert auc(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert smooth(np.array([1.0, 3.0, 5.0]), 2).tolist() == [1.0, 2.0, 4.0]
