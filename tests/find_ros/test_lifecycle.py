"""States: what the node does in each, and that it ends at once from every one."""

from __future__ import annotations

import contextlib

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from std_msgs.msg import String

from tests.find_ros.harness import PATIENCE_S, Process, answers, diagnostics

FIND = "color"
CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE


def test_through_all_states_and_back(robot):
    parameters = {"model": FIND, "prompt": "<red>", "autostart": False}
    with Process("localizer", parameters) as process:
        node = robot.node
        assert robot.state() == "unconfigured"
        assert robot.change_state(CONFIGURE) and robot.state() == "inactive"
        for _ in range(2):  # it works, and works again
            assert node.count_subscribers("/image") == 0, "inactive, it listens to no camera"
            assert robot.change_state(ACTIVATE) and robot.state() == "active"
            heard = robot.hear(String, "/localizer/localization")
            robot.wait(lambda h=heard: h, "an answer", process, robot.show)
            assert robot.change_state(DEACTIVATE) and robot.state() == "inactive"
            robot.wait(lambda: node.count_subscribers("/image") == 0, "no subscription")
        assert robot.change_state(CLEANUP) and robot.state() == "unconfigured"
        assert robot.change_state(CONFIGURE) and robot.change_state(ACTIVATE)
        heard = robot.hear(String, "/localizer/localization")
        robot.wait(lambda: heard, "an answer after cleanup", process, robot.show)
        assert not robot.change_state(CONFIGURE), "no such transition from active"
        assert robot.change_state(Transition.TRANSITION_ACTIVE_SHUTDOWN)
        assert robot.state() == "finalized"
        assert process.interrupt() == 0 and "Traceback" not in process.log


@pytest.mark.parametrize("state", ["unconfigured", "inactive", "busy"])
def test_sigint_ends_it_in_any_state(robot, state):
    find = "slow" if state == "busy" else FIND
    with Process("localizer", {"model": find, "prompt": "<red>", "autostart": False}) as process:
        robot.state()
        if state != "unconfigured":
            robot.change_state(CONFIGURE)
        if state == "busy":
            robot.change_state(ACTIVATE)
            heard = robot.hear(String, "/localizer/localization")
            robot.wait(lambda: len(heard) > 1, "work", process, robot.show)
        assert process.interrupt() == 0, process.log
        assert "Traceback" not in process.log, process.log


def test_a_missing_model_is_said_and_can_be_put_right(robot):
    from tests.find_ros.test_localizer import set_parameter

    heard = robot.hear(DiagnosticArray, "/diagnostics")
    with Process("localizer", {"model": "/no/such/model", "prompt": "<red>"}) as process:
        robot.wait(
            lambda: "/no/such/model" in diagnostics(heard).get("message", ""), "why", process
        )
        assert "Not configured: " in process.log and robot.state() == "unconfigured"
        assert set_parameter(robot, "model", FIND).successful
        assert robot.change_state(CONFIGURE) and robot.change_state(ACTIVATE)
        answered = robot.hear(String, "/localizer/localization")
        robot.wait(lambda: answered, "an answer", process, robot.show)
        assert answers(answered)[-1]["entities"][0]["found"]


def test_exception_of_a_wrong_start(_ros):
    """Each ends with status 2 and one sentence, no traceback. Side by side, to save time."""
    wrong = [
        ({"threshold": 7.0}, "threshold"),
        ({"threshold": "high"}, "threshold"),
        ({"prompt": "the <mug"}, "never closed"),
        ({"image_reliability": "perfect"}, "best_effort"),
        ({"cameras": ["a", "a"]}, "name of its own"),
    ]
    started = [(Process("localizer", parameters), sentence) for parameters, sentence in wrong]
    for process, sentence in started:
        assert process.process.wait(PATIENCE_S) == 2, process.log
        assert sentence in process.log and "Traceback" not in process.log, process.log


def test_it_says_what_it_waits_for(robot):
    """In the log and in /diagnostics."""
    from sensor_msgs.msg import Image

    from tests.find_ros.harness import BEST_EFFORT

    publisher = robot.node.create_publisher(Image, "/picky", BEST_EFFORT)
    waiting = [
        ({"prompt": "<red>"}, "no publisher on /nowhere"),
        ({}, "no prompt yet"),
        ({"prompt": "<red>", "use_sim_time": True}, "no time has come on /clock"),
        ({"prompt": "<red>", "use_depth": True}, "no publisher on /depth"),
        ({"cameras": ["front"], "depth_cameras": ["side"]}, "depth_cameras names 'side'"),
        ({"image_reliability": "reliable"}, "(/robot) is best-effort and we are reliable"),
    ]
    heard = robot.hear(DiagnosticArray, "/diagnostics")
    with contextlib.ExitStack() as stack:
        for n, (parameters, sentence) in enumerate(waiting):
            topic = "/picky" if "image_reliability" in parameters else "/nowhere"
            remap = {"image": topic, "__node": f"waiting_{n}"}
            process = stack.enter_context(Process("localizer", {"model": FIND} | parameters, remap))
            waiting[n] = (process, sentence)
        for n, (process, sentence) in enumerate(waiting):
            robot.wait(
                lambda s=sentence, n=n: s in diagnostics(heard, f"waiting_{n}").get("message", ""),
                sentence,
                process,
            )
            robot.wait(lambda s=sentence, p=process: s in p.log.split("Waiting: ")[-1], "the log")
    robot.node.destroy_publisher(publisher)
