"""The client against the real nodes over DDS, faults included. The model finds coloured rectangles."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from scipy.spatial.transform import Rotation
from std_msgs.msg import String

from find_core.prompts.reference import Reference
from find_ros.client import (
    ClientError,
    Finder,
    NoFieldServerError,
    NoLocalizerError,
    NotFoundInTimeError,
    NoTransformError,
    PromptRefusedError,
)
from tests.find_core.video.fakes import paint
from tests.find_ros.client.camera import Camera
from tests.find_ros.harness import (
    HEIGHT,
    LATCHED,
    PATIENCE_S,
    ROOT,
    WIDTH,
    Process,
    answers,
    camera_info,
    scene,
)

DEPTH = np.full((HEIGHT, WIDTH), 2000, np.uint16)
T_BASE_CAMERA = np.eye(4)
T_BASE_CAMERA[:3, :3] = Rotation.from_euler("xyz", [-90, 0, -90], degrees=True).as_matrix()
T_BASE_CAMERA[:3, 3] = 0.3, 0.0, 0.6
# Of the blue rectangle: columns 60..79, rows 40..59; fx = fy = 100, cx = 48, cy = 36.
BLUE_CAMERA_M = np.array([(69.5 - 48) / 100, (49.5 - 36) / 100, 1.0]) * 2.0
LOCALIZER = {"model": "color", "prompt": "the <red>", "use_depth": True, "depth_wait_s": 0.5}


@pytest.fixture(scope="module")
def localizer(robot):
    with Process("localizer", LOCALIZER | {"max_prompts": 2}) as process:
        heard = robot.hear(String, "/localizer/localization")
        robot.wait(lambda: heard, "a first answer", process, lambda: show(robot))
        yield process


@pytest.fixture
def camera(robot, localizer):
    with Camera(lambda: show(robot)):
        yield


@pytest.fixture(scope="module")
def finder(robot, localizer):
    transforms = {("base_link", "camera"): T_BASE_CAMERA}
    with Finder(robot.node, transforms=transforms, discovery_s=PATIENCE_S) as finder:
        yield finder


def show(robot) -> None:
    robot.show_rgbd(DEPTH, "16UC1", camera_info())


def ids_in_use(robot, process, accept) -> list[str]:
    """What the last status says, once it is as wished."""
    heard = robot.hear(String, "/localizer/prompt_status", LATCHED)
    asked = lambda: robot.prompt("the <red>")  # noqa: E731  (a status of no consequence)
    good = robot.wait(
        lambda: [a for a in answers(heard) if accept(a["ids"])], "a status", process, asked
    )
    return good[-1]["ids"]


def test_feature(robot, finder, camera):
    """Prompt to a pose in the robot's frame, of an image taken after the question."""
    asked_ns = robot.now_ns()
    found = finder.locate("the <blue>", timeout_s=PATIENCE_S, target_frame="base_link")
    assert found.found and found.label == "blue" and found.stamp_ns >= asked_ns
    assert found.box_xyxy.tolist() == [60, 40, 80, 60] and found.mask[40:60, 60:80].all()
    place = found.place
    want_m = T_BASE_CAMERA[:3, :3] @ BLUE_CAMERA_M + T_BASE_CAMERA[:3, 3]
    np.testing.assert_allclose(place.position_m, want_m, atol=0.02)
    np.testing.assert_allclose(place.T_frame_object[:3, 3], want_m, atol=0.03)
    R = place.T_frame_object[:3, :3]
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-4)
    assert abs(R[:, 2] @ [0, 0, 1]) > 0.99, (
        "the box stands along the camera's up, which is the base's"
    )
    assert place.frame_id == "base_link" and max(place.extent_m) == pytest.approx(0.39, abs=0.05)


def test_asking_disturbs_nobody(robot, localizer, finder, camera):
    """While it is asked the own prompt is answered as before; afterwards the prompt is gone."""
    heard = robot.hear(String, "/localizer/localization")
    finder.locate("the <blue>", timeout_s=PATIENCE_S)
    robot.wait(lambda: len(heard) > 10, "answers", localizer)
    own = [a for a in answers(heard) if a["prompt_id"] == ""]
    assert {a["prompt"] for a in own} == {"the <red>"}
    assert len({a["entities"][0]["track_id"] for a in own}) == 1
    assert ids_in_use(robot, localizer, lambda ids: not ids) == []


