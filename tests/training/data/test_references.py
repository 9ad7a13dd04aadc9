"""RefCOCO, FIND-Bench and Karpathy loaders on miniature files of the published schema."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from find_core.errors import ImageError
from training.data.formats import references
from training.data.formats.records import InstanceLabel, Record


def record() -> Record:
    things = [InstanceLabel(n, frozenset([n]), None, n, "coco") for n in ("cup", "table")]
    return Record(
        "coco_panoptic/train2017/000000000007", lambda: (np.zeros(0), np.zeros(0)), tuple(things)
    )


def test_referring_sentences(tmp_path: Path) -> None:
    refs = [{"ref_id": 1, "ann_id": 50, "image_id": 7, "split": "val",
             "sentences": [{"sent": "left cup"}, {"sent": "the cup"}]},
            {"ref_id": 2, "ann_id": 51, "image_id": 7, "split": "train",
             "sentences": [{"sent": "wooden table"}]}]  # fmt: skip
    (tmp_path / "refs.json").write_text(json.dumps(refs))
    sentences = references.referring_sentences(tmp_path, "val")
    assert sentences == {50: ["left cup", "the cup"]}
    both = references.with_referring(record(), [50, 51], references.referring_sentences(tmp_path))
    assert [(p.text, p.instances) for p in both.phrases] == [
        ("left cup", (0,)), ("the cup", (0,)), ("wooden table", (1,)),
    ]  # fmt: skip
    with pytest.raises(ImageError, match="README"):
        references.referring_sentences(tmp_path / "nowhere")


def test_find_bench_spans_come_from_the_marked_sentence(tmp_path: Path) -> None:
    data = {
        "images": [{"id": 7, "file_name": "000000000007.jpg"}],
        "annotations": [{
            "image_id": 7, "sentence": "A cup stands on the table beside a cup.",
            "sentence_raw": "[12]<A cup> stands on [7]<the table> beside [12]<a cup>.",
            "phrase": [{"annotation_id": "12", "phrase": "A cup", "start_idx": 99, "end_idx": 104}],
        }],
    }  # fmt: skip
    path = tmp_path / "entity_val2017.json"
    path.write_text(json.dumps(data))
    table = references.entity_sentences(path)
    assert table == {7: [("<A cup> stands on <the table> beside <a cup>.", [12, 7, 12])]}
    (label,) = references.with_entities(record(), [12, 7], table[7], most=2).sentences
    assert label.markup == "<A cup> stands on <the table> beside a cup." and label.entities == (
        (0,),
        (1,),
    )
    assert references.with_entities(record(), [99], table[7]).sentences == ()


def test_find_bench_marks_without_angle_brackets() -> None:
    raw = "[12]A cup stands on [7]the table."
    assert references.parse_raw(raw, ["A cup", "the table"]) == (
        "<A cup> stands on <the table>.", [12, 7],
    )  # fmt: skip


def test_karpathy_split_and_leaving_out(tmp_path: Path) -> None:
    images = [{"cocoid": 7, "split": "restval", "sentences": [{"raw": "A cup. "}]},
              {"cocoid": 8, "split": "val", "sentences": [{"raw": "A dog."}]}]  # fmt: skip
    path = tmp_path / "dataset_coco.json"
    path.write_text(json.dumps({"images": images}))
    table = references.karpathy_split(path)
    assert table == {"train": {7: ["A cup."]}, "val": {8: ["A dog."]}}
    assert references.without_images([record()], {7}) == []
    assert len(references.without_images([record()], set(table["val"]))) == 1


def test_annotations_find_their_segments(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    segments = [{"id": 12, "category_id": 1, "bbox": [10, 10, 20, 20]},
                {"id": 13, "category_id": 1, "bbox": [50, 10, 20, 20]},
                {"id": 14, "category_id": 2, "bbox": [10, 10, 20, 20]}]  # fmt: skip
    panoptic = {"images": [], "annotations": [{"image_id": 7, "segments_info": segments}]}
    notes = [{"id": 50, "image_id": 7, "category_id": 1, "bbox": [51, 10, 20, 20]},
             {"id": 51, "image_id": 7, "category_id": 1, "bbox": [80, 40, 5, 5]}]  # fmt: skip
    for name, data in (("panoptic", panoptic), ("instances", {"images": [], "annotations": notes})):
        (tmp_path / "annotations" / f"{name}_train2017.json").write_text(json.dumps(data))
    assert references.annotation_segments(tmp_path, "train2017") == {50: 13}
    (tmp_path / "refs.json").write_text(
        json.dumps([{"ann_id": 50, "split": "train", "sentences": [{"sent": "right cup"}]}])
    )
    two = dataclasses.replace(record(), source_ids=(12, 13))
    (rich,) = references.enrich([two], tmp_path, "train2017", refs=str(tmp_path))
    assert [(p.text, p.instances) for p in rich.phrases] == [("right cup", (1,))]


def test_box_iou_by_hand() -> None:
    assert references.box_iou([0, 0, 2, 2], [1, 0, 2, 2]) == pytest.approx(2 / 6)
