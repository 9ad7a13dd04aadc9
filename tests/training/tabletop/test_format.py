"""The on-disk form."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

pytest.importorskip("trimesh", reason="the kinds' table comes with the procedural shapes")

from training.tabletop import format as fmt


def scene(index=0, **more):
    instance = {k: 0 for k in fmt.INSTANCE_KEYS} | {"id": 1}
    return {
        "index": index,
        "seed": 1,
        "K": [],
        "T_world_camera": [],
        "instances": [instance],
        "relations": [],
        "phrases": [],
        "sentences": [],
        "captions": [],
        "absent": [],
    } | more


def test_a_good_scene_passes():
    good = scene(
        phrases=[{"text": "mug", "instance_ids": [1], "type": "name", "matches": ["a"]}],
        sentences=[{"text": "the <mug>", "entities": [[1]]}],
    )
    assert fmt.check_scene(good) == []


@pytest.mark.parametrize(
    "more",
    [
        {"phrases": [{"text": "mug", "instance_ids": [7], "type": "name", "matches": []}]},
        {"phrases": [{"text": "mug", "instance_ids": [], "type": "name", "matches": []}]},
        {"phrases": [{"text": "mug", "instance_ids": [1], "type": "poem", "matches": []}]},
        {"sentences": [{"text": "the <mug> and the <cup>", "entities": [[1]]}]},
        {"sentences": [{"text": "the <mug>", "entities": [[]]}]},
        {"relations": [[1, "on", 9]]},
    ],
)
def test_broken_scenes_are_named(more):
    assert fmt.check_scene(scene(**more))


def test_missing_key():
    broken = scene()
    del broken["absent"]
    assert fmt.check_scene(broken) == ["missing absent"]


def test_images_survive(tmp_path):
    ids = np.arange(12, dtype=np.uint16).reshape(3, 4) * 1000
    fmt.write_image(tmp_path / "a.png", ids)
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED), ids)
    rgb = np.zeros((8, 8, 3), np.uint8)
    rgb[..., 0] = 200
    fmt.write_image(tmp_path / "b.jpg", rgb)
    assert cv2.imread(str(tmp_path / "b.jpg"))[4, 4, 2] > 180  # red stays red


def test_depth_in_millimetres():
    depth = np.array([[0.0, 1.2344, 70.0]])
    assert fmt.depth_to_mm(depth).tolist() == [[0, 1234, 0]]


def test_merge_orders_and_skips_unfinished(tmp_path):
    (tmp_path / ".scenes").mkdir()
    for index in (2, 0):
        fmt.write_bytes(fmt.part_path(tmp_path, index), fmt.scene_line(scene(index)).encode())
    (tmp_path / ".scenes" / ".000001.json.1.tmp").write_text("half a sce")
    assert fmt.finished(tmp_path) == {0, 2}
    assert fmt.merge(tmp_path) == 2
    assert [s["index"] for s in fmt.read_scenes(tmp_path)] == [0, 2]


def test_rounded_is_plain_json():
    values = fmt.rounded([np.float32(0.1), np.int64(3), np.array([[-0.0, 1 / 3]]), True, "x"])
    assert json.dumps(values) == '[0.1, 3, [[0.0, 0.33333]], true, "x"]'