def test_a_reference_image_comes_with_its_question(finder, camera):
    shown = {"red": Reference(scene(), box=(20, 16, 50, 36))}
    found = finder.locate("this <red>", shown, timeout_s=PATIENCE_S)
    assert found.found and found.prompt == "this <red>" and found.place.frame_id == "camera"


def test_watching(robot, localizer, finder, camera):
    seen = []
    began_ns = robot.now_ns()
    with finder.watch("the <blue>", seen.append) as watch:
        robot.wait(lambda: len(seen) > 3, "answers", localizer)
        watch.check()
    assert {r.prompt_id for r in seen} == {watch.prompt_id} and all(r.found for r in seen)
    assert min(r.stamp_ns for r in seen) >= began_ns
    assert len({r.track_id for r in seen}) == 1
    assert watch.prompt_id not in ids_in_use(robot, localizer, lambda ids: not ids)


def test_a_callback_may_fail_but_not_ask(robot, localizer, finder, camera):
    errors = []

    def ask(result):
        try:
            finder.locate("the <blue>")
        except ClientError as error:
            errors.append(error)
        raise KeyError("mine")

    with finder.watch("the <blue>", ask):
        robot.wait(lambda: len(errors) > 1, "errors", localizer)
    assert "another thread" in str(errors[0])
    assert finder.locate("the <blue>", timeout_s=PATIENCE_S).found, "and it goes on"


def test_asyncio(robot, localizer, finder, camera):
    async def ask():
        options = {"timeout_s": PATIENCE_S, "target_frame": "base_link"}
        red, blue = await asyncio.gather(
            finder.locate_async("the <red>", **options),
            finder.locate_async("the <blue>", **options),
        )
        first = None
        async for first in finder.watch_async("the <blue>"):
            break
        lost = asyncio.create_task(finder.locate_async("the <green>", timeout_s=PATIENCE_S))
        await asyncio.sleep(0.3)
        lost.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lost
        return red, blue, first

    red, blue, first = asyncio.run(ask())
    assert (red.label, blue.label, first.label) == ("red", "blue", "blue")
    assert red.prompt_id != blue.prompt_id
    assert ids_in_use(robot, localizer, lambda ids: not ids) == []


def test_the_nodes_own_prompt(robot, localizer, finder):
    finder.set_prompt("some <blue>", timeout_s=PATIENCE_S)
    heard = robot.hear(String, "/localizer/localization")
    shown: set[int] = set()
    robot.wait(
        lambda: [a for a in answers(heard) if a["stamp_ns"] in shown], "an answer", localizer,
        lambda: shown.add(robot.show_rgbd(DEPTH, "16UC1", camera_info())),
    )  # fmt: skip
    assert [a["prompt"] for a in answers(heard) if a["stamp_ns"] in shown][-1] == "some <blue>"
    finder.set_prompt("some <blue>", timeout_s=PATIENCE_S)  # once more: at once
    with pytest.raises(PromptRefusedError):
        finder.set_prompt("the <unknown colour>", timeout_s=PATIENCE_S)
    finder.set_prompt("the <red>", timeout_s=PATIENCE_S)


def test_exception_refused(finder, camera):
    with pytest.raises(PromptRefusedError, match="never closed"):
        finder.locate("the <blue")
    with pytest.raises(PromptRefusedError, match="could not be compiled"):
        finder.locate("the <unknown colour>", timeout_s=PATIENCE_S)  # says the node


def test_exception_more_prompts_than_the_node_takes(robot, localizer, finder, camera):
    quiet = lambda result: None  # noqa: E731
    with finder.watch("the <blue>", quiet), finder.watch("the <red>", quiet):
        ids_in_use(robot, localizer, lambda ids: len(ids) == 2)
        with pytest.raises(PromptRefusedError, match="max_prompts"):
            finder.locate("the <green>", timeout_s=PATIENCE_S)


def test_exception_not_found_within_the_time(robot, finder):
    little = paint([("blue", 60, 40, 8, 10)], HEIGHT, WIDTH)  # 80 pixels of 200: score 0.4
    with Camera(lambda: robot.show(little)), pytest.raises(NotFoundInTimeError) as caught:
        finder.locate("the <blue>", timeout_s=4.0)
    assert caught.value.best_score == pytest.approx(0.4) and caught.value.answers > 0
    assert "0.40" in str(caught.value) and not caught.value.best.found


def test_exception_a_silent_camera(finder):
    with pytest.raises(NotFoundInTimeError, match=r"answered no new image.*stopped coming"):
        finder.locate("the <blue>", timeout_s=6.0)


