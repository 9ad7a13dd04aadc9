"""The localizer over DDS, as another process: colour in, answers out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, SetParameters
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Float32, String

from find_ros.messages.images import array_to_image, compressed_to_rgb, image_to_rgb, stamp_to_ns
from tests.find_ros.harness import BEST_EFFORT, LATCHED, ROOT, Process, answers, diagnostics, scene

FIND = "color"
RED_XYXY = [20.0, 16.0, 50.0, 36.0]


@pytest.fixture(scope="module")
def localizer(robot):
    with Process("localizer", {"model": FIND, "prompt": "the <red>"}) as process:
        heard = robot.hear(String, "/localizer/localization")
        robot.wait(lambda: heard, "a first answer", process, robot.show)
        yield process


@pytest.fixture
def ask(robot, localizer):
    """Shows pictures until the localizer answers one of them; (answer, its stamp)."""

    def ask(rgb=None, show=None, accept=lambda answer: True):
        heard = robot.hear(String, "/localizer/localization")
        shown: set[int] = set()
        act = show or (lambda: robot.show(rgb))
        good = robot.wait(
            lambda: [a for a in answers(heard) if a["stamp_ns"] in shown and accept(a)],
            "an answer",
            localizer,
            lambda: shown.add(act()),
        )
        return good[-1]

    return ask


@pytest.fixture
def status(robot, localizer):
    def status(accept, act=None):
        heard = robot.hear(DiagnosticArray, "/diagnostics")
        robot.wait(lambda: accept(diagnostics(heard)), "diagnostics", localizer, act)
        return diagnostics(heard)

    return status


def test_feature(robot, localizer, ask):
    """One frame's outputs all carry its stamp and frame; the JSON follows its schema."""
    kinds = {
        "label_image": Image,
        "overlay": Image,
        "overlay/compressed": CompressedImage,
        "relevance": Float32,
    }
    heard = {topic: robot.hear(kind, f"/localizer/{topic}") for topic, kind in kinds.items()}
    answer = ask(accept=lambda a: all(heard.values()))
    assert answer["frame_id"] == "camera" and answer["prompt"] == "the <red>"
    entity = answer["entities"][0]
    assert entity["found"] and entity["box_xyxy"] == RED_XYXY and entity["track_id"] == 1
    stamps = {
        topic: [stamp_to_ns(m.header.stamp) for m in heard[topic]] for topic in list(kinds)[:3]
    }
    robot.wait(lambda: heard["overlay/compressed"], "the overlay", localizer)
    label = heard["label_image"][-1]
    assert label.encoding == "16UC1" and label.header.frame_id == "camera"
    pixels = np.frombuffer(label.data, np.uint16).reshape(72, 96)
    assert (pixels[16:36, 20:50] == 1).all() and pixels.sum() == 600
    overlay = image_to_rgb(heard["overlay"][-1])
    assert overlay.shape == (72, 96, 3) and (overlay != scene()).any()
    assert (
        np.abs(compressed_to_rgb(heard["overlay/compressed"][-1]).astype(int) - overlay).mean() < 12
    )
    assert heard["relevance"][-1].data == pytest.approx(1.0)
    assert all(set(s) for s in stamps.values())


def test_json_follows_the_schema(ask):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(Path(ROOT, "find_core/schemas/localization.schema.json").read_text())
    answer = ask()
    jsonschema.validate(answer, schema)
    assert {"frame_id", "stamp_ns", "frame_index", "time_s"} <= set(answer)


@pytest.mark.parametrize("encoding", ["bgr8", "rgba8", "bgra8", "mono8", "bayer_rggb8", "uyvy"])
def test_encodings_arrive(robot, ask, encoding):
    rgb = scene()
    red, green, blue = np.moveaxis(rgb, -1, 0)
    full = np.full_like(red, 255)
    if encoding == "uyvy":
        pixels = np.full((*red.shape, 2), 128, np.uint8)  # grey: nothing to be found
    elif encoding == "bayer_rggb8":
        pixels = green.copy()
        pixels[0::2, 0::2], pixels[1::2, 1::2] = red[0::2, 0::2], blue[1::2, 1::2]
    else:
        channels = {"r": red, "g": green, "b": blue, "a": full, "m": green}
        names = "m" if encoding == "mono8" else encoding[:-1]
        pixels = np.stack([channels[c] for c in names], axis=-1)

    def show():
        msg = array_to_image(pixels, encoding, robot.header())
        robot.publish("/image", msg, BEST_EFFORT)
        return stamp_to_ns(msg.header.stamp)

    entity = ask(show=show)["entities"][0]
    assert entity["found"] == (encoding not in ("mono8", "uyvy"))
    if entity["found"]:
        assert np.abs(np.array(entity["box_xyxy"]) - RED_XYXY).max() <= 2


