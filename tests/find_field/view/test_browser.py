"""The view of the toy world, driven by a real Chromium."""

from __future__ import annotations

import numpy as np
import pytest

import find_field as ff
from tests.web.browser import Browser, needs_browser

# Slow: without a graphics card the browser draws in software, for minutes on a busy machine.
pytestmark = [needs_browser("viser"), pytest.mark.slow]


@pytest.fixture
def room(frames, oracle):
    """Coarse: without a graphics card the browser draws every point on the CPU."""
    return ff.lift(frames, oracle, voxel_size_m=0.02, frame="map")


PROMPT = "//label[normalize-space(.)='Prompt']/following::input[1]"


def opened(page: Browser, view) -> None:
    page.open(f"http://127.0.0.1:{view.server.get_port()}/")
    page.wait(lambda: view.server.get_clients() and "marks the things" in says(page), "the panel")


def says(page: Browser) -> str:
    return page.text("#says")


def ask(page: Browser, view, text: str) -> None:
    """Type it, as slowly as the page tells the server of it, and press Enter."""
    from selenium.webdriver.common.keys import Keys

    field = page.driver.find_element("xpath", PROMPT)
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(text)
    page.wait(lambda: view.prompt.value == text, "the server to know what was typed")
    field.send_keys(Keys.ENTER)


def click_scene(page: Browser, view, point_world_m) -> None:
    """On what is drawn of a point in the world, as the visitor's camera sees it."""
    from selenium.webdriver import ActionChains

    from find_field.view.drawing import viewer_pose

    [client] = view.server.get_clients().values()
    x, y, z = np.linalg.inv(viewer_pose(client))[:3] @ [*point_world_m, 1.0]
    canvas = page.find("canvas")
    half_px = canvas.rect["height"] / 2
    scale = half_px / np.tan(client.camera.fov / 2) / z
    chain = ActionChains(page.driver)
    chain.move_to_element_with_offset(canvas, round(x * scale), round(y * scale))
    chain.click().perform()


def top(thing) -> np.ndarray:
    return np.array(thing.centre_m) + (0, 0, thing.size_m[2] / 2)


def test_it_is_asked_pointed_at_and_measured(view, world):
    with Browser(1200, 800) as page:
        opened(page, view)
        ask(page, view, "the <red box> by the <violin>")
        page.wait(lambda: "1 found" in says(page), "the answer")
        assert "red box" in page.text("#hits") and "not here" in page.text("#hits")
        [hit] = view.explorer.hits
        assert np.linalg.norm(hit.centroid_world_m - world.things[0].centre_m) < 0.03
        assert f"{hit.centroid_world_m[0]:.3f}" in page.text("#hits")
        assert view.server.scene.get_handle_by_name("/hits/1/box") is not None
        assert (
            view.server.scene.get_handle_by_name("/hits/1/label").text
            == "1 red box " + f"{hit.score:.2f}"
        )

        ask(page, view, "the <red")
        page.wait(lambda: "never closed" in says(page), "what is wrong with the prompt")
        assert len(view.explorer.hits) == 1, "what was asked before stays"

        yellow = world.things[3]
        page.click("Click on it in the scene")
        page.wait(lambda: "Click on what" in says(page), "the view to wait for a click")
        click_scene(page, view, top(yellow))
        page.wait(lambda: "is what stands at" in says(page), "the thing that was clicked on")
        assert view.prompt.value == "<this>" and "<this>" in page.text("#known")
        [hit] = view.explorer.hits
        assert np.linalg.norm(hit.centroid_world_m - yellow.centre_m) < 0.04

        ends = top(world.things[0]), top(world.things[4])
        page.click("Measure between two clicks")
        page.wait(lambda: "first point" in page.text("#distance"), "the first click")
        click_scene(page, view, ends[0])
        page.wait(lambda: "second point" in page.text("#distance"), "the second click")
        click_scene(page, view, ends[1])
        page.wait(lambda: " m (x" in page.text("#distance"), "the distance")
        told = float(page.text("#distance").split(" m")[0])
        assert told == pytest.approx(np.linalg.norm(ends[1] - ends[0]), abs=0.05)

        assert not page.errors()
        assert page.hosts() == {f"127.0.0.1:{view.server.get_port()}"}