def test_exception_images_of_another_time(robot, finder, camera):
    """Images from before the question: a clock that is behind."""
    behind = lambda: robot.show(stamp_ns=robot.now_ns() - 800_000_000)  # noqa: E731
    with Finder(robot.node, discovery_s=PATIENCE_S) as other:
        other.locate("the <red>", timeout_s=PATIENCE_S)
        with Camera(behind), pytest.raises(NotFoundInTimeError):
            other.locate("the <green>", timeout_s=0.5)


def test_exception_no_transform(finder, camera):
    with pytest.raises(NoTransformError, match="odom <- camera"):
        finder.locate("the <blue>", timeout_s=4.0, target_frame="odom")


def test_exception_nobody_there(robot):
    names = {"localizer": "/nobody", "field_server": "/nobody_either", "discovery_s": 1.0}
    with Finder.standalone(**names) as finder:
        for ask in (finder.locate, finder.set_prompt):
            began_s = time.monotonic()
            with pytest.raises(NoLocalizerError, match="/nobody"):
                ask("the <blue>", timeout_s=60.0)
            assert time.monotonic() - began_s < 30.0, "no need to wait for a node that is not there"
        with pytest.raises(NoFieldServerError, match="/nobody_either"):
            finder.ask_field("the <blue>", timeout_s=60.0)
    with pytest.raises(ClientError, match="closed"):
        finder.locate("the <blue>")


def test_closing_ends_open_questions(robot, finder, camera):
    with Finder(robot.node, discovery_s=PATIENCE_S) as other:
        asked = other.locate_future("the <green>", timeout_s=PATIENCE_S)
        time.sleep(0.5)
    with pytest.raises(ClientError, match="was closed"):
        asked.result(1.0)


ALONE = """
import json, sys
sys.modules["torch"] = None  # as if it were not installed
from find_ros.client import Finder
with Finder.standalone(discovery_s=60.0) as finder:
    found = finder.locate("the <blue>", timeout_s=60.0)
print(json.dumps([found.label, found.place.position_m.tolist()]))
"""


def test_in_a_process_without_torch(localizer, camera):
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    label, position_m = json.loads(done.stdout)
    assert label == "blue" and "Traceback" not in done.stderr
    np.testing.assert_allclose(position_m, BLUE_CAMERA_M, atol=0.02)


def test_a_node_killed_and_restarted_in_the_middle(robot):
    """The question outlives its localizer: it is asked again of the next one, and answered."""
    name = {"__node": "mortal"}
    grey, result = paint([], HEIGHT, WIDTH), []
    picture = {"rgb": grey}

    def ask(finder):
        result.append(finder.locate("the <blue>", timeout_s=PATIENCE_S))

    seen = robot.hear(String, "/mortal/localization")
    mine = lambda: any(a["prompt_id"] for a in answers(seen))  # noqa: E731
    with Finder(robot.node, localizer="/mortal", discovery_s=PATIENCE_S) as finder:
        thread = threading.Thread(target=ask, args=(finder,))
        with Camera(lambda: robot.show(picture["rgb"])):
            with Process("localizer", {"model": "color"}, name) as first:
                thread.start()
                robot.wait(mine, "answers to the question", first)
                first.process.kill()
                first.process.wait()
            del seen[:]
            assert not result, "nothing blue was shown yet"
            with Process("localizer", {"model": "color"}, name) as second:
                robot.wait(mine, "answers of the second localizer", second)
                shown_ns = robot.now_ns()
                picture["rgb"] = scene()
                thread.join(PATIENCE_S)
    assert result and result[0].found and result[0].stamp_ns >= shown_ns


def test_a_node_killed_for_good(robot):
    """Killed without a word: the question ends in its own time, and says that answers stopped."""
    seen = robot.hear(String, "/doomed/localization")
    grey = paint([], HEIGHT, WIDTH)
    with (
        Finder(robot.node, localizer="/doomed", discovery_s=PATIENCE_S) as finder,
        Camera(lambda: robot.show(grey)),
        Process(
            "localizer", {"model": "color", "prompt": "<red>"}, {"__node": "doomed"}
        ) as process,
    ):
        robot.wait(lambda: seen, "it is up", process)
        asked = finder.locate_future("the <blue>", timeout_s=12.0)
        robot.wait(lambda: any(a["prompt_id"] for a in answers(seen)), "its answers", process)
        process.process.kill()
        with pytest.raises(NotFoundInTimeError, match="not found"):
            asked.result(PATIENCE_S)
