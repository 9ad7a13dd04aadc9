"""Ablations: each row differs in what it says, the table compares with the whole, and it goes on."""

from __future__ import annotations

import json

import pytest

from training import ablate
from training.config import RecipeError, changed
from training.recipes import WITHOUT, recipe


def arguments(config, out, *more):
    settings = [f"data.tabletop={config.data.tabletop}", f"data.store={config.data.store}",
                "data.batch.size=4", "optim.steps=2", "save_every=2"]  # fmt: skip
    return ablate.parser().parse_args(
        ["--recipe", "tiny", "--out", str(out), "--val-batches", "1", "--val-store", config.data.store,
         "--set", *settings, "--axes", *more]
    )  # fmt: skip


def test_rows() -> None:
    args = ablate.parser().parse_args(
        ["--out", "x", "--layers", "-1", "-6", "--visions", "auto_backbone:some/model"]
    )
    rows = ablate.variants(ablate.AXES, args)
    assert [r.name for r in rows] == [
        "whole", *(f"no {t}" for t in WITHOUT), "smollm2, layer -1", "smollm2, layer -6",
        "language minilm", "language smollm2", "vision auto_backbone:some/model",
    ]  # fmt: skip
    base = recipe("find_base")
    same = [row.name for row in rows if changed(base, row.changes) == base]
    assert same == ["whole", "language minilm"]  # what find_base reads already
    assert changed(base, rows[5].changes).model.language.options == {"layer": -1}
    assert changed(base, rows[-1].changes).model.vision.options == {"model": "some/model"}
    args = ablate.parser().parse_args(["--out", "x", "--languages"])
    with pytest.raises(RecipeError, match="compares nothing"):
        ablate.variants(["encoders"], args)


def test_tasks_on_the_miniature_world(config, tmp_path, monkeypatch) -> None:
    args = arguments(config, tmp_path, "tasks")
    monkeypatch.setattr(
        ablate, "fixed_batches", lambda c, sources, store, count: batches_of(c, sources, count)
    )
    results = ablate.ablate(args)
    assert [r["variant"] for r in results] == ["whole", *(f"no {t}" for t in WITHOUT)]
    by = {r["variant"]: r["figures"] for r in results}
    assert "val_stroke_miou" in by["whole"] and "val_stroke_miou" not in by["no interactive"]
    assert "val_visual_miou" in by["whole"] and "val_visual_miou" not in by["no interleave"]
    text = (tmp_path / "ablation.md").read_text()
    assert ("| no interactive |" in text and "–" in text and "(+" in text) or "(-" in text
    assert (tmp_path / "curves.png").stat().st_size > 1000
    monkeypatch.setattr(ablate, "Trainer", None)  # nothing is trained again
    assert ablate.ablate(args) == results
    assert json.loads((tmp_path / "ablation.json").read_text()) == results
    with pytest.raises(RecipeError, match="other settings"):
        ablate.ablate(arguments(config, tmp_path, "tasks", "--steps", "3"))


def test_exception_of_a_store_beside_another_vision_encoder(config, tmp_path) -> None:
    """Its features would be taken for the other encoder's."""
    args = arguments(config, tmp_path, "encoders", "--visions", "efficientnet_lite0")
    with pytest.raises(RecipeError, match="features of one vision encoder"):
        ablate.ablate(args)


def batches_of(config, sources, count):
    """The miniature world has no validation split: other batches of the same."""
    from training.data.batches import Batches

    stream = Batches(
        sources.records, sources.store, sources.knowledge, config.data.batch, seed=12345
    )
    return [stream.batch(n) for n in range(count)]


@pytest.mark.parametrize(
    "wrong", [("--threads", "0"), ("--steps", "-3"), ("--val-batches", "0"), ("--layers", "x")]
)
def test_options_out_of_range_are_refused(wrong, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        ablate.parser().parse_args(["--out", "x", *wrong])
    assert end.value.code == 2 and wrong[0] in capsys.readouterr().err
