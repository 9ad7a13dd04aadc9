"""The one command in miniature: every part runs, is skipped when whole, and goes on where it stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import find_core as fc
from tests.training.photo_worlds import write_photos
from tests.training.worlds import write_world
from training import make_default
from training.config import RecipeError
from training.engine.trainer import how_far
from training.make_default import Plan, make
from training.recipes import open_recipe


def plan(folder: Path, **other) -> Plan:
    write_world(folder / "data" / "tabletop", "train", 8)
    write_world(folder / "data" / "tabletop", "val", 4, seed=1)
    write_world(folder / "data" / "tabletop", "held", 2, seed=3)
    write_world(folder / "data" / "calibration", "train", 2, seed=2)
    (folder / "photos").mkdir()
    write_photos(folder / "photos")
    recipe, _ = open_recipe("tiny_base")
    small = {
        "limit": 2,
        "val_scenes": 4,
        "held_scenes": 2,
        "calibration_scenes": 2,
        "processes": 1,
        **other,
    }
    return Plan(recipe, folder / "data", folder / "photos", folder / "out", **small)


def test_everything_in_miniature_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = plan(tmp_path)
    lines: list[str] = []
    make(chosen, lines.append)
    assert [line.partition(":")[0] for line in lines[::2]] == [
        "[1/7] render", "[2/7] cache", "[3/7] train stage 1", "[4/7] train stage 2",
        "[5/7] export", "[6/7] recognise", "[7/7] evaluate",
    ]  # fmt: skip
    find = fc.load(chosen.model, device="cpu")
    assert find.name == "find-tiny-base" and find.recognizer is not None
    figures = json.loads((tmp_path / "out" / "photos.json").read_text())
    assert figures["suite"] == "photos" and figures["figures"]["by_set"]
    again: list[str] = []
    make(chosen, again.append)
    assert len(again) == 7 and all(line.endswith("whole, skipped") for line in again)

    (chosen.model / "config.json").unlink()
    chosen.model.joinpath("model.safetensors").unlink()
    chosen.model.joinpath("recognizer.safetensors").unlink()
    chosen.model.rmdir()
    ran: list[str] = []
    monkeypatch.setattr(make_default, "_run", lambda group: ran.extend(c[2] for c in group))
    make(chosen, lambda line: None)  # what comes after a part that is not whole is made again too
    assert ran == ["training.export", "training.recognition.train", *2 * ["training.evaluate"]]


def test_minutes_scale_the_steps_to_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Plan, "seconds_a_step", lambda self: 3.0)
    recipe, _ = open_recipe("find_base")
    own = Plan(recipe, tmp_path, tmp_path, tmp_path)
    hour = Plan(recipe, tmp_path, tmp_path, tmp_path, minutes=60)
    assert [own.steps_of(n) for n in (1, 2)] == [c.optim.steps for c in recipe.configs()]
    assert hour.steps_of(1) + hour.steps_of(2) == pytest.approx(1200, abs=2)
    assert hour.steps_of(1) / hour.steps_of(2) == pytest.approx(
        own.steps_of(1) / own.steps_of(2), rel=0.02
    )
    fewer = Plan(recipe, tmp_path, tmp_path, tmp_path, steps=70)
    assert fewer.steps_of(1) + fewer.steps_of(2) == pytest.approx(70, abs=1)


def test_a_failed_part_is_named_and_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = plan(tmp_path)
    failing = [[[sys.executable, "-c", "raise SystemExit(3)"]]]
    monkeypatch.setattr(Plan, "cache", lambda self: failing)
    with pytest.raises(RecipeError, match="ended with 3"):
        make(chosen, lambda line: None)
    done = json.loads((tmp_path / "out" / "progress.json").read_text())
    assert list(done) == ["render"]


def test_scenes_that_are_there_are_not_rendered_again(tmp_path: Path) -> None:
    chosen = plan(tmp_path)
    assert chosen.render() == []
    more = Plan(chosen.recipe, chosen.data, chosen.photos, chosen.out, val_scenes=5,
                held_scenes=2, calibration_scenes=2)  # fmt: skip
    ((command,),) = more.render()
    assert "val" in command and command[command.index("--scenes") + 1] == "5"


def test_the_command_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "training.make_default", "--data", str(tmp_path), "--photos",
         str(tmp_path / "none"), "--out", str(tmp_path / "out"), "--minutes", "1", "--steps", "1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "not allowed with" in done.stderr
    assert make_default.__doc__ and "--dry-run" in make_default.__doc__


def test_how_far_a_run_of_several_days_is() -> None:
    metrics = [{"step": 99, "seconds_a_step": 36.0}, {"step": 99, "val_score": 0.5},
               {"step": 199, "seconds_a_step": 18.0}]  # fmt: skip
    line = how_far(metrics, 200, 400)
    assert line == "50 % of 400 steps, 1.50 h spent, 1.50 h to go at 27.00 s a step"
    assert how_far([], 0, 10).startswith("0 % of 10 steps, 0.00 h")
