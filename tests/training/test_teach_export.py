"""Teaching and exporting end in checkpoints that find_core loads."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import find_core as fc
from find_core import checkpoint
from find_core.encoders import VisionConfig, build_vision
from find_core.errors import ImageError
from find_core.testing import tiny_find
from tests.training.photo_worlds import write_photos
from tests.training.worlds import draw_scene
from training.config import TrainConfig, override
from training.data.formats import photos
from training.data.formats.user import read_names, user_knowledge, user_records
from training.data.sources import photographs
from training.evaluation.calibration import fit_relevance, photo_questions
from training.export import export
from training.teach import TeachConfig, mix, teach
from training.truth import FALSE, TRUE, UNKNOWN


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    for n in range(4):
        image, ids, _ = draw_scene(np.random.default_rng(n))
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "images" / f"{n}.png"), image[..., ::-1])
        cv2.imwrite(str(tmp_path / "masks" / f"{n}.png"), np.where(ids == 2, 1, 0).astype(np.uint8))
    (tmp_path / "names.json").write_text(json.dumps({"1": ["my thing", "that thing"]}))
    return tmp_path


def test_user_records_and_facts(labelled: Path) -> None:
    names = read_names(labelled / "names.json")
    records = user_records(labelled / "images", labelled / "masks", names)
    assert len(records) == 4 and not records[0].exhaustive
    assert {p.text for p in records[0].phrases} == {"my thing", "that thing"}
    facts = user_knowledge({**names, 2: ("my tin",)})
    mine = records[0].instances[0]
    assert facts.truth("that thing", mine) == TRUE
    assert facts.truth("my tin", mine) == FALSE and facts.truth("mug", mine) == UNKNOWN


def test_mistakes_of_the_user_are_named(labelled: Path) -> None:
    with pytest.raises(ImageError, match="no name"):
        user_records(labelled / "images", labelled / "masks", {7: ("x",)})
    (labelled / "names.json").write_text('{"300": "x"}')
    with pytest.raises(ImageError, match="1 to 254"):
        read_names(labelled / "names.json")
    with pytest.raises(ImageError, match="same name"):
        user_records(labelled / "images", labelled / "images" / "..", {1: ("x",)})


@pytest.mark.parametrize("longest_px", [96, 110])  # the second is no whole number of cells
def test_taught_model_loads_and_answers(labelled: Path, longest_px: int) -> None:
    vision = VisionConfig("tiny_conv", short_side_px=64, max_side_px=longest_px)
    find = tiny_find(vision=vision)
    checkpoint.save(labelled / "old", find.model, find.vision, find.language)
    names = read_names(labelled / "names.json")
    records = user_records(labelled / "images", labelled / "masks", names)
    config = TeachConfig(steps=3, batch=3)
    out = teach(
        str(labelled / "old"), records, user_knowledge(names), labelled / "new", config, print
    )
    taught = fc.load(str(out), device="cpu")
    assert taught.fingerprint != find.fingerprint
    before, after = find.model.state_dict(), taught.model.state_dict()
    frozen = [n for n in before if n.startswith("pixel_decoder.")]
    assert all(np.allclose(before[n], after[n], atol=2e-3) for n in frozen)
    image, _, _ = draw_scene(np.random.default_rng(9))
    assert len(taught.encode(image).localize("the <my thing>").entities) == 1
    assert checkpoint.read(out).notes["taught"] == ["my thing"]


def test_mixing_is_linear() -> None:
    import torch

    mixed = mix({"a": torch.zeros(2)}, {"a": torch.ones(2)}, 0.25)
    assert mixed["a"].tolist() == [0.75, 0.75]


def test_export_calibrates_and_loads(config: TrainConfig, tmp_path: Path) -> None:
    from tests.training.test_train import trainer

    trainer(override(config, ["optim.steps=2", "save_every=2"]), tmp_path / "run").run()
    fitted = export(tmp_path / "run", tmp_path / "out", "last", Path(config.data.tabletop), 4)
    find = fc.load(str(tmp_path / "out"), device="cpu")
    assert find.config.relevance_scale == pytest.approx(fitted["relevance_scale"])
    assert build_vision(find.config.vision).channels == find.vision.channels
    export(tmp_path / "run", tmp_path / "kept", "last", None, 4, keep=1.0, of=str(tmp_path / "out"))
    before, after = (checkpoint.read(tmp_path / f).tensors for f in ("out", "kept"))
    assert all((before[n] == after[n]).all() for n in before)
    assert checkpoint.read(tmp_path / "kept").notes["kept"]["share"] == 1.0


def test_platt_fit_recovers_a_logistic() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-0.2, 1.0, 20_000)
    there = rng.random(20_000) < 1 / (1 + np.exp(-12 * (x - 0.45)))
    fitted = fit_relevance(x[there], x[~there])
    assert fitted["relevance_scale"] == pytest.approx(12, rel=0.1)
    assert fitted["relevance_bias"] == pytest.approx(0.45, abs=0.03)


def test_photographs_for_calibration_train_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(write_photos(tmp_path))
    before = {r.key for r in photographs(root)[0]}
    monkeypatch.setattr(photos, "is_for_calibration", lambda name: name.startswith("coco_things"))
    calibration, after = photographs(root, "calibration")[0], photographs(root)[0]
    assert {r.key for r in calibration} | {r.key for r in after} == before
    assert len(calibration) == 3 and not {r.key for r in calibration} & {r.key for r in after}
    asked = list(photo_questions(tmp_path, 10))
    assert len(asked) == 3 and len(list(photo_questions(tmp_path, 2))) == 2
    for question in asked:
        assert question.there and not set(question.there) & set(question.absent)
        assert question.image.ndim == 3
