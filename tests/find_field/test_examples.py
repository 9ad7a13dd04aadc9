from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("pick", ROOT / "examples/pick_from_field.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["pick"] = module
    spec.loader.exec_module(module)
    return module


def test_grasp_comes_from_above_across_the_narrow_side(example, world, room, oracle):
    thing = world.things[5]
    grasp = example.top_down_grasp(room.query(thing.name, oracle)[0], finger_depth_m=0.02)
    T = grasp.T_world_gripper
    np.testing.assert_allclose(T[:3, :3].T @ T[:3, :3], np.eye(3), atol=1e-9)
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1)
    np.testing.assert_allclose(grasp.approach, [0, 0, -1], atol=1e-9)
    np.testing.assert_allclose(grasp.position_m[:2], thing.centre_m[:2], atol=0.01)
    assert grasp.position_m[2] == pytest.approx(thing.size_m[2] - 0.02, abs=0.01)
    assert grasp.width_m == pytest.approx(min(thing.size_m[:2]) + 0.02, abs=0.015)
    closing = thing.T_world_object[:3, int(np.argmin(thing.size_m[:2]))]
    assert abs(T[:3, 0] @ closing) > 0.98


def test_flat_things_are_not_grasped_through_the_table(example, room, oracle):
    hit = room.query("red box", oracle)[0]
    grasp = example.top_down_grasp(hit, finger_depth_m=1.0)
    assert grasp.position_m[2] == pytest.approx(hit.T_world_object[2, 3])


def test_the_opening_is_measured_and_the_tips_stay_above_the_table(example, world, room, oracle):
    thing = world.things[5]
    hit = room.query(thing.name, oracle)[0]
    around = room.surroundings(hit)
    grasp = example.top_down_grasp(hit, finger_depth_m=1.0, clearance_m=0.02, around=around)
    assert grasp.width_m == pytest.approx(min(thing.size_m[:2]) + 0.04, abs=0.01)
    assert grasp.position_m[2] >= around.support_m + 0.02 - 1e-9
    flat = dataclasses.replace(around, support_m=float(grasp.position_m[2]))
    higher = example.top_down_grasp(hit, finger_depth_m=1.0, clearance_m=0.02, around=flat)
    assert higher.position_m[2] == pytest.approx(min(flat.support_m + 0.02, around.top_m), abs=1e-6)