def test_publishers_of_either_reliability_are_heard(robot, ask):
    assert ask(show=lambda: robot.show(profile=10))["entities"][0]["found"]
    assert ask(show=lambda: robot.show(profile=BEST_EFFORT))["entities"][0]["found"]


def test_the_picture_size_may_change_between_frames(ask):
    small, large = ask(scene(height=72, width=96)), ask(scene(height=144, width=200))
    assert small["entities"][0]["mask_rle"]["size"] == [72, 96]
    assert large["entities"][0]["mask_rle"]["size"] == [144, 200]
    assert large["entities"][0]["box_xyxy"] == RED_XYXY


def test_a_camera_that_goes_silent_and_returns(robot, localizer, ask):
    assert ask()
    end = robot.now_ns() + int(1e9)
    robot.wait(lambda: robot.now_ns() > end, "a second of silence", localizer)
    assert ask()["entities"][0]["track_id"]


def malformed(robot) -> list[Image]:
    def message(**changes) -> Image:
        msg = array_to_image(scene(), "rgb8", robot.header())
        for name, value in changes.items():
            setattr(msg, name, value)
        return msg

    empty = {"height": 0, "width": 0, "step": 0, "data": b""}
    return [message(step=7), message(data=b"xx"), message(**empty), message(encoding="32FC3")]


def test_malformed_images_are_counted_and_survived(robot, localizer, status, ask):
    before = status(lambda d: "dropped/malformed" in d or d.get("published"))

    def faults():
        for msg in malformed(robot):
            robot.publish("/image", msg, 10)
            robot.executor.spin_once(timeout_sec=0.05)

    after = status(
        lambda d: (
            int(d.get("dropped/malformed", 0)) >= int(before.get("dropped/malformed", 0)) + 3
            and int(d.get("dropped/unsupported", 0)) >= 1
        ),
        faults,
    )
    assert int(after["received"]) > int(before["received"])
    assert localizer.log.count("Encoding '32FC3' is not supported") == 1, "said once, not each time"
    assert ask()["entities"][0]["found"]


@pytest.mark.parametrize(("cause", "offset_s"), [("stale", -30), ("future", 30)])
def test_frames_of_another_time_are_dropped(robot, status, cause, offset_s):
    def show():
        robot.show(stamp_ns=robot.now_ns() + int(offset_s * 1e9))

    assert status(lambda d: int(d.get(f"dropped/{cause}", 0)) >= 1, show)


def test_every_frame_is_accounted_for(status, ask):
    ask()
    values = status(lambda d: d.get("in_flight") == "0")
    dropped = sum(int(v) for k, v in values.items() if k.startswith("dropped/"))
    assert int(values["received"]) == int(values["published"]) + dropped
    for key in ("input_rate_hz", "frame_age_p50_ms", "frame_age_p99_ms", "inference_p50_ms"):
        assert float(values[key]) >= 0
    assert values["active_prompt"] == "the <red>" and values["device"] and values["memory_mb"]
    assert values["runtime"]


def test_prompts_change_live(robot, localizer, ask):
    def say(text, profile=10):
        robot.prompt(text, profile=profile)
        return robot.show()

    try:
        for profile in (10, LATCHED):  # a plain publisher and a latched one
            for colour, box in (("blue", [60.0, 40.0, 80.0, 60.0]), ("red", RED_XYXY)):
                answer = ask(
                    show=lambda c=colour, p=profile: say(f"a <{c}>", p),
                    accept=lambda a, c=colour: a["prompt"] == f"a <{c}>",
                )
                assert answer["entities"][0]["box_xyxy"] == box
        data = json.dumps({"version": 1, "prompt": "<red> and <blue>", "references": {}})
        both = ask(
            show=lambda: say(data),
            accept=lambda a: len(a["entities"]) == 2,
        )
        assert [e["label"] for e in both["entities"]] == ["red", "blue"]
    finally:
        restore_prompt(robot, ask)


