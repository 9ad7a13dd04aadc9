"""Two cameras of which one has depth: nobody waits for the other's, and the client hears both."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.event_handler import PublisherEventCallbacks
from sensor_msgs.msg import Image
from std_msgs.msg import String

from find_ros.client import Finder
from tests.find_core.video.fakes import paint
from tests.find_ros.client.camera import Camera
from tests.find_ros.harness import (
    HEIGHT,
    LATCHED,
    PATIENCE_S,
    WIDTH,
    Process,
    answers,
    camera_info,
    diagnostics,
)

DEPTH = np.full((HEIGHT, WIDTH), 2000, np.uint16)
PARAMETERS = {
    "model": "color", "prompt": "the <red>", "cameras": ["front", "wrist"], "use_depth": True,
    "depth_cameras": ["front"], "depth_wait_s": 2.0, "max_age_s": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def localizer(robot):
    with Process("localizer", PARAMETERS) as process:
        heard = robot.hear(String, "/localizer/front/localization")
        robot.wait(lambda: heard, "a first answer", process, lambda: show(robot))
        yield process


def show(robot) -> None:
    """Red and blue in front, blue alone at the wrist."""
    robot.show_rgbd(DEPTH, "16UC1", camera_info(), prefix="/front/")
    robot.show(paint([("blue", 10, 10, 20, 20)], HEIGHT, WIDTH), topic="/wrist/image")


def test_each_camera_as_it_is(robot, localizer):
    heard = {c: robot.hear(String, f"/localizer/{c}/localization") for c in ("front", "wrist")}
    robot.wait(
        lambda: (
            any("objects_3d" in a for a in answers(heard["front"])) and len(heard["wrist"]) > 3
        ),
        "answers of both", localizer, lambda: show(robot),
    )  # fmt: skip
    wrist = answers(heard["wrist"])
    assert not any({"objects_3d", "without_3d"} & set(a) for a in wrist), "it has no depth to miss"


def test_no_camera_is_said_to_miss_what_it_has_not(robot, localizer):
    """Nothing is waited for, once images come; no topic of the wrist's depth exists."""
    heard = robot.hear(DiagnosticArray, "/diagnostics")
    robot.wait(
        lambda: "without_3d" not in str(diagnostics(heard)) and diagnostics(heard).get("message") == "active",
        "nothing missing", localizer, lambda: show(robot),
    )  # fmt: skip
    levels = [s.level for m in heard[-1:] for s in m.status if s.name.endswith(": localizer")]
    assert levels == [DiagnosticStatus.OK]
    topics = {n for n, _ in robot.node.get_subscriber_names_and_types_by_node("localizer", "/")}
    assert {"/front/depth", "/front/image", "/wrist/image"} <= topics
    assert not {"/wrist/depth", "/wrist/camera_info"} & topics


def test_the_client_says_which_camera_saw_it(robot, localizer):
    with (
        Camera(lambda: show(robot)),
        Finder(robot.node, cameras=["front", "wrist"], discovery_s=PATIENCE_S) as finder,
    ):
        found = finder.locate("the <red>", timeout_s=PATIENCE_S)
        assert found.camera == "front" and found.place is not None
        cameras, seen = set(), lambda result: cameras.add((result.camera, result.place is None))
        with finder.watch("the <blue>", seen):
            want = {("front", False), ("wrist", True)}
            robot.wait(lambda: want <= cameras, "both cameras", localizer)


def test_publishers_are_not_told_that_nothing_will_be_sent(robot, localizer):
    """Of default quality of service, as `ros2 topic pub` and any script has it."""
    told: list = []
    events = PublisherEventCallbacks(incompatible_qos=told.append)
    publishers = [
        robot.node.create_publisher(kind, f"/localizer/{topic}", 10, event_callbacks=events)
        for kind, topic in ((String, "prompt"), (Image, "reference"))
    ]
    statuses = robot.hear(String, "/localizer/prompt_status", LATCHED)
    robot.wait(
        lambda: all(p.get_subscription_count() for p in publishers), "subscriptions", localizer
    )
    publishers[0].publish(String(data="a <blue>"))
    robot.wait(lambda: [a for a in answers(statuses) if a["prompt"] == "a <blue>"], "it", localizer)
    assert not told
    assert [p.get_subscription_count() for p in publishers] == [1, 1]
    for publisher in publishers:
        robot.node.destroy_publisher(publisher)
