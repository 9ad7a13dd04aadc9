"""The demo's recording in 3D, from a folder as the camera player plays it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from find_core.drawing import entity_color
from find_core.prompts.prompt import Prompt
from find_field.evaluation.toy_world import sample_world
from find_ros.demo_field import MOST_FRAMES, lifted_cloud
from tests.find_field.folders import write_sequence


def test_a_recording_with_poses_becomes_a_cloud(tmp_path):
    world = sample_world(seed=0, count=4)
    oracle = world.oracle()
    frames = world.frames(MOST_FRAMES + 2, (60, 80), oracle=oracle)
    write_sequence(tmp_path, frames)
    seen = []
    oracle.encode, encode = lambda image: seen.append(1) or encode(image), oracle.encode
    prompt = Prompt.parse("the <red box> by the <violin>")
    cloud = lifted_cloud(str(tmp_path), prompt, lambda: oracle)
    assert cloud is not None and len(seen) == MOST_FRAMES
    [box] = cloud.boxes
    assert box.label == "red box" and "score" in box.says and box.color == entity_color(0)
    assert np.linalg.norm(box.corners_m.mean(axis=0) - world.things[0].centre_m) < 0.03
    assert len(cloud.points_m) == len(cloud.colors) > 100


def test_what_has_no_poses_has_no_field(tmp_path):
    def load():
        pytest.fail("a model was loaded for nothing")

    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    prompt = Prompt.parse("the <mug>")
    assert lifted_cloud(str(tmp_path), prompt, load) is None
    assert lifted_cloud(str(tmp_path / "film.mp4"), prompt, load) is None