def restore_prompt(robot, ask) -> None:
    ask(
        # By the latched publisher: what it said before comes before this, and cannot come later.
        show=lambda: (robot.prompt("the <red>", profile=LATCHED), robot.show())[1],
        accept=lambda a: a["prompt"] == "the <red>",
    )


def test_a_bad_prompt_leaves_the_old_one_and_says_why(robot, localizer, ask, status):
    heard = robot.hear(String, "/localizer/prompt_status", LATCHED)
    robot.wait(
        lambda: any("never closed" in a["error"] for a in answers(heard)),
        "the refusal",
        localizer,
        lambda: robot.prompt("the <red"),
    )
    assert answers(heard)[-1]["active"] == "the <red>"
    assert ask()["prompt"] == "the <red>"
    assert status(lambda d: "never closed" in d.get("prompt_error", ""))
    restore_prompt(robot, ask)


def test_a_reference_gives_a_name_to_a_picture(robot, localizer):
    heard = robot.hear(String, "/localizer/prompt_status", LATCHED)
    region = {"kind": "box", "data": [2, 2, 30, 30], "positive": True}
    references = {"red": {"image": {"name": "photo"}, "region": region}}
    prompt = json.dumps({"version": 1, "prompt": "the <red>", "references": references})

    def offer():
        picture = array_to_image(scene(), "rgb8", robot.header("photo"))
        robot.publish("/localizer/reference", picture, LATCHED)
        robot.prompt(prompt)

    robot.wait(
        lambda: [a for a in answers(heard) if a["prompt"].startswith("{") and not a["error"]],
        "the visual prompt",
        localizer,
        offer,
    )
    robot.prompt("the <red>")


def set_parameter(robot, name: str, value, node: str = "localizer"):
    kinds = {bool: "bool", int: "integer", float: "double", str: "string"}
    kind = kinds[type(value)]
    content = ParameterValue(type=getattr(ParameterType, f"PARAMETER_{kind.upper()}"))
    setattr(content, f"{kind}_value", value)
    request = SetParameters.Request(parameters=[Parameter(name=name, value=content)])
    return robot.call(SetParameters, f"/{node}/set_parameters", request).results[0]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("model", "tiny", "takes effect at configure"),
        ("device", "cuda", "takes effect at configure"),
        ("input_px", 320, "this model decides its input size for itself"),
        ("input_px", 5000, "range"),
        ("threshold", 1.5, "range"),
        ("max_age_s", -1.0, "range"),
        ("max_age_s", float("nan"), ""),
        ("jpeg_quality", 0, "range"),
        ("prompt", "the <mug", "never closed"),
    ],
)
def test_exception_of_a_parameter(robot, localizer, name, value, reason):
    result = set_parameter(robot, name, value)
    assert not result.successful and reason in result.reason


def test_parameters_describe_themselves(robot, localizer):
    request = DescribeParameters.Request(names=["threshold", "jpeg_quality", "image_reliability"])
    found = robot.call(DescribeParameters, "/localizer/describe_parameters", request).descriptors
    assert found[0].floating_point_range[0].to_value == 1.0 and "found" in found[0].description
    assert found[1].integer_range[0].from_value == 1
    assert "best_effort" in found[2].additional_constraints


def test_live_parameters_take_effect(robot, localizer, ask):
    try:
        assert set_parameter(robot, "threshold", 1.0).successful
        small = scene()
        small[26:36, 20:50] = 128  # 300 of the 600 red pixels... and then fewer than 200
        small[20:26, 20:50] = 128
        ask(small, accept=lambda a: not a["entities"][0]["found"])
        assert set_parameter(robot, "threshold", 0.3).successful
        assert ask(small, accept=lambda a: a["entities"][0]["found"])
        assert set_parameter(robot, "prompt", "some <blue>").successful
        assert ask(accept=lambda a: a["prompt"] == "some <blue>")
    finally:
        set_parameter(robot, "threshold", 0.0)
        set_parameter(robot, "prompt", "the <red>")


def test_sigint_ends_it_cleanly(robot, localizer, ask):
    """Last of this module."""
    ask()
    assert localizer.interrupt() == 0
    assert "Traceback" not in localizer.log, localizer.log
