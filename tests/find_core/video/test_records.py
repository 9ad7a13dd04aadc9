"""localizations.jsonl from elsewhere: a localization, or one sentence."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from find_core.errors import FindError
from find_core.masks import box_of_mask, mask_to_rle
from find_core.results import Entity, Instance, Localization
from find_core.video.records import localization_from_json, read_records


def localization(height=6, width=8):
    mask = np.zeros((height, width), bool)
    mask[1:4, 2:5] = True
    parts = (0.75, mask, box_of_mask(mask), np.zeros(4, np.float32), 1)
    entity = Entity(*parts, label="mug", found=True, instances=(Instance(*parts),))
    return Localization(0.75, (entity,), height, width).to_json()


def test_round_trip():
    assert localization_from_json(localization()).to_json() == localization()


def changed(path, value):
    data = copy.deepcopy(localization())
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return data


ENTITY = ("entities", 0)
FOREIGN_RLE = {"size": [65536, 65536], "counts": "P"}
BAD = [
    (("entities",), []), (("entities",), None), (("relevance",), "0.5"), (("relevance",), float("nan")),
    ((*ENTITY, "mask_rle"), FOREIGN_RLE), ((*ENTITY, "mask_rle"), None), ((*ENTITY, "score"), 10**400),
    ((*ENTITY, "box_xyxy"), [1, 2, 3]), ((*ENTITY, "box_xyxy"), [1, 2, 3, "4"]),
    ((*ENTITY, "instances", 0, "mask_rle"), mask_to_rle(np.ones((8, 6), bool))),
    ((*ENTITY, "instances"), 3), ((*ENTITY, "label"), "\ud800"), ((*ENTITY, "found"), "yes"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), BAD)
def test_exception_of_foreign_records(path, value):
    with pytest.raises(FindError) as caught:
        localization_from_json(changed(path, value))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize("line", ["{", "[]", "[" * 90_000, "\xff", '{"a": ' + "9" * 5000 + "}"])
def test_exception_of_lines_that_are_no_objects(tmp_path, line):
    path = tmp_path / "localizations.jsonl"
    path.write_bytes(json.dumps(localization()).encode() + b"\n" + line.encode("latin-1") + b"\n")
    with pytest.raises(FindError, match="Line 2"):
        list(read_records(path))
