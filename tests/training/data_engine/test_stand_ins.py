"""Other labels as COCO panoptic, stand-ins that go on where they stopped, pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from find_core.images import read_image
from tests.training.evaluation.bench.test_suites import Colors
from tests.training.photo_worlds import write_photos
from training.data.formats import coco, photos
from training.data_engine import vectors
from training.data_engine.__main__ import main
from training.evaluation.bench import sources
from training.evaluation.bench.interleave import build


def run(*arguments) -> int:
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"))


def test_photographs_as_coco_panoptic(pictures, tmp_path) -> None:
    """Pixels, names and kinds of every mask are those of the photographs; boxes are left out."""
    assert run("convert", "--photos", pictures, "--split", "train2017", "--out", tmp_path) == 0
    labelled = sources.panoptic_set(tmp_path, "train2017")
    originals = [p for p in photos.read_photos(pictures) if not p.held_out]
    with_masks = [p for p in originals if any(i.box_xyxy is None for i in p.record.instances)]
    assert len(labelled.images) == len(with_masks) > 5
    for photo, image in zip(with_masks, labelled.images, strict=True):
        pixels, truth = image.read()
        true_pixels, numbers = photo.record.read()
        np.testing.assert_array_equal(pixels, true_pixels)
        names = [labelled.names[k] for k in truth.classes]
        for k, instance in enumerate(photo.record.instances):
            mask = numbers == k + 1
            found = [n for n, name in zip(truth.ids, names, strict=True)
                     if name == instance.name and np.array_equal(truth.id_map == n, mask)]  # fmt: skip
            assert bool(found) == (instance.box_xyxy is None and bool(mask.any())), instance
        merged = {bool(s.get("merged")) for s in image.segments}
        assert merged == {not photo.set.instances}
    assert coco.panoptic_records(tmp_path, "train2017"), "training reads it too"
    assert run("convert", "--photos", pictures, "--split", "train2017", "--out", tmp_path) == 2


def test_the_held_out_tenth_stays_apart(pictures, tmp_path) -> None:
    assert run("convert", "--photos", pictures, "--split", "val2017", "--out", tmp_path) == 0
    held = {p.file_name for p in photos.read_photos(pictures) if p.held_out}
    for image in sources.panoptic_set(tmp_path, "val2017").images:
        assert image.file.resolve().name in held


def test_instances_with_captions(tmp_path, root) -> None:
    annotations = root / "annotations"
    panoptic = json.loads((annotations / "panoptic_val2017.json").read_text())
    shapes = [{"id": 5000 + n, "image_id": n, "category_id": 1, "iscrowd": 0,
               "segmentation": [[4, 4, 30, 4, 30, 30, 4, 30]]} for n in (1, 2)]  # fmt: skip
    folder = tmp_path / "instances"
    (folder / "annotations").mkdir(parents=True)
    (folder / "val2017").symlink_to(root / "val2017")
    data = {**panoptic, "annotations": shapes}
    (folder / "annotations" / "instances_val2017.json").write_text(json.dumps(data))
    (folder / "annotations" / "captions_val2017.json").write_bytes((annotations / "captions_val2017.json").read_bytes())  # fmt: skip
    assert run("convert", "--instances", folder, "--out", tmp_path / "made") == 0
    assert run("sentences", "--data", tmp_path / "made", "--out", tmp_path / "out") == 0
    data = json.loads((tmp_path / "out" / "entity_val2017.json").read_text())
    assert [a["sentence_raw"] for a in data["annotations"]] == [
        f"[{5000 + n}]<A young man> stands on the grass, number {n - 1}." for n in (1, 2)
    ]


def test_nothing_to_convert(tmp_path, capsys) -> None:
    assert run("convert", "--out", tmp_path) == 2
    assert "--photos, --tabletop or --instances" in capsys.readouterr().err


def test_stand_ins_are_those_of_the_bench_and_go_on(root, tmp_path, monkeypatch) -> None:
    """Vectors that stand in the file are not made again; the result is that of `bench.interleave`."""
    monkeypatch.setattr(vectors, "open_model", lambda *_: Colors())
    monkeypatch.setattr("training.evaluation.bench.models.open.open_model", lambda *_: Colors())
    assert run("sentences", "--data", root, "--out", tmp_path) == 0
    command = ("stand-ins", "--data", root, "--out", tmp_path, "--model", "colours")
    assert run(*command) == 0
    made = json.loads((tmp_path / "interleave_val2017.json").read_text())
    assert made == json.loads(json.dumps(build(Colors(), root, "val2017", "entity", tmp_path / "entity_val2017.json")))  # fmt: skip
    kept = (tmp_path / "vectors_val2017.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "vectors_val2017.jsonl").write_bytes(b"".join(kept[:3]))
    asked = []

    class Counting(Colors):
        def embed_region(self, image, mask):
            asked.append(1)
            return super().embed_region(image, mask)

    monkeypatch.setattr(vectors, "open_model", lambda *_: Counting())
    assert run(*command) == 0
    assert json.loads((tmp_path / "interleave_val2017.json").read_text()) == made
    assert 0 < len(asked) < 15, "two of five images were there"
    sheet = (
        "sheet",
        "--data",
        root,
        "--out",
        tmp_path,
        "--file",
        tmp_path / "interleave_val2017.json",
    )
    assert run(*sheet, "--count", 3) == 0
    assert read_image(tmp_path / "sheet_interleave_val2017.jpg").shape[0] > 100
