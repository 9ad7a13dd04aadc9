"""examples/pick_with_client.py against the real nodes: a script, a leaf, and the field server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from scipy.spatial.transform import Rotation
from std_msgs.msg import String

from examples.pick_with_client import GraspLeaf, find_grasp
from find_core.images import write_image
from find_ros.client import Finder, NoFieldServerError, PromptRefusedError
from find_ros.messages.images import array_to_image, stamp_to_ns
from tests.find_ros.client.camera import Camera
from tests.find_ros.fakes import oracle_world
from tests.find_ros.harness import BEST_EFFORT, PATIENCE_S, ROOT, Process, camera_info

T_BASE_WORLD = np.eye(4)
T_BASE_WORLD[:3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
T_BASE_WORLD[:3, 3] = 0.5, 0.1, 0.2
QUATERNION = [str(v) for v in Rotation.from_euler("z", 90, degrees=True).as_quat()]


@pytest.fixture(scope="module")
def world():
    return oracle_world()


@pytest.fixture(scope="module")
def thing(world):
    """What the first view shows whole, and best."""
    world, frames, oracle = world
    scene = oracle.encode(frames[0].rgb)
    scores = {t.name: scene.localize(f"the <{t.name}>").entities[0] for t in world.things}
    best = max(world.things, key=lambda t: scores[t.name].mask.sum() * scores[t.name].found)
    assert scores[best.name].found
    return best


@pytest.fixture(scope="module")
def localizer(robot, world):
    """It publishes places in `world`; the client's base is known by a fixed transform."""
    parameters = {"model": "oracle", "use_depth": True, "target_frame": "world"}
    parameters |= {"pose_source": "topic", "depth_wait_s": 0.5}
    with Process("localizer", parameters) as process, Camera(lambda: show(robot, world[1][0])):
        yield process


def show(robot, frame) -> None:
    header = robot.header()
    height, width = frame.rgb.shape[:2]
    info = camera_info(width=width, height=height)
    info.k = frame.K.ravel().tolist()
    info.p = np.hstack([frame.K, np.zeros((3, 1))]).ravel().tolist()
    robot.pose(frame.T_world_camera, "world", stamp_to_ns(header.stamp))
    robot.publish("/camera_info", info)
    depth_m = np.nan_to_num(frame.depth_m).astype(np.float32)
    robot.publish("/depth", array_to_image(depth_m, "32FC1", header), BEST_EFFORT)
    robot.publish("/image", array_to_image(frame.rgb, "rgb8", header), BEST_EFFORT)


def in_base(point_world_m) -> np.ndarray:
    return T_BASE_WORLD[:3, :3] @ point_world_m + T_BASE_WORLD[:3, 3]


def check(grasp_position_m, approach, thing) -> None:
    """Above the object's middle, within its height, straight down."""
    want_m = in_base(np.asarray(thing.centre_m))
    np.testing.assert_allclose(grasp_position_m[:2], want_m[:2], atol=0.03)
    assert abs(grasp_position_m[2] - want_m[2]) < thing.size_m[2] / 2 + 0.02
    np.testing.assert_allclose(approach, [0, 0, -1], atol=0.02)


def test_as_a_script(localizer, thing):
    command = [sys.executable, "examples/pick_with_client.py", f"the <{thing.name}>"]
    pose = ["world", *(str(v) for v in T_BASE_WORLD[:3, 3]), *QUATERNION]
    done = subprocess.run(
        [*command, "--timeout", "60", "--camera", *pose], capture_output=True, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert out["frame"] == "base_link" and 0 < out["width_m"] < 0.3
    check(out["position_m"], out["approach"], thing)


def test_as_a_script_that_fails_in_a_sentence(localizer, thing, tmp_path):
    write_image(tmp_path / "photo.png", np.zeros((20, 20, 3), np.uint8))
    command = [sys.executable, "examples/pick_with_client.py", f"the <{thing.name}> <it>"]
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


def test_as_a_leaf_of_a_behaviour_tree(finder, thing):
    blackboard: dict = {}
    question = {"target_frame": "base_link", "timeout_s": PATIENCE_S}
    leaf = GraspLeaf(finder, blackboard, prompt=f"the <{thing.name}>", **question)
    began_s = time.monotonic()
    assert leaf.tick() == "running" and time.monotonic() - began_s < 1.0, "a tick does not block"
    assert tick(leaf) == "success"
    check(blackboard["grasp"].position_m, blackboard["grasp"].approach, thing)
    assert tick(leaf) == "success", "and anew"
    leaf.tick()
    leaf.halt()
    wrong = GraspLeaf(finder, blackboard, prompt="the <mug", **question)
    assert wrong.tick() == "failure" and "never closed" in blackboard["error"]
    lost = GraspLeaf(
        finder, blackboard, prompt=f"the <{thing.name}>", target_frame="odom", timeout_s=3.0
    )
    assert tick(lost) == "failure" and "odom" in blackboard["error"]


def test_in_one_call_and_the_field_agrees(robot, finder, thing, world, tmp_path_factory):
    """The same object from the live image and from the field: one place, in one frame."""
    path = tmp_path_factory.mktemp("client") / "room.field"
    import find_field as ff

    ff.lift(world[1], world[2], voxel_size_m=0.01).save(path)
    grasp = find_grasp(finder, f"the <{thing.name}>", "base_link", PATIENCE_S)
    check(grasp.position_m, grasp.approach, thing)
    with Process("field_server", {"model": "oracle", "field": str(path)}) as server:
        hits = finder.ask_field(
            f"the <{thing.name}>", timeout_s=PATIENCE_S, target_frame="base_link"
        )
        assert hits[0].label == thing.name and hits[0].place.frame_id == "base_link"
        np.testing.assert_allclose(
            hits[0].place.T_frame_object[:2, 3], in_base(np.asarray(thing.centre_m))[:2], atol=0.03
        )
        assert hits[0].score > 0.5 and hits[0].points > 20
        plain = finder.ask_field(f"the <{thing.name}>", timeout_s=PATIENCE_S)
        assert plain[0].place.frame_id == "world"
        with pytest.raises(PromptRefusedError):
            finder.ask_field("the <unheard of>", timeout_s=PATIENCE_S)
        heard = robot.hear(String, "/field_server/answer")
        assert not heard, "no answer is to nobody"
        # Killed in the middle: the query goes to the next one.
        server.process.kill()
        asked = finder._ask_field(f"the <{thing.name}>", None, PATIENCE_S, "")
        with Process("field_server", {"model": "oracle", "field": str(path)}):
            assert asked.future.result(PATIENCE_S)[0].label == thing.name
    with Finder(robot.node, field_server="/none", discovery_s=0.5) as other:
        with pytest.raises(NoFieldServerError):
            other.ask_field("the <mug>")
