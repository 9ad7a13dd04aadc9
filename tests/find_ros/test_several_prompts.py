"""Several prompts in one localizer, over DDS: who asks beside the node's own prompt disturbs nobody."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import String

from find_ros.messages.images import array_to_image
from tests.find_ros.harness import LATCHED, Process, answers, diagnostics, scene

BLUE_XYXY = [60.0, 40.0, 80.0, 60.0]


@pytest.fixture(scope="module")
def localizer(robot):
    parameters = {"model": "brittle", "prompt": "the <red>", "max_prompts": 2}
    with Process("localizer", parameters | {"reference_wait_s": 1.0}) as process:
        heard = robot.hear(String, "/localizer/localization")
        robot.wait(lambda: heard, "a first answer", process, robot.show)
        yield process


@pytest.fixture
def told(robot, localizer):
    """Publishes a request once and gives the statuses of its id from then on."""

    def told(request: dict, accept):
        heard = robot.hear(String, "/localizer/prompt_status", LATCHED)
        publisher = "/localizer/prompt"
        robot.publish(publisher, String())  # malformed: the publisher is matched when it is heard
        robot.wait(
            lambda: any(a["prompt"] == "" for a in answers(heard)),
            "a status",
            localizer,
            lambda: robot.publish(publisher, String()),
        )
        robot.publish(publisher, String(data=json.dumps(request)))
        own = lambda: [a for a in answers(heard) if a["id"] == request.get("id", "")]  # noqa: E731
        robot.wait(lambda: any(accept(a) for a in own()), "the status", localizer)
        return own()

    return told


def seen(robot, localizer, accept) -> list[dict]:
    """Answers to what is shown from now on, until `accept` is happy with them."""
    heard = robot.hear(String, "/localizer/localization")
    shown: set[int] = set()
    fresh = lambda: [a for a in answers(heard) if a["stamp_ns"] in shown]  # noqa: E731
    robot.wait(lambda: accept(fresh()), "answers", localizer, lambda: shown.add(robot.show()))
    return fresh()


def active(status: dict) -> bool:
    return status["state"] == "active"


def remove(told, prompt_id: str) -> dict:
    request = {"version": 1, "id": prompt_id, "remove": True}
    return told(request, lambda s: s["state"] == "removed")[-1]


def test_feature(robot, localizer, told):
    """Both prompts are answered for the same frames; the own one's track is as if nobody had asked."""
    before = seen(robot, localizer, lambda got: got)[-1]
    status = told({"version": 1, "id": "ask/1", "prompt": "the <blue>"}, active)[-1]
    assert status["active"] == "the <red>" and status["sentence"] == "the <blue>"
    assert status["ids"] == ["ask/1"]
    got = seen(
        robot, localizer, lambda got: len({(a["stamp_ns"], a["prompt_id"]) for a in got}) > 5
    )
    by_id = {name: [a for a in got if a["prompt_id"] == name] for name in ("", "ask/1")}
    assert {a["prompt"] for a in by_id[""]} == {"the <red>"}
    assert all(a["entities"][0]["box_xyxy"] == BLUE_XYXY for a in by_id["ask/1"])
    assert {a["stamp_ns"] for a in by_id[""]} & {a["stamp_ns"] for a in by_id["ask/1"]}
    tracks = {a["entities"][0]["track_id"] for a in by_id[""]}
    assert tracks == {before["entities"][0]["track_id"]}, "the own prompt's track goes on"
    assert min(a["frame_index"] for a in by_id[""]) > before["frame_index"]
    assert remove(told, "ask/1")["ids"] == []
    quiet = seen(robot, localizer, lambda got: len(got) > 3)
    assert {a["prompt_id"] for a in quiet} == {""}


def test_a_time_to_live_ends(robot, localizer, told):
    request = {"version": 1, "id": "short", "ttl_s": 0.5, "prompt": "the <blue>"}
    states = [s["state"] for s in told(request, lambda s: s["state"] == "expired")]
    assert states == ["active", "expired"]


def test_the_picture_after_its_prompt(robot, localizer, told):
    """One status while it waits, no error; then the prompt, without another request."""
    region = {"kind": "box", "data": [20, 16, 50, 36]}
    references = {"red": {"image": {"name": "late"}, "region": region}}
    request = {"version": 1, "id": "early", "prompt": "the <red>", "references": references}
    assert told(request, lambda s: s["state"] == "waiting")[-1]["error"] == ""
    heard = robot.hear(String, "/localizer/prompt_status", LATCHED)
    image = array_to_image(scene(), "rgb8", robot.header("late"))
    robot.publish("/localizer/reference", image, LATCHED)
    robot.wait(lambda: answers(heard), "a status", localizer)
    assert [(s["id"], s["state"]) for s in answers(heard)] == [("early", "active")]
    remove(told, "early")


def test_a_picture_that_never_comes(told):
    references = {"red": {"image": {"name": "none"}, "region": {"kind": "point", "data": [1, 1]}}}
    request = {"version": 1, "id": "lost", "prompt": "the <red>", "references": references}
    states = told(request, lambda s: s["error"])
    assert [s["state"] for s in states] == ["waiting", "refused"] and "'none'" in states[1]["error"]


def test_no_more_than_allowed(robot, localizer, told):
    for name in ("one", "two"):
        told({"version": 1, "id": name, "prompt": "the <blue>"}, active)
    refused = told({"version": 1, "id": "three", "prompt": "the <blue>"}, lambda s: s["error"])[-1]
    assert "max_prompts" in refused["error"] and refused["ids"] == ["one", "two"]
    heard = robot.hear(DiagnosticArray, "/diagnostics")
    robot.wait(lambda: diagnostics(heard).get("prompts") == "3", "diagnostics", localizer)
    for name in ("one", "two"):
        remove(told, name)


def test_a_prompt_that_the_model_fails_on_costs_the_others_nothing(robot, localizer, told):
    """It compiles, and then fails in each frame: it goes, its asker is told, no frame is lost."""
    told({"version": 1, "id": "good", "prompt": "the <blue>"}, active)
    heard = robot.hear(DiagnosticArray, "/diagnostics")
    bad = {"version": 1, "id": "bad", "prompt": "the <green>"}
    told(bad, active)
    statuses = robot.hear(String, "/localizer/prompt_status", LATCHED)
    robot.wait(lambda: answers(statuses), "the refusal", localizer, robot.show)
    refused = answers(statuses)[-1]
    assert refused["state"] == "refused" and "no green today" in refused["error"]
    assert refused["id"] == "bad" and refused["ids"] == ["good"]
    both = lambda got: {a["prompt_id"] for a in got} == {"", "good"}  # noqa: E731
    assert seen(robot, localizer, both)
    del heard[:]
    robot.wait(lambda: diagnostics(heard), "diagnostics", localizer)
    assert "dropped/inference_error" not in diagnostics(heard)
    remove(told, "good")
