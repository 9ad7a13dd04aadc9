"""Training given what is damaged, differs or is not there: one sentence, and nothing lost."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from find_core.errors import CheckpointError
from tests.training.test_train import trainer
from training import cache, evaluate, export, teach, train, xdecoder
from training.config import RecipeError, TrainConfig, override
from training.engine.checkpoints import STATE, load_weights


@pytest.fixture(scope="module")
def begun(
    config: TrainConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainConfig, Path]:
    """A run of two steps of four."""
    folder = tmp_path_factory.mktemp("run")
    config = override(config, ["optim.steps=4", "save_every=1", "optim.ema=0.9"])
    trainer(config, folder).run(until=1)
    return config, folder


def _payload(path: Path, change) -> None:
    payload = torch.load(path, weights_only=True)
    change(payload)
    torch.save(payload, path)


def _with_nan(payload) -> None:
    next(v for v in payload["module"].values() if v.is_floating_point()).fill_(torch.nan)


DAMAGES = {
    "cut": (lambda p: p.write_bytes(p.read_bytes()[: len(p.read_bytes()) // 2]), "damaged"),
    "empty": (lambda p: p.write_bytes(b""), "damaged"),
    "a web page": (lambda p: p.write_bytes(b"<html>"), "damaged"),
    "a list": (lambda p: torch.save([1], p), "damaged"),
    "NaN": (lambda p: _payload(p, _with_nan), "NaN"),
    "step below 0": (lambda p: _payload(p, lambda d: d.update(step=-1)), "damaged"),
    "no optimizers": (lambda p: _payload(p, lambda d: d.pop("optimizers")), "damaged"),
    "one optimizer": (lambda p: _payload(p, lambda d: d.update(optimizers=[])), "other parameters"),
    "weights gone": (
        lambda p: _payload(p, lambda d: d["module"].popitem()),
        "damaged|other parameters",
    ),
    "average gone": (lambda p: _payload(p, lambda d: d["average"].popitem()), "moving average"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_state_is_whole_or_refused(begun, tmp_path, what) -> None:
    config, folder = begun
    shutil.copytree(folder, tmp_path / "run")
    damage, says = DAMAGES[what]
    damage(tmp_path / "run" / STATE)
    with pytest.raises(RecipeError, match=says) as caught:
        trainer(config, tmp_path / "run")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "setting",
    ["optim.steps=0", "data.batch.size=0", "save_every=0", "optim.lr=NaN", "optim.lr=-1",
     "optim.clip=Infinity", "optim.steps=" + "9" * 5000, "losses.panoptic=" + "[" * 90_000],
)  # fmt: skip
def test_exception_of_impossible_settings(config, setting) -> None:
    with pytest.raises(RecipeError):
        override(config, [setting])


@pytest.mark.parametrize("data", [b"", b"<html>", b"\x80\x04.", b"version https://git-lfs"])
def test_exception_of_weights_that_are_none(tmp_path, data) -> None:
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError):
        load_weights(tmp_path / "w.safetensors")


COMMANDS = {
    "train: no option": (train, []),
    "train: unknown recipe": (train, ["--recipe", "x", "--out", "o"]),
    "train: unknown setting": (train, ["--recipe", "tiny", "--out", "o", "--set", "a=1"]),
    "train: no data": (train, ["--recipe", "tiny", "--out", "o", "--set", "data.tabletop={gone}"]),
    "train: no store": (train, ["--recipe", "tiny", "--out", "o", "--set", "data.tabletop={world}", "data.store={gone}"]),
    "train: steps": (train, ["--recipe", "tiny", "--out", "o", "--until", "-1"]),
    "cache: nothing": (cache, ["--store", "{out}"]),
    "cache: no tabletop": (cache, ["--tabletop", "{gone}", "--store", "{out}"]),
    "cache: no coco": (cache, ["--coco-panoptic", "{gone}", "--store", "{out}"]),
    "cache: shard": (cache, ["--tabletop", "{world}", "--store", "{out}", "--shard", "one"]),
    "cache: no such shard": (cache, ["--tabletop", "{world}", "--store", "{out}", "--shard", "3/2"]),
    "export: no run": (export, ["--run", "{gone}", "--out", "{out}"]),
    "evaluate: no model": (evaluate, ["--suite", "tabletop", "--model", "{gone}"]),
    "evaluate: no data": (evaluate, ["--suite", "tabletop", "--tabletop", "{gone}"]),
    "xdecoder: no file": (xdecoder, ["{gone}", "--out", "{out}"]),
    "teach: nothing there": (teach, ["--images", "{gone}", "--masks", "{gone}", "--names", "{gone}", "--out", "{out}"]),
    "teach: no images": (teach, ["--images", "{gone}", "--masks", "{gone}", "--names", "{names}", "--out", "{out}"]),
    "teach: keep": (teach, ["--images", "a", "--masks", "a", "--names", "a", "--out", "a", "--keep", "3"]),
}  # fmt: skip


@pytest.mark.parametrize("what", COMMANDS)
def test_commands_end_in_a_sentence(what, world, tmp_path, capsys, monkeypatch) -> None:
    module, arguments = COMMANDS[what]
    (tmp_path / "names.json").write_text(json.dumps({"1": "mug"}))
    places = {
        "gone": tmp_path / "gone", "out": tmp_path / "out", "world": world, "names": tmp_path / "names.json",
    }  # fmt: skip
    monkeypatch.setattr(sys, "argv", [module.__name__, *(a.format(**places) for a in arguments)])
    with pytest.raises(SystemExit) as done:
        module.main()
    assert done.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert len(said) < 700 and "Traceback" not in said
