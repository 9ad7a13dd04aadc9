"""Photographs of many sets: what each label kind becomes, what trains and what never does."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from find_core.errors import ImageError
from training.data.formats import photos
from training.data.formats.photos import (
    SHIPPABLE_SETS,
    is_for_evaluation,
    is_held_out,
    read_photos,
    read_sets,
    training_photos,
)
from training.data.formats.records import IGNORED, InstanceLabel, LabelKind
from training.data.queries.label_knowledge import LabelKnowledge
from training.truth import TRUE, UNKNOWN

HEIGHT, WIDTH = 30, 40


def set_row(name: str, ships: bool = True, **other) -> dict:
    return {"set": name, "exhaustive": True, "stuff": False, "instances": True,
            "may_feed_shipped_weights": ships, "licence": "CC BY 4.0", "source": "x",
            "classes": {"cat": 3, "dog": 2, "dining table": 1, "table": 1}} | other  # fmt: skip


def row(set_name: str, file_name: str, **labels) -> dict:
    return {"image": f"images/{set_name}/{file_name}", "set": set_name, "size": [WIDTH, HEIGHT],
            "segments": []} | labels  # fmt: skip


def write(root: Path, sets: list[dict], rows: list[dict]) -> Path:
    (root / "sets.json").write_text(json.dumps(sets))
    (root / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    for r in rows:
        path = root / r["image"]
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), 120, np.uint8))
        if "mask" in r:
            ids = np.zeros((HEIGHT, WIDTH), np.uint8)
            for n, segment in enumerate(r["segments"]):
                ids[:, 10 * n : 10 * n + 10] = segment["id"]
            (root / r["mask"]).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / r["mask"]), ids)
    return root


def segment(number: int, name: str, **other) -> dict:
    return {"id": number, "name": name, "thing": True, "box_xyxy": [0, 0, 1, 1]} | other


def test_masks_stuff_and_crowds(tmp_path: Path) -> None:
    segments = [segment(4, "dining table", thing=False), segment(9, "person", crowd=True),
                segment(2, "cat")]  # fmt: skip
    labels = row(
        "coco_panoptic", "a.jpg", segments=segments, mask="masks/a.png", captions=["A cat. "]
    )
    write(tmp_path, [set_row("coco_panoptic", stuff=True)], [labels])
    (photo,) = read_photos(tmp_path)
    record = photo.record
    assert [(i.name, i.stuff, i.label_kind) for i in record.instances] == [
        ("dining table", True, LabelKind.MASK), ("cat", False, LabelKind.MASK)
    ]  # fmt: skip
    _, numbers = record.read()
    assert [int(numbers[0, x]) for x in (0, 10, 20, 30)] == [1, IGNORED, 2, 0]
    assert photo.crowds == {"person"} and record.captions == ("A cat.",) and record.exhaustive
    assert record.absent == ("dog",), "a table may be a dining table"


def test_merged_regions_boxes_and_bare_names(tmp_path: Path) -> None:
    sets = [set_row("voc_animals", instances=False), set_row("epicure", exhaustive=False),
            set_row("grocery_store_labels", exhaustive=False)]  # fmt: skip
    boxes = [
        {"name": "oats", "box_xyxy": [5.4, 5, 15, 15]},
        {"name": "oil", "box_xyxy": [0, 0, 30, 30]},
    ]
    rows = [
        row("voc_animals", "a.jpg", segments=[segment(1, "cat", merged=True)], mask="masks/a.png"),
        row("epicure", "b.jpg", boxes=boxes),
        row(
            "grocery_store_labels", "c.jpg", image_label="golden apple", image_label_coarse="apple"
        ),
    ]
    merged, boxed, named = read_photos(write(tmp_path, sets, rows))
    assert merged.record.instances[0].label_kind is LabelKind.MERGED
    assert [i.label_kind for i in boxed.record.instances] == [LabelKind.BOX] * 2
    assert boxed.record.instances[0].box_xyxy == (5.4, 5.0, 15.0, 15.0)
    numbers = boxed.record.read()[1]
    assert numbers[10, 10] == 1 and numbers[2, 2] == 2 and numbers[2, 35] == 0, "small ones on top"
    assert named.record.image_labels == ("golden apple", "apple") and not named.record.instances
    assert merged.record.absent == ("dining table", "dog", "table")
    assert boxed.record.absent == named.record.absent == (), "nothing is denied there"
    assert not any(p.record.exhaustive for p in (merged, boxed, named)), (
        "not every pixel is labelled"
    )


def test_only_listed_sets_may_feed_what_is_shipped(tmp_path: Path) -> None:
    """Both the folder and the list must say so: neither a set that was added to a folder nor a
    changed flag lets its images through."""
    names = [f"{n}.jpg" for n in range(40)]
    sets = [set_row("tools"), set_row("pantry", ships=True), set_row("plate_food", ships=False)]
    rows = [row(s["set"], name) for s in sets for name in names]
    write(tmp_path, sets, rows)
    assert {p.set.name for p in training_photos(tmp_path)} == {"tools"}
    for barred in ("pantry", "plate_food"):
        with pytest.raises(ImageError, match=f"{barred} is for evaluation only"):
            training_photos(tmp_path, ["tools", barred])
    assert {s.name for s in read_sets(tmp_path).values() if s.shippable} == {"tools"}


def test_the_list_is_the_one_that_was_agreed_on() -> None:
    assert {
        "coco_panoptic", "coco_things", "voc_animals", "epicure", "grocery_store_labels", "tools",
        "plate_food",
    } == SHIPPABLE_SETS  # fmt: skip


def test_a_tenth_is_held_out_by_file_name_alone(tmp_path: Path) -> None:
    names = [f"{n:05d}.jpg" for n in range(2000)]
    held = {n for n in names if is_held_out(n)}
    assert 160 <= len(held) <= 240
    assert is_held_out("000000000009.jpg") and not is_held_out("000000000025.jpg"), "as ever"
    few = [*sorted(held)[:3], *sorted(set(names) - held)[:20]]
    sets = [set_row("tools"), set_row("mugs", ships=False)]
    write(tmp_path, sets, [row(s["set"], n) for s in sets for n in few])
    trains = {(p.set.name, p.file_name) for p in training_photos(tmp_path)}
    judged = {(p.set.name, p.file_name) for p in read_photos(tmp_path) if is_for_evaluation(p)}
    assert trains == {("tools", n) for n in few if n not in held}
    assert judged == {("tools", n) for n in few if n in held} | {("mugs", n) for n in few}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size": None}, "line 1 is no photograph"),
        ({"set": "other"}, "line 1 is no photograph"),
        ({"boxes": [{"name": "x", "box_xyxy": [5, 5, 5, 9]}]}, "line 1.*empty"),
    ],
)
def test_damaged_lines_are_named(tmp_path: Path, change: dict, sentence: str) -> None:
    write(tmp_path, [set_row("tools")], [row("tools", "a.jpg")])
    (tmp_path / "records.jsonl").write_text(json.dumps(row("tools", "a.jpg") | change))
    with pytest.raises(ImageError, match=sentence):
        read_photos(tmp_path)


def test_missing_files_and_sizes(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"sets\.json"):
        read_photos(tmp_path)
    labels = row("tools", "a.jpg", segments=[segment(1, "saw")], mask="masks/a.png")
    write(tmp_path, [set_row("tools")], [labels])
    with pytest.raises(ImageError, match="no set 'x'"):
        read_photos(tmp_path, ["x"])
    (tmp_path / "masks" / "a.png").unlink()
    with pytest.raises(ImageError, match="No image file at"):
        read_photos(tmp_path)[0].record.read()


def test_a_photograph_denies_no_words() -> None:
    """Classes of different sets overlap: what another set calls a mug may be this one's cup."""
    knowledge = LabelKnowledge({"mug": frozenset(["a"])}, frozenset(["cup"]))
    cup = InstanceLabel("cup", frozenset(["cup"]), None, "cup", "photos")
    assert knowledge.truth("cup", cup) is TRUE
    assert knowledge.truth("mug", cup) is UNKNOWN
    assert photos.MAX_INSTANCES < IGNORED
