"""What anyone on the graph can send, over DDS: nothing of it ends a node, reaches a file or a shell."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import Trigger

from find_core.images import write_image
from find_ros.messages.images import array_to_image
from find_ros.support.text import printable
from tests.find_ros.harness import (
    BEST_EFFORT,
    HEIGHT,
    LATCHED,
    PATIENCE_S,
    WIDTH,
    Process,
    answers,
    camera_info,
    diagnostics,
    scene,
)
from tests.find_ros.test_localizer import set_parameter

DEPTH = np.full((HEIGHT, WIDTH), 2000, np.uint16)
# Half a character: 6 ASCII bytes of JSON that no ROS string can hold.
SURROGATE = '{"id": 1, "prompt": "<a>", "references": {"a": {"image": {"path": "/\\ud800"}}}}'


@pytest.fixture(scope="module")
def localizer(robot):
    parameters = {"model": "color", "prompt": "the <red>", "use_depth": True, "depth_wait_s": 0.5}
    parameters |= {"target_frame": "world", "pose_source": "topic", "max_prompt_bytes": 100_000}
    with Process("localizer", parameters) as process:
        heard = robot.hear(String, "/localizer/localization")
        robot.wait(lambda: heard, "a first answer", process, robot.show)
        yield process


@pytest.fixture(scope="module")
def server(robot, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "room.field"
    parameters = {"model": "oracle", "lift_live": True, "pose_source": "topic"}
    with Process("field_server", parameters | {"save_path": str(path)}) as process:
        process.path = path
        yield process


def still_answers(robot, localizer) -> None:
    heard = robot.hear(String, "/localizer/localization")
    robot.wait(lambda: heard, "an answer", localizer, robot.show)


def refusal(robot, localizer, prompt: str) -> str:
    """The sentence on ~/prompt_status, for a prompt that is refused."""
    heard = robot.hear(String, "/localizer/prompt_status", LATCHED)

    def act():
        robot.prompt("the <blue>")  # so that the same prompt is tried again
        robot.prompt(prompt)

    def refused() -> list[dict]:
        return [a for a in answers(heard) if a["error"] and a["prompt"] == printable(prompt)]

    status = robot.wait(refused, "a refusal", localizer, act)[-1]
    assert status["active"] in ("the <red>", "the <blue>") and len(json.dumps(status)) < 2000
    return status["error"]


def pose(robot, **orientation) -> PoseStamped:
    msg = PoseStamped(header=robot.header("world"))
    for name in "xyzw":
        setattr(msg.pose.orientation, name, orientation.get(name, 0.0))
    return msg


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_pose_of_a_lost_tracker_is_no_pose(robot, localizer, server, value):
    """Counted as a missing transform, told in a sentence; both nodes go on."""
    heard = robot.hear(DiagnosticArray, "/diagnostics")
    counts = lambda: int(diagnostics(heard).get("without_3d/no_transform", 0))  # noqa: E731
    robot.wait(lambda: diagnostics(heard).get("received"), "diagnostics", localizer)
    before = counts()

    def act():
        robot.publish("/camera_pose", pose(robot, x=value))
        robot.show_rgbd(DEPTH, "16UC1", camera_info())

    robot.wait(lambda: counts() > before, "the count", localizer, act)
    for process in (localizer, server):
        robot.wait(lambda p=process: "has no rotation" in p.log, "the sentence", process, act)
        assert process.log.count("has no rotation") == 1 and process.process.poll() is None


def test_a_focal_length_of_no_camera_gives_no_places(robot, localizer):
    heard, spoken = (
        robot.hear(DiagnosticArray, "/diagnostics"),
        robot.hear(String, "/localizer/localization"),
    )

    def act():
        stamp_ns = robot.show_rgbd(DEPTH, "16UC1", camera_info(fx=1e-300))
        robot.pose(np.eye(4), "world", stamp_ns)

    robot.wait(
        lambda: int(diagnostics(heard).get("without_3d/bad_camera_info", 0)), "it", localizer, act
    )
    assert not [m for m in spoken if "NaN" in m.data or "Infinity" in m.data]


def test_depth_of_another_frame_gives_no_places(robot, localizer):
    heard = robot.hear(DiagnosticArray, "/diagnostics")

    def act():
        header = robot.header("colour")
        robot.publish("/camera_info", camera_info())
        depth = array_to_image(DEPTH, "16UC1", robot.header("infrared"))
        depth.header.stamp = header.stamp
        robot.publish("/depth", depth, BEST_EFFORT)
        robot.publish("/image", array_to_image(scene(), "rgb8", header), BEST_EFFORT)

    count = lambda: int(diagnostics(heard).get("without_3d/other_frame", 0))  # noqa: E731
    robot.wait(count, "the count", localizer, act)
    assert "depth is in infrared, the image in colour" in localizer.log


def test_an_image_that_claims_gigabytes_is_refused(robot, localizer):
    """As a reference and as a frame: 3 bytes, a step of 4 GB."""
    lying = Image(height=2, width=1, step=2**32 - 1, encoding="rgb8", data=b"123")
    lying.header.frame_id = "photo"
    wide = Image(height=9000, width=9000, step=27000, encoding="rgb8", data=b"123")
    wide.header.frame_id = "photo"

    def act():
        for msg in (lying, wide):
            robot.publish("/localizer/reference", msg, LATCHED)
            msg.header.stamp = robot.header().stamp
            robot.publish("/image", msg, BEST_EFFORT)
            robot.executor.spin_once(timeout_sec=0.05)

    heard = robot.hear(DiagnosticArray, "/diagnostics")
    robot.wait(
        lambda: (v := diagnostics(heard)).get("dropped/malformed") and v.get("dropped/too_large"),
        "both counted", localizer, act,
    )  # fmt: skip
    robot.wait(lambda: "A reference was refused" in localizer.log, "the sentence", localizer, act)
    assert float(diagnostics(heard)["memory_mb"]) < 2000
    still_answers(robot, localizer)


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        (SURROGATE, "not valid Unicode"),
        ('{"prompt": "<\\ud800>"}', "not valid Unicode"),
        ('{"prompt": "<a>", "references": {"a": {"image": {"path": "/etc/shadow"}}}}', "no files"),
        ('{"prompt": "<a>", "references": {"a": {"image": {"path": "badge.png"}}}}', "no files"),
        ('{"prompt": "<a>", "references": {"a": {"image": "badge.png"}}}', "no files"),
        ('{"prompt": NaN}', "NaN"),
        ("[" * 50_000, ""),
        ('{"a":' * 15_000, ""),
        ("x" * 200_000, "100000 of max_prompt_bytes"),
        (json.dumps({"prompt": "<a>", "references": {f"r{n}": {} for n in range(40)}}), "32"),
        ('{"prompt": "<a>", "references": {"b": {"image": {"name": "b"}}}}', "never used"),
        ('{"prompt": "<a>", "references": {"a": {"image": {"png_base64": "' + "A" * 9000, ""),
        (json.dumps({"prompt": "<a>", "references": {"a" * 5000: 1}}), "never used"),
    ],
)
def test_prompts_are_refused_in_a_short_sentence(robot, localizer, prompt, sentence):
    error = refusal(robot, localizer, prompt)
    assert sentence in error and len(error) <= 600
    assert "\n" not in error and error.encode("utf-8")


def test_after_all_these_prompts_it_works(robot, localizer):
    heard = robot.hear(DiagnosticArray, "/diagnostics")
    robot.wait(lambda: diagnostics(heard).get("prompt_error"), "the error", localizer)
    assert len(diagnostics(heard)["prompt_error"]) <= 200
    assert all(len(line) < 3000 for line in localizer.log.splitlines())
    still_answers(robot, localizer)


def test_no_parameter_reaches_a_function_or_a_device(robot, localizer, tmp_path):
    """Unconfigured, so that every parameter may be set."""
    assert robot.change_state(Transition.TRANSITION_DEACTIVATE)
    assert robot.change_state(Transition.TRANSITION_CLEANUP)
    for name, value, reason in (
        ("model", "os:system", "at the start of the node only"),
        ("model", str(tmp_path), "at the start of the node only"),
        ("model", "someone/else", "at the start of the node only"),
        ("device", f"touch {tmp_path}/owned", "is no device"),
    ):
        result = set_parameter(robot, name, value)
        assert not result.successful and reason in result.reason
    assert robot.change_state(Transition.TRANSITION_CONFIGURE)
    assert robot.change_state(Transition.TRANSITION_ACTIVATE)
    still_answers(robot, localizer)
    assert not list(tmp_path.iterdir())


def ask(robot, server, text: str, accept) -> dict:
    heard = robot.hear(String, "/field_server/answer")
    act = lambda: robot.publish("/field_server/query", String(data=text))  # noqa: E731
    robot.wait(lambda: [a for a in answers(heard) if accept(a)], "an answer", server, act)
    return [a for a in answers(heard) if accept(a)][-1]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (SURROGATE, "not valid Unicode"),
        ('{"id": NaN, "prompt": "<a>"}', "NaN"),
        ('{"id": 1e999, "prompt": "<a>"}', ""),
        ('{"id": "' + "i" * 5000 + '", "prompt": "<a>"}', "longer than"),
        ('{"prompt": "<a>", "references": {"a": {"image": {"path": "/etc/shadow"}}}}', "no files"),
    ],
)
def test_queries_are_refused_in_a_short_sentence(robot, server, query, sentence):
    error = ask(robot, server, query, lambda a: sentence in a["error"])["error"]
    assert error and len(error) <= 600
    assert (
        "the field is empty"
        in ask(robot, server, "<a mug>", lambda a: "empty" in a["error"])["error"].lower()
    )


def test_what_is_saved_where_is_fixed_at_the_start(robot, server, tmp_path):
    for path in (str(tmp_path / "x.field"), "", ".", "../x.field", "/root/.bashrc"):
        assert not set_parameter(robot, "save_path", path, "field_server").successful
    server.path.write_text("not a field")
    saved = robot.call(Trigger, "/field_server/save", Trigger.Request())
    assert not saved.success and "is no field: it is not replaced" in saved.message
    assert server.path.read_text() == "not a field"
    server.path.unlink()
    assert server.process.poll() is None


def test_a_compressed_topic_of_depth_is_told_apart(robot):
    with Process("localizer", {"model": "color", "prompt": "<red>", "compressed": True}) as process:

        def act():
            msg = CompressedImage(format="16UC1; compressedDepth png", header=robot.header())
            robot.publish("/image/compressed", msg, BEST_EFFORT)

        heard = robot.hear(DiagnosticArray, "/diagnostics")
        count = lambda: diagnostics(heard).get("dropped/unsupported")  # noqa: E731
        robot.wait(count, "the count", process, act)


def test_the_player_ignores_what_is_no_answer(robot, tmp_path):
    write_image(tmp_path / "0.png", scene())
    parameters = {"source": str(tmp_path), "loop": True, "lockstep_topic": "/answers"}
    with Process("camera_player", parameters | {"lockstep_timeout_s": 0.1}) as process:
        images = robot.hear(Image, "/image", BEST_EFFORT)
        robot.wait(lambda: images, "an image", process)
        for text in (
            "",
            "{",
            "[]",
            "null",
            "3",
            '{"stamp_ns": "x"}',
            '{"stamp_ns": null}',
            "[" * 9999,
        ):
            robot.publish("/answers", String(data=text))
        del images[:]
        robot.wait(lambda: len(images) > 3, "it plays on", process)
        assert "failed" not in process.log


def wait_until_it_loads_rclpy(process: Process) -> None:
    """Before that Python itself is starting, whose own way to end is a traceback."""
    maps = Path(f"/proc/{process.process.pid}/maps")
    end_s = time.monotonic() + PATIENCE_S
    while "rclpy" not in maps.read_text():
        assert time.monotonic() < end_s and process.process.poll() is None, process.log
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("node", ["localizer", "field_server", "camera_player"])
def test_one_signal_ends_it_whenever_it_comes(_ros, tmp_path, node, number):
    """Within 2 s, also while it starts; status 0, or the signal's own before anything of it ran."""
    write_image(tmp_path / "0.png", scene())
    parameters = {
        "localizer": {"model": "tiny", "prompt": "<red>"},
        "field_server": {"model": "tiny", "lift_live": True},
        "camera_player": {"source": str(tmp_path), "loop": True},
    }[node]
    for after_s in (0.0, 0.1, 0.3, 0.6, 1.0, 2.0):
        process = Process(node, parameters, starter="find_ros.start")
        wait_until_it_loads_rclpy(process)
        time.sleep(after_s)
        process.process.send_signal(number)
        try:  # how quickly is measured by tools/end_nodes.py
            status = process.process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert status == 0 or (status == -number and not process.log.strip()), process.log
        assert "Traceback" not in process.log, process.log


def test_exception_of_a_wrong_command_line(_ros, tmp_path):
    """Sentences and status 2; integers are taken for doubles and texts."""
    write_image(tmp_path / "0.png", scene())
    wrong = [
        (Process("field_server", {"lift_live": True, "save_path": "x.txt"}), "ends in .field"),
        (Process("localizer", {"device": "rm -rf"}), "is no device"),
        (Process("localizer", {"max_age_s": True}), "must be a number"),
        (Process("camera_player", {"source": 1.5}), "Nothing at 1.5"),
    ]
    played = {"source": str(tmp_path), "rate_hz": 5, "exit_at_end": True}
    with Process("camera_player", played) as process:
        assert process.process.wait(60) == 0, process.log
    for process, sentence in wrong:
        assert process.process.wait(60) == 2, process.log
        assert sentence in process.log and "Traceback" not in process.log, process.log
        assert Path(process._log.name).stat().st_size < 2000
