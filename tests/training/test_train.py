"""The trainer: it learns, and a killed run goes on as if nothing had happened."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from find_core.errors import CheckpointError, FindError
from find_core.model.find import FindModel
from training.config import OptimConfig, RecipeError, TrainConfig, override
from training.data.batches import Batches
from training.data.sources import open_sources
from training.engine.build import build_module, start_from
from training.engine.checkpoints import save_state
from training.engine.curves import read_metrics, smooth
from training.engine.optim import build_optimizers, learning_rate, parameter_groups, set_rates
from training.engine.trainer import Trainer
from training.engine.validate import auc, validate
from training.recipes import recipe


def trainer(
    config: TrainConfig, folder: Path, report: Callable[[str], None] = lambda line: None,
    changed: bool = False,
) -> Trainer:  # fmt: skip
    sources = open_sources(config.data)
    module = build_module(config, sources.knowledge, sources.names, sources.store.shape.channels)
    batches = Batches(
        sources.records, sources.store, sources.knowledge, config.data.batch, config.seed
    )
    return Trainer(config, folder, module, batches, [], report=report, changed=changed)


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


def test_processes_that_would_each_train_alone_are_refused(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")  # and nothing else of what torchrun sets
    with pytest.raises(RecipeError, match="2 processes were started, and each would train alone"):
        trainer(config, tmp_path / "run")


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


def test_a_validation_that_fails_costs_no_step(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(override(config, ["optim.steps=2", "save_every=2"]), tmp_path)
    run.val = [run.batches.batch(10_000)]

    def fails(*_: object) -> None:
        raise RuntimeError("no memory for pictures")

    monkeypatch.setattr("training.engine.trainer.validate", fails)
    with pytest.raises(RuntimeError, match="no memory"):
        run.run()
    assert trainer(config, tmp_path, changed=True).state.step == 2


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "keys"])
def test_a_damaged_state_is_a_sentence(config: TrainConfig, tmp_path: Path, damage: str) -> None:
    first = trainer(override(config, ["optim.steps=2", "save_every=2"]), tmp_path)
    first.run()
    path = tmp_path / "state.pt"
    whole = path.read_bytes()
    damaged = {"cut": whole[: len(whole) // 2], "empty": b"", "other": b"a letter to the editor"}
    if damage == "keys":
        torch.save({"step": 2}, path)
    else:
        path.write_bytes(damaged[damage])
    with pytest.raises(RecipeError, match=r"state\.pt is damaged .*delete it") as caught:
        trainer(config, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "says"),
    [("optim.lr=0.01", "optim.lr=0.002, now 0.01"), ("data.batch.size=2", "data.batch.size=4, now 2")],
)  # fmt: skip
def test_a_run_goes_on_with_other_settings_only_when_told(
    config: TrainConfig, tmp_path: Path, setting: str, says: str
) -> None:
    config = override(config, ["optim.steps=1", "save_every=1"])
    trainer(config, tmp_path).run()
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    again = override(config, [setting])
    with pytest.raises(RecipeError, match=f"begun with {says}.*--changed"):
        trainer(again, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before
    said: list[str] = []
    trainer(again, tmp_path, said.append, changed=True)
    assert said == [f"{tmp_path} was begun with {says}."]
    said.clear()
    trainer(again, tmp_path, said.append)  # from now on they are its settings
    assert said == []


def test_settings_that_teach_nothing_else_may_change(config: TrainConfig, tmp_path: Path) -> None:
    config = override(config, ["optim.steps=2", "save_every=1"])
    trainer(config, tmp_path).run(until=1)
    said: list[str] = []
    run = trainer(override(config, ["save_every=2", "log_every=2"]), tmp_path, said.append)
    assert run.state.step == 1 and said == []


def test_a_step_that_is_not_finite_leaves_json(config: TrainConfig, tmp_path: Path) -> None:
    run = trainer(override(config, ["optim.steps=1", "save_every=1"]), tmp_path)
    run.log.write(0, {"loss": float("nan"), "grad_norm": float("inf"), "lr": 1.0})
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line, parse_constant=pytest.fail) == {
        "step": 0,
        "loss": None,
        "grad_norm": None,
        "lr": 1.0,
    }
    run.run()  # curves are drawn of what is there
    assert (tmp_path / "curves.png").is_file()


def test_a_run_begun_under_the_old_name_of_relevance_goes_on(
    config: TrainConfig, tmp_path: Path
) -> None:
    first = trainer(override(config, ["optim.steps=1", "save_every=1", "optim.ema=0.9"]), tmp_path)
    first.run()
    path = tmp_path / "state.pt"
    payload = torch.load(path, weights_only=True)
    for part in ("module", "average"):
        payload[part] = {
            n.replace("relevance.", "presence."): v + 1 if n.startswith("relevance.") else v
            for n, v in payload[part].items()
        }
    torch.save(payload, path)
    second = trainer(override(config, ["optim.steps=1", "save_every=1", "optim.ema=0.9"]), tmp_path)
    bias = first.state.module.relevance.bias + 1
    assert torch.equal(second.state.module.relevance.bias, bias)
    assert "relevance.bias" in second.state.average.values


def test_a_run_of_another_model_is_not_gone_on_with(config: TrainConfig, tmp_path: Path) -> None:
    trainer(override(config, ["optim.steps=1", "save_every=1"]), tmp_path).run()
    with pytest.raises(RecipeError, match=r"model\.hidden_dim=32, now 64"):
        trainer(override(config, ["model.hidden_dim=64"]), tmp_path)


def test_damaged_weights_and_metrics_are_sentences(config: TrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "start.safetensors"
    path.write_bytes(b"not one")
    with pytest.raises(CheckpointError, match="safetensors"):
        trainer(override(config, [f"init={path}"]), tmp_path / "run")
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1, "loss": 2.0}\n\xff\n')
    with pytest.raises(RecipeError, match=r"metrics\.jsonl is damaged"):
        read_metrics(tmp_path / "metrics.jsonl")


def test_a_full_disk_is_a_sentence(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(override(config, ["optim.steps=1", "save_every=1"]), tmp_path)
    run.run()
    whole = (tmp_path / "state.pt").read_bytes()

    def full(payload: object, file: Path) -> None:
        Path(file).write_bytes(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(FindError, match="check the disk"):
        save_state(tmp_path, run.state)
    assert (tmp_path / "state.pt").read_bytes() == whole


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["training.train", "--recipe", "tiny"], "--out"),
     (["training.train", "--recipe", "tiny", "--out", "{file}"], "folder"),
     (["training.train", "--recipe", "tiny", "--out", "{new}", "--set", "data.store={gone}"],
      "training.cache"),
     (["training.cache", "--tabletop", "{gone}", "--store", "{new}"], "scenes"),
     (["training.cache", "--store", "{new}"], "--tabletop"),
     (["training.cache", "--tabletop", "{gone}", "--store", "{new}", "--shard", "one"], "i/n"),
     (["training.export", "--run", "{gone}", "--out", "{new}"], "no training run")],
)  # fmt: skip
def test_commands_end_in_a_sentence(arguments: list[str], word: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    names = {name: tmp_path / name for name in ("file", "gone", "new")}
    command = [sys.executable, "-m", *(a.format(**names) for a in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and word in done.stderr
    assert "Traceback" not in done.stderr


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
