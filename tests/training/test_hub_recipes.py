"""Recipes of today's encoders run in miniature, from the same commands, on all kinds of labels."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from training.config import RecipeError
from training.engine.curves import read_metrics
from training.engine.dry_run import in_miniature
from training.hub_recipes import HUB_RECIPES
from training.recipes import find_tabletop, recipe

ROOT = Path(__file__).parents[2]
TERMS = {
    "panoptic_ce",
    "grounding_ce",
    "interactive_ce",
    "interleave_ce",
    "interleave_itc",
    "retrieval",
}


@pytest.mark.parametrize("name", HUB_RECIPES)
def test_dry_run(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training.train", "--recipe", name, "--dry-run", "--out", str(tmp_path),
               "--set", "optim.steps=2"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (first, second) = read_metrics(tmp_path / "metrics.jsonl")
    assert first.keys() >= TERMS and second["grad_norm"] > 0
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model"]["vision"]["name"] == recipe(name).model.vision.name
    assert config["losses"]["panoptic"] == {"ce": 2.0, "bce": 5.0, "dice": 5.0}
    entities = json.loads(Path(config["data"]["coco_entities"]).read_text())
    assert "data engine" in entities["provenance"]["sentences_by"]
    assert len(entities["annotations"]) == 16, "two sentences of each of eight images"
    assert (tmp_path / "last.safetensors").is_file()


def test_other_recipes_have_no_miniature(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="hub_recipes"):
        in_miniature(find_tabletop().config(), tmp_path)


def test_numbers() -> None:
    for name in HUB_RECIPES:
        config = recipe(name)
        assert config.optim.steps == 36964 and config.data.batch.size == 8
        assert config.model.vision.short_side_px == 640 and config.frozen == ()
