"""The field server over DDS: lift live, ask, save, reset, load. The model knows the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseArray
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import String
from std_srvs.srv import Trigger
from visualization_msgs.msg import Marker, MarkerArray

import find_field
from find_ros.messages.clouds import POINT_DTYPE
from find_ros.messages.images import array_to_image, stamp_to_ns
from tests.find_ros.fakes import oracle_world
from tests.find_ros.harness import (
    BEST_EFFORT,
    LATCHED,
    PATIENCE_S,
    ROOT,
    Process,
    answers,
    camera_info,
    diagnostics,
)

FIND = "oracle"
LIVE = {"model": FIND, "lift_live": True, "pose_source": "topic", "lift_rate_hz": 30.0}


@pytest.fixture(scope="module")
def world():
    return oracle_world()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("field") / "room.field"


@pytest.fixture(scope="module")
def server(robot, path, world):
    parameters = LIVE | {"save_path": str(path), "save_every_s": 0.2}
    with Process("field_server", parameters) as process:
        show_all(robot, process, world[1])
        yield process


def show_all(robot, process, frames) -> None:
    """Each view until it is lifted."""
    heard = robot.hear(DiagnosticArray, "/diagnostics")
    for number, frame in enumerate(frames, start=1):
        robot.wait(
            lambda n=number: int(diagnostics(heard, "field_server").get("lifted", 0)) >= n,
            f"lift {number}",
            process,
            lambda f=frame: show(robot, f),
        )


def show(robot, frame, pose: bool = True) -> None:
    header = robot.header()
    height, width = frame.rgb.shape[:2]
    info = camera_info(width=width, height=height)
    info.k = frame.K.ravel().tolist()
    info.p = np.hstack([frame.K, np.zeros((3, 1))]).ravel().tolist()
    if pose:
        robot.pose(frame.T_world_camera, "world", stamp_to_ns(header.stamp))
    robot.publish("/camera_info", info)
    depth_m = np.nan_to_num(frame.depth_m).astype(np.float32)
    robot.publish("/depth", array_to_image(depth_m, "32FC1", header), BEST_EFFORT)
    robot.publish("/image", array_to_image(frame.rgb, "rgb8", header), BEST_EFFORT)


def query(robot, process, text: str, accept=lambda a: True) -> dict:
    heard = robot.hear(String, "/field_server/answer")
    ask = lambda: robot.publish("/field_server/query", String(data=text))  # noqa: E731
    good = robot.wait(lambda: [a for a in answers(heard) if accept(a)], "an answer", process, ask)
    return good[-1]


def test_feature(robot, server, world):
    """An answer is one message: the id, and where, in metres of the world; viewers see it too."""
    kinds = {"hits": PoseArray, "hit_points": PointCloud2, "markers": MarkerArray}
    heard = {t: robot.hear(k, f"/field_server/{t}", LATCHED) for t, k in kinds.items()}
    thing = world[0].things[0]
    text = json.dumps(
        {"id": "q-7", "version": 1, "prompt": f"the <{thing.name}>", "references": {}}
    )
    answer = query(robot, server, text)
    assert answer["id"] == "q-7" and answer["error"] == ""
    jsonschema = pytest.importorskip("jsonschema")
    schema = Path(ROOT, "find_field/schemas/field_answer.schema.json").read_text()
    jsonschema.validate(answer["answer"], json.loads(schema))
    assert answer["answer"]["frame"] == "world"
    hit = answer["answer"]["entities"][0]["hits"][0]
    np.testing.assert_allclose(hit["centroid_world_m"], thing.centre_m, atol=0.03)
    robot.wait(lambda: all(heard.values()), "what viewers see", server)
    pose = heard["hits"][-1].poses[0].position
    np.testing.assert_allclose([pose.x, pose.y, pose.z], thing.centre_m, atol=0.03)
    points = np.frombuffer(bytes(heard["hit_points"][-1].data), POINT_DTYPE)
    assert len(points) == hit["points"] and set(points["label"]) == {1}
    shown = heard["markers"][-1].markers
    assert shown[0].action == Marker.DELETEALL and thing.name in shown[2].text
    assert all(m.header.frame_id == "world" for m in shown)


def test_a_plain_sentence_and_a_bad_one(robot, server, world):
    names = [thing.name for thing in world[0].things]
    both = query(
        robot,
        server,
        f"<{names[0]}> by <{names[1]}>",
        lambda a: a["answer"] and a["prompt"].count("<") == 2,
    )
    assert [e["found"] for e in both["answer"]["entities"]] == [True, True] and both["id"] is None
    bad = query(robot, server, "the <mug", lambda a: a["error"])
    assert "never closed" in bad["error"] and bad["answer"] is None
    bad = query(robot, server, '{"id": 3, "prompt": 5}', lambda a: a["id"] == 3)
    assert bad["error"]


def test_frames_without_a_pose_are_counted_not_lifted(robot, server, world):
    heard = robot.hear(DiagnosticArray, "/diagnostics")
    values = robot.wait(
        lambda: (
            diagnostics(heard, "field_server")
            if "dropped/no_transform" in diagnostics(heard, "field_server")
            else None
        ),
        "the count",
        server,
        lambda: show(robot, world[1][0], pose=False),
    )
    assert values["dropped/no_transform"] != "0"


def test_its_file_follows_the_field(robot, server, path):
    """Without being asked; what stands there is the whole field of now."""
    heard = robot.hear(DiagnosticArray, "/diagnostics")

    def written() -> bool:
        values = diagnostics(heard, "field_server")
        if not path.exists() or int(values.get("saves", 0)) == 0:
            return False
        return len(find_field.load(path)) == int(values["voxels"])

    robot.wait(written, "the file", server)


def test_save_load_and_reset(robot, server, world, path):
    saved = robot.call(Trigger, "/field_server/save", Trigger.Request())
    assert saved.success and str(path) in saved.message and path.stat().st_size > 1000
    thing = world[0].things[1]
    parameters = {"model": FIND, "field": str(path)}
    with Process("field_server", parameters, {"__node": "second"}) as second:
        heard = robot.hear(String, "/second/answer")
        ask = lambda: robot.publish("/second/query", String(data=f"<{thing.name}>"))  # noqa: E731
        good = robot.wait(
            lambda: [a for a in answers(heard) if a["answer"]], "an answer", second, ask
        )
        hit = good[-1]["answer"]["entities"][0]["hits"][0]
        # The mean of the surface that was seen: within the thing, not on its middle.
        within_m = max(thing.size_m) / 2
        np.testing.assert_allclose(hit["centroid_world_m"], thing.centre_m, atol=within_m)
        assert second.interrupt() == 0 and "Traceback" not in second.log
    assert robot.call(Trigger, "/field_server/reset", Trigger.Request()).success
    empty = query(robot, server, f"<{thing.name}>", lambda a: a["error"])
    assert "empty" in empty["error"]
    refused = robot.call(Trigger, "/field_server/save", Trigger.Request())
    assert not refused.success and "empty" in refused.message


def test_exception(_ros, tmp_path, robot):
    nothing = Process("field_server", {"model": FIND})
    assert nothing.process.wait(PATIENCE_S) == 2 and "needs a field or a camera" in nothing.log
    missing = {"model": FIND, "field": str(tmp_path / "none.field")}
    with Process("field_server", missing, {"__node": "third"}) as process:
        heard = robot.hear(DiagnosticArray, "/diagnostics")
        robot.wait(lambda: "none.field" in diagnostics(heard, "third").get("message", ""), "why")
        assert process.interrupt() == 0


def test_sigint(server):
    """Last of this module."""
    assert server.interrupt() == 0 and "Traceback" not in server.log, server.log
