"""examples/pick_with_client.py against the real nodes: a script, a leaf, and the field server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from scipy.spatial.transform import Rotation

import find_field as ff
from examples.pick_with_client import GraspLeaf, find_grasp
from find_core.errors import FindError
from find_core.images import write_image
from find_ros.client import Finder, NoTransformError, PromptRefusedError
from tests.find_ros.client.camera import Camera
from tests.find_ros.fakes import oracle_world
from tests.find_ros.harness import HEIGHT, PATIENCE_S, RED_BOX, ROOT, WIDTH, Process, camera_info

T_BASE_WORLD = np.eye(4)
T_BASE_WORLD[:3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
T_BASE_WORLD[:3, 3] = 0.5, 0.1, 0.2
# Straight down: the image's x is the world's -y, its y the world's -x.
T_WORLD_CAMERA = np.array([[0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, -1, 1.0], [0, 0, 0, 1]])
_TOP_CAMERA_M = np.array([(34.5 - 48) / 100 * 0.9, (25.5 - 36) / 100 * 0.9, 0.9, 1])
TOP_BASE_M = (T_BASE_WORLD @ T_WORLD_CAMERA @ _TOP_CAMERA_M)[:3]
QUATERNION = [str(v) for v in Rotation.from_euler("z", 90, degrees=True).as_quat()]


@pytest.fixture(scope="module")
def localizer(robot):
    """Places in `world`, by a camera 1 m above the table; the client knows the robot's base in it."""
    parameters = {"model": "color", "use_depth": True, "target_frame": "world"}
    parameters |= {"pose_source": "topic", "depth_wait_s": 0.5}
    with Process("localizer", parameters) as process, Camera(lambda: show(robot)):
        yield process


def show(robot) -> None:
    """The red rectangle is a box's top, 0.1 m above the table."""
    depth = np.full((HEIGHT, WIDTH), 1000, np.uint16)
    x, y, w, h = RED_BOX
    depth[y : y + h, x : x + w] = 900
    robot.pose(T_WORLD_CAMERA, "world", robot.show_rgbd(depth, "16UC1", camera_info()))


def check(grasp_position_m, approach, width_m) -> None:
    """Over the box's middle, straight down, across its narrow side."""
    np.testing.assert_allclose(grasp_position_m, TOP_BASE_M, atol=0.01)
    np.testing.assert_allclose(approach, [0, 0, -1], atol=1e-3)
    assert width_m == pytest.approx(0.18 + 0.02, abs=0.015)


def test_as_a_script(localizer):
    command = [sys.executable, "examples/pick_with_client.py", "the <red>"]
    pose = ["world", *(str(v) for v in T_BASE_WORLD[:3, 3]), *QUATERNION]
    done = subprocess.run(
        [*command, "--timeout", "60", "--transform", *pose], capture_output=True, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert out["frame"] == "base_link"
    check(out["position_m"], out["approach"], out["width_m"])


def test_as_a_script_that_fails_in_a_sentence(localizer, tmp_path):
    write_image(tmp_path / "photo.png", np.zeros((20, 20, 3), np.uint8))
    command = [sys.executable, "examples/pick_with_client.py", "the <red> <it>"]
    done = subprocess.run(
        [*command, "--show", f"it={tmp_path}/photo.png:30,30,40,40"], capture_output=True, text=True,
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 1 and "outside" in done.stderr and "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def finder(robot, localizer):
    transforms = {("base_link", "world"): T_BASE_WORLD}
    with Finder(robot.node, transforms=transforms, discovery_s=PATIENCE_S) as finder:
        yield finder


def tick(leaf) -> str:
    end_s = time.monotonic() + PATIENCE_S
    while (state := leaf.tick()) == "running" and time.monotonic() < end_s:
        time.sleep(0.02)
    return state


def test_as_a_leaf_of_a_behaviour_tree(finder):
    blackboard: dict = {}
    question = {"target_frame": "base_link", "timeout_s": PATIENCE_S}
    leaf = GraspLeaf(finder, blackboard, prompt="the <red>", **question)
    began_s = time.monotonic()
    assert leaf.tick() == "running" and time.monotonic() - began_s < PATIENCE_S / 2, (
        "a tick does not block"
    )
    assert tick(leaf) == "success"
    grasp = blackboard["grasp"]
    check(grasp.position_m, grasp.approach, grasp.width_m)
    assert tick(leaf) == "success", "and anew"
    leaf.tick()
    leaf.halt()
    wrong = GraspLeaf(finder, blackboard, prompt="the <mug", **question)
    assert wrong.tick() == "failure" and "never closed" in blackboard["error"]
    lost = GraspLeaf(finder, blackboard, prompt="the <red>", target_frame="odom", timeout_s=3.0)
    assert tick(lost) == "failure" and "odom" in blackboard["error"]


def test_in_one_call(finder):
    grasp = find_grasp(finder, "the <red>", "base_link", PATIENCE_S)
    check(grasp.position_m, grasp.approach, grasp.width_m)


def test_a_box_that_leans_is_not_grasped_from_above(robot, finder):
    """A frame whose z is not up, such as a camera's: said, not grasped sideways."""
    tilted = {("base_link", "world"): T_WORLD_CAMERA[:, [2, 0, 1, 3]]}
    with (
        Finder(robot.node, transforms=tilted, discovery_s=PATIENCE_S) as other,
        pytest.raises(FindError, match="target_frame"),
    ):
        find_grasp(other, "the <red>", "base_link", PATIENCE_S)


def test_the_field_server_too(robot, finder, tmp_path):
    """Hits in the robot's frame; a server killed in the middle is asked again when it returns."""
    world, frames, oracle = oracle_world()
    path = tmp_path / "room.field"
    ff.lift(frames, oracle, voxel_size_m=0.01).save(path)
    thing = world.things[0]
    prompt, patience = f"the <{thing.name}>", {"timeout_s": PATIENCE_S}
    with Process("field_server", {"model": "oracle", "field": str(path)}) as server:
        hits = finder.ask_field(prompt, target_frame="base_link", **patience)
        assert hits[0].label == thing.name and hits[0].place.frame_id == "base_link"
        want_m = T_BASE_WORLD[:3, :3] @ thing.centre_m + T_BASE_WORLD[:3, 3]
        np.testing.assert_allclose(hits[0].T_world_object[:2, 3], want_m[:2], atol=0.03)
        assert hits[0].score > 0.5 and hits[0].points > 20
        assert finder.ask_field(prompt, **patience)[0].place.frame_id == "world"
        with pytest.raises(PromptRefusedError, match="never closed"):
            finder.ask_field("the <mug")
        with pytest.raises(NoTransformError, match="odom"):
            finder.ask_field(prompt, target_frame="odom", **patience)
        server.process.kill()
        server.process.wait()

    async def ask_while_it_restarts():
        asked = asyncio.create_task(finder.ask_field_async(prompt, **patience))
        await asyncio.sleep(0.5)
        assert not asked.done()
        with Process("field_server", {"model": "oracle", "field": str(path)}):
            return await asked

    assert asyncio.run(ask_while_it_restarts())[0].label == thing.name
