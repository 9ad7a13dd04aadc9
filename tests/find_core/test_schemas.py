"""What the code writes is what the schemas say, and what they forbid the code refuses."""

from __future__ import annotations

import copy
import json

import jsonschema
import numpy as np
import pytest

from find_core.errors import FindError
from find_core.prompts.prompt import Prompt, Reference
from find_core.prompts.region import Region
from find_core.schemas import NAMES, load_schema
from find_core.testing import tiny_find
from find_core.video.stream import StreamLocalizer
from tests.find_core.video.fakes import ColorFind, paint

IMAGE = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)


def validator(name):
    schema = load_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", NAMES)
def test_smoke_schemas_are_valid_and_versioned(name):
    schema = validator(name).schema
    assert schema["$id"].endswith(f"/{name}/1") and schema["properties"]["version"] == {"const": 1}


REGIONS = [
    Region.point(3, 4),
    Region.box(2, 2, 9, 9),
    Region.circle(8, 8, 3),
    Region.polygon([(1, 1), (9, 1), (5, 9)]),
    Region.scribble([(1, 1), (9, 9)], width_px=3),
    Region.mask(np.eye(24, 32, dtype=bool)),
]


@pytest.mark.parametrize("region", REGIONS, ids=lambda r: r.kind)
def test_prompt_with_every_kind_of_region(region):
    prompt = Prompt.parse("the <mug> left of <this>", this=Reference(IMAGE, region))
    data = json.loads(json.dumps(prompt.to_json()))
    validator("prompt").validate(data)
    assert Prompt.from_json(data).markup == prompt.markup


PROMPT = Prompt.parse("the <this>", this=Reference(IMAGE, box=(2, 2, 9, 9))).to_json()
BAD_PROMPTS = {
    "no prompt": lambda d: d.pop("prompt"),
    "other version": lambda d: d.update(version=2),
    "reference without image": lambda d: d["references"]["this"].pop("image"),
    "unknown region": lambda d: d["references"]["this"]["region"].update(kind="sphere"),
    "box of three": lambda d: d["references"]["this"]["region"].update(data=[1, 2, 3]),
    "mask of numbers": lambda d: d["references"]["this"]["region"].update(kind="mask"),
}


@pytest.mark.parametrize("change", BAD_PROMPTS.values(), ids=BAD_PROMPTS)
def test_schema_and_code_refuse_the_same_prompts(change):
    data = copy.deepcopy(PROMPT)
    validator("prompt").validate(data)
    change(data)
    assert not validator("prompt").is_valid(data)
    with pytest.raises(FindError):
        Prompt.from_json(data)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_localization_of_the_real_model(threshold):
    scene = tiny_find(0).encode(IMAGE)
    data = scene.localize("the <mug> on the <table>", threshold=threshold).to_json()
    validator("localization").validate(json.loads(json.dumps(data)))


def test_video_lines():
    stream = StreamLocalizer(ColorFind(), ["<red>", "the <blue> and <red>"])
    check = validator("localization")
    for n in range(14):
        boxes = [("red", 3 * n, 10, 20, 20)] if n < 5 else []
        frame = stream.update(paint(boxes), n * 100_000_000)
        for k in range(2):
            line = frame.to_json(k) | {"events": [e.to_json() for e in frame.events]}
            check.validate(json.loads(json.dumps(line)))


ROS_LINE = {
    "frame_id": "camera", "stamp_ns": 7, "prompt": "the <red>", "relevance_smoothed": 0.5, "events": [],
    "objects_3d": [{"entity_index": 0, "track_id": 1, "frame_id": "map", "position_m": [0, 0, 1],
                    "center_m": [0, 0, 1], "extent_m": [0.1, 0.1, 0.1],
                    "T_frame_object": np.eye(4).tolist(), "object_extent_m": [0.1, 0.1, 0.1]}],
}  # fmt: skip
BAD_LINES = {
    "found without instances": lambda d: d["entities"][0].update(instances=[]),
    "entity without track": lambda d: d["entities"][0].pop("track_id"),
    "unknown field": lambda d: d.update(relevanz=0.5),
    "unknown field of an entity": lambda d: d["entities"][0].update(color="red"),
    "unknown field of an instance": lambda d: d["entities"][0]["instances"][0].update(label="red"),
    "unknown field of a place": lambda d: d["objects_3d"][0].update(yaw=0.0),
    "place in two dimensions": lambda d: d["objects_3d"][0].update(center_m=[0, 0]),
    "pose of a box without its last row": lambda d: d["objects_3d"][0]["T_frame_object"].pop(),
    "place without frame": lambda d: d["objects_3d"][0].pop("frame_id"),
    "stamp without frame": lambda d: d.pop("frame_id"),
    "frame without prompt": lambda d: d.pop("prompt"),
    "score above one": lambda d: d.update(relevance_smoothed=1.5),
    "frame without time": lambda d: d.pop("time_s"),
}


@pytest.mark.parametrize("change", BAD_LINES.values(), ids=BAD_LINES)
def test_localization_schema_is_strict(change):
    line = StreamLocalizer(ColorFind(), "<red>").update(paint([("red", 9, 9, 20, 20)]), 0).to_json()
    line, check = copy.deepcopy(line | ROS_LINE), validator("localization")
    check.validate(line)
    change(line)
    assert not check.is_valid(line)
