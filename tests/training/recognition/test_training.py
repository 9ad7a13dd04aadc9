"""The recogniser's training: it learns what it is shown, from every kind of label, end to end."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from find_core.recognition.store import load_recognizer
from find_core.testing import tiny_find
from tests.training.photo_worlds import write_photos
from training.data.sources import photographs
from training.evaluation.calibration import set_relevance
from training.recognition.examples import Region, photo_regions, regions_of
from training.recognition.learning import FitSettings, learn

QUICK = FitSettings(steps=150, batch=64, warmup=5, width=16)


def test_names_are_learnt_from_looks():
    rng = torch.Generator().manual_seed(0)
    centres = {name: torch.randn(12, generator=rng) for name in ("mug", "plate", "fork")}
    words = {name: torch.randn(8, generator=rng) for name in centres}
    regions = [
        Region(centre + 0.3 * torch.randn(12, generator=rng), name)
        for name, centre in centres.items()
        for _ in range(40)
    ]
    made = learn(regions, words.__getitem__, QUICK)
    units = made.of_regions(torch.stack([centres[n] for n in made.bank_names]))
    assert made.logits(units).argmax(1).tolist() == [0, 1, 2]
    assert torch.allclose(made.of_words(words["fork"]), made.bank_CV[0], atol=1e-5)
    assert float(made.share_of_names) == pytest.approx(QUICK.share_of_names)


def test_every_kind_of_label_gives_regions(tmp_path):
    find = tiny_find()
    records, _ = photographs(str(write_photos(tmp_path)))
    by_kind = {
        kind: list(photo_regions(find, [r for r in records if kind in r.key]))
        for kind in ("coco_things", "epicure", "grocery_store_labels")
    }  # fmt: skip
    assert all(by_kind.values())
    assert {r.name for r in by_kind["coco_things"]} <= {"dog", "cat", "car", "hammer"}
    whole = by_kind["grocery_store_labels"]
    assert len(whole) == len({id(r) for r in whole}) == 3  # one an image, no proposals


def test_proposals_that_fit_a_mask_are_examples_too():
    image = np.random.default_rng(0).integers(0, 255, (50, 80, 3), np.uint8)
    scene = tiny_find().encode(image)
    drawn = scene.object_masks[0]
    if not drawn.any():
        drawn = ~drawn
    with_them = regions_of(scene, [drawn], ["thing"])
    without = regions_of(scene, [drawn], ["thing"], proposals=False)
    assert len(without) == 1 and len(with_them) > 1


def test_the_command(tmp_path, monkeypatch, world):
    from training.recognition import train

    (tmp_path / "photos").mkdir()
    photos = write_photos(tmp_path / "photos")
    find = tiny_find()
    monkeypatch.setattr(train.fc, "load", lambda *a, **k: find)
    out = tmp_path / "recognizer.safetensors"
    monkeypatch.setattr(sys, "argv", [
        "train", "--photos", str(photos), "--tabletop", str(world), "--calibrate",
        str(world), "--out", str(out), "--steps", "20", "--scenes", "2", "--limit", "2",
    ])  # fmt: skip
    train.main()
    made = load_recognizer(out, find.config.vision, find.config.language)
    assert made.sizes.names == len(made.bank_names) > 3
    set_relevance(made, {"relevance_scale": 3.0, "relevance_bias": 0.1})
    assert float(made.relevance(torch.tensor(0.1))) == pytest.approx(0.5)
