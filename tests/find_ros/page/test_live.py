"""The page beside a real localizer over DDS, in a real browser."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from rcl_interfaces.srv import GetParameters

from find_core.drawing import entity_color
from find_ros.messages.images import array_to_image
from tests.find_core.page.fakes import SIZE
from tests.find_core.video.fakes import COLORS, paint
from tests.find_ros.client.camera import Camera
from tests.find_ros.harness import BEST_EFFORT, Process, camera_info
from tests.web.browser import Browser, PageProcess, needs_browser

pytestmark = needs_browser("nicegui")

IMAGE = '[data-testid="picture"] img'
TABLE = '[data-testid="findings"]'
SIZE_BOX = '.q-select:has([data-testid="input-size"])'
TOP, SIDE = 150, 60
TINTED = 0.55 * np.array(COLORS["blue"]) + 0.45 * np.array(entity_color(0))
DEPTH = np.full(SIZE, 2000, np.uint16)
LOCALIZER = {"model": "sized", "prompt": "the <red>", "use_depth": True, "depth_wait_s": 0.5}


@pytest.fixture(scope="module")
def camera(robot):
    """A red rectangle that stands, a blue one that goes to the right and back; all 2 m away."""
    steps = itertools.cycle([*range(0, 180, 6), *range(180, 0, -6)])
    lock = threading.Lock()

    def show() -> None:
        with lock:
            dx = next(steps)
            boxes = [("red", 20, 60, 50, 40), ("blue", 20 + dx, TOP, SIDE, SIDE)]
            header = robot.header()
            robot.publish("/cam/info", camera_info(width=SIZE[1], height=SIZE[0]))
            robot.publish("/cam/depth", array_to_image(DEPTH, "16UC1", header), BEST_EFFORT)
            picture = array_to_image(paint(boxes, *SIZE), "rgb8", header)
            robot.publish("/cam/image", picture, BEST_EFFORT)

    with Camera(show):
        yield


@pytest.fixture
def localizer(robot, camera):
    remap = {"image": "/cam/image", "depth": "/cam/depth", "camera_info": "/cam/info"}
    with Process("localizer", LOCALIZER, remap) as process:
        yield process


@pytest.fixture
def served():
    command = ["-m", "find_ros.page", "--ros-args", "-r", "image:=/cam/image", "--"]
    with PageProcess(command) as process:
        yield process


def tinted(page: Browser) -> tuple[int, float]:
    near = np.abs(page.pixels(IMAGE).astype(float) - TINTED).max(-1) < 30
    columns = np.nonzero(near)[1]
    return len(columns), float(columns.mean()) if len(columns) else -1.0


def test_a_box_on_a_still_becomes_the_robots_prompt(robot, localizer, served):
    from selenium.webdriver.common.keys import Keys

    with Browser() as page:
        page.open(served.url)
        page.wait(lambda: "Looking for the <red>" in page.text(), "the node's own prompt")
        page.wait(lambda: page.natural_size(IMAGE)[0] == SIZE[1], "the live picture")
        page.wait(lambda: "2.00 (camera)" in page.text(TABLE), "the place in metres")
        page.type('[data-testid="prompt"]', "the <red> and <")
        page.wait(lambda: "never closed" in page.text(), "the error")
        page.click("Freeze")
        page.wait(lambda: "/picture/still/" in page.find(IMAGE).get_attribute("src"), "the still")
        blue = np.abs(page.pixels(IMAGE).astype(int) - COLORS["blue"]).max(-1) < 60
        left = int(np.nonzero(blue)[1].min())
        page.mark(IMAGE, (left + 5, TOP + 5), (left + SIDE - 5, TOP + SIDE - 5))
        page.click("Look for this")
        page.wait(lambda: "Looking for <this>" in page.text(), "the robot's prompt")
        page.wait(lambda: "this" in page.text(TABLE) and "yes" in page.text(TABLE), "it is found")
        page.wait(lambda: tinted(page)[0] > 0.5 * SIDE**2, "its mask")
        middles: set[int] = set()
        page.wait(lambda: middles.add(round(tinted(page)[1])) or len(middles) >= 4, "it to follow")
        assert max(middles) - min(middles) > 10
        page.find("input[type=range]").send_keys(Keys.ARROW_LEFT * 3)
        request = GetParameters.Request(names=["threshold"])

        def threshold() -> float:
            answer = robot.call(GetParameters, "/localizer/get_parameters", request)
            return answer.values[0].double_value

        robot.wait(lambda: threshold() == pytest.approx(0.47), "the threshold", localizer)
        assert not page.errors()
        assert page.hosts() == {page.driver.execute_script("return location.host")}


def test_the_input_size_is_the_robots(robot, localizer, served):
    def choose(page: Browser, size: str) -> None:
        option = f"//div[@role='option'][normalize-space(.)='{size}']"

        def chosen() -> bool:
            if not page.driver.find_elements("xpath", option):
                page.find(SIZE_BOX).click()
            page.driver.find_element("xpath", option).click()
            return True

        page.wait(chosen, size)

    def parameter() -> int:
        request = GetParameters.Request(names=["input_px"])
        answer = robot.call(GetParameters, "/localizer/get_parameters", request)
        return answer.values[0].integer_value

    with Browser() as page:
        page.open(served.url)
        page.wait(lambda: "128 px" in page.text(SIZE_BOX), "the model's own size")
        choose(page, "64 px")
        robot.wait(lambda: parameter() == 64, "the parameter", localizer)
        page.wait(lambda: "Looking for the <red>" in page.text(), "that it goes on")
        choose(page, "192 px")
        page.wait(lambda: "GPU's memory does not hold it" in page.text(), "why it cannot be")
        page.wait(lambda: "64 px" in page.text(SIZE_BOX), "the size in use")
        robot.wait(lambda: parameter() == 64, "the parameter of before", localizer)
        assert not page.errors()


def test_closed_pages_leave_no_subscription(robot, localizer, served):
    with Browser() as page:
        page.open(served.url)
        robot.wait(lambda: robot.node.count_subscribers("/cam/image") == 2, "the page", localizer)
        page.wait(lambda: "Looking for" in page.text(), "an answer")
        answers = "/localizer/localization"  # one who left may be remembered for a while
        robot.wait(lambda: robot.node.count_subscribers(answers) == 2, "its two", localizer)
    robot.wait(lambda: robot.node.count_subscribers("/cam/image") == 1, "it to leave", localizer)
    robot.wait(lambda: robot.node.count_subscribers(answers) == 0, "its client", localizer)


def test_the_page_says_what_is_missing(robot, camera, served):
    """No localizer: the camera's images all the same, and a sentence; then one comes."""
    with Browser() as page:
        page.open(served.url)
        page.wait(lambda: page.natural_size(IMAGE)[0] == SIZE[1], "the camera's own picture")
        page.wait(lambda: "no localizer is heard at /localizer" in page.text(), "the sentence")
        remap = {"image": "/cam/image"}
        with Process("localizer", {"model": "shown"}, remap) as process:
            page.wait(lambda: "no prompt yet" in page.text(), f"the node's words\n{process.log}")
            page.type('[data-testid="prompt"]', "the <blue>")
            page.click("Look for it")
            page.wait(lambda: "yes" in page.text(TABLE), "an answer")
        page.wait(lambda: "no localizer is heard at /localizer" in page.text(), "that it went")
        assert not page.errors()
