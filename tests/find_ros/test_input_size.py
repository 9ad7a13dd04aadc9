"""The localizer's input size over DDS: another one while it works, and values that cannot be."""

from __future__ import annotations

import itertools

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import GetParameters
from std_msgs.msg import String

from tests.find_ros.harness import Process, answers, diagnostics
from tests.find_ros.test_localizer import set_parameter


@pytest.fixture(scope="module")
def localizer(robot):
    with Process(
        "localizer", {"model": "sized", "prompt": "the <red>", "max_age_s": 0.0}
    ) as process:
        yield process


@pytest.fixture(scope="module")
def show(robot):
    """Frames 50 ms apart by their stamps, however long they take."""
    stamps_ns = itertools.count(10**18, 5 * 10**7)
    return lambda: robot.show(stamp_ns=next(stamps_ns))


def input_px(robot) -> int:
    request = GetParameters.Request(names=["input_px"])
    answer = robot.call(GetParameters, "/localizer/get_parameters", request)
    return answer.values[0].integer_value


def test_another_size_is_taken_over_while_frames_are_answered(robot, localizer, show):
    told = robot.hear(DiagnosticArray, "/diagnostics")
    heard = robot.hear(String, "/localizer/localization")
    robot.wait(lambda: heard and diagnostics(told).get("input_px") == "128", "it", localizer, show)
    assert set_parameter(robot, "input_px", 64).successful
    robot.wait(lambda: diagnostics(told).get("input_px") == "64", "it", localizer, show)
    assert diagnostics(told)["input_px_own"] == "128" and input_px(robot) == 64
    before = len(heard)
    robot.wait(lambda: len(heard) > before, "an answer at it", localizer, show)
    ids = {a["entities"][0]["track_id"] for a in answers(heard)}
    assert ids == {1}, "what is followed stays the same thing"


def test_a_size_that_fails_leaves_the_one_of_before(robot, localizer, show):
    told = robot.hear(DiagnosticArray, "/diagnostics")
    before = input_px(robot)
    assert set_parameter(robot, "input_px", 160).successful
    values = robot.wait(
        lambda: (d := diagnostics(told)).get("input_px_error") and d, "why not", localizer
    )
    assert (
        "input_px 160 was not taken: The GPU's memory does not hold it" in values["input_px_error"]
    )
    robot.wait(lambda: input_px(robot) == before, "the value of before", localizer)
    heard = robot.hear(String, "/localizer/localization")
    robot.wait(lambda: heard, "an answer", localizer, show)


def test_exception(robot, localizer):
    before = input_px(robot)
    for px, reason in ((400, "takes at most 384"), (5000, "range")):
        result = set_parameter(robot, "input_px", px)
        assert not result.successful and reason in result.reason
    assert input_px(robot) == before
