"""The page in a real browser: what a person does with it, by mouse, by keyboard and on a phone."""

from __future__ import annotations

import numpy as np
import pytest

from find_core.drawing import entity_color, write_image
from tests.find_core.page.fakes import SIZE
from tests.find_core.video.fakes import COLORS, paint
from tests.web.browser import Browser, PageProcess, needs_browser

pytestmark = needs_browser("nicegui")

IMAGE = '[data-testid="picture"] img'
PROMPT = '[data-testid="prompt"]'
SIZE_BOX = '.q-select:has([data-testid="input-size"])'
SLIDER = "input[type=range]"
TABLE = '[data-testid="findings"]'
BLUE_TOP, BLUE_SIDE = 150, 60
TINTED = 0.55 * np.array(COLORS["blue"]) + 0.45 * np.array(entity_color(0))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A red rectangle that stands, a blue one that goes to the right and back."""
    folder = tmp_path_factory.mktemp("frames")
    steps = [*range(0, 180, 12), *range(180, 0, -12)]
    for n, dx in enumerate(steps):
        boxes = [("red", 20, 60, 50, 40), ("blue", 20 + dx, BLUE_TOP, BLUE_SIDE, BLUE_SIDE)]
        write_image(folder / f"{n:03d}.png", paint(boxes, *SIZE))
    prompts = tmp_path_factory.mktemp("prompts")
    command = ["-m", "tests.find_core.page.serve", str(folder), str(prompts)]
    with PageProcess(command) as process:
        yield process


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture
def page(browser, served):
    browser.open(served.url)
    browser.wait(lambda: browser.natural_size(IMAGE)[0] == SIZE[1], "the live picture")
    return browser


def tinted(page: Browser) -> tuple[int, float]:
    """How many pixels of the blue rectangle carry a mask, and the middle column of them."""
    near = np.abs(page.pixels(IMAGE).astype(float) - TINTED).max(-1) < 30
    columns = np.nonzero(near)[1]
    return len(columns), float(columns.mean()) if len(columns) else -1.0


def ask(page: Browser, text: str) -> None:
    page.type(PROMPT, text)
    page.click("Look for it")
    page.wait(lambda: f"Looking for {text}" in page.text(), "the prompt")


def test_errors_and_entities_as_one_types(page):
    page.type(PROMPT, "the <red")
    page.wait(lambda: "never closed" in page.text(), "the error")
    page.type(PROMPT, "the <red> left of <blue>")
    page.wait(lambda: "blue: in words" in page.text(), "the entities")
    assert "never closed" not in page.text()


def test_a_box_on_a_still_becomes_a_reference_whose_mask_follows(page):
    ask(page, "the <red>")
    page.wait(lambda: "red" in page.text(TABLE) and "yes" in page.text(TABLE), "red in the table")
    assert tinted(page)[0] < 0.1 * BLUE_SIDE**2, "nobody asked for the blue one"
    page.click("Freeze")
    page.wait(lambda: "/picture/still/" in page.find(IMAGE).get_attribute("src"), "the still")
    left = blue_left(page)
    page.mark(IMAGE, (left + 5, BLUE_TOP + 5), (left + BLUE_SIDE - 5, BLUE_TOP + BLUE_SIDE - 5))
    numbers = [f'[aria-label="{edge} edge of the box in pixels"]' for edge in ("Left", "Bottom")]
    page.wait(lambda: page.find(numbers[0]).get_property("value"), "the box in numbers")
    drawn = [float(page.find(n).get_property("value")) for n in numbers]
    assert np.allclose(drawn, [left + 5, BLUE_TOP + BLUE_SIDE - 5], atol=2)
    page.click("Look for this")
    page.wait(lambda: "this: shown in a picture" in page.text(), "the reference in the prompt")
    page.wait(lambda: "this" in page.text(TABLE) and "yes" in page.text(TABLE), "it in the table")
    page.wait(lambda: tinted(page)[0] > 0.5 * BLUE_SIDE**2, "its mask")
    middles = set()
    page.wait(lambda: middles.add(round(tinted(page)[1])) or len(middles) >= 4, "it to follow")
    assert max(middles) - min(middles) > 20
    assert not page.errors()
    assert page.hosts() == {page.driver.execute_script("return location.host")}


def blue_left(page: Browser) -> int:
    near = np.abs(page.pixels(IMAGE).astype(int) - COLORS["blue"]).max(-1) < 60
    return int(np.nonzero(near)[1].min())


def test_a_click_on_the_curve_goes_to_that_moment(page):
    ask(page, "the <blue>")
    curve = '[data-testid="curve"]'
    page.wait(lambda: "Relevance is" in page.find(curve).get_attribute("aria-label"), "a curve")
    told = ("relevant now", " s ago")
    label = lambda: page.find(curve).get_attribute("aria-label")  # noqa: E731
    page.wait(lambda: any(words in label() for words in told), "an interval")
    page.click("Earlier")
    page.wait(lambda: "/picture/still/" in page.find(IMAGE).get_attribute("src"), "a still")
    assert tinted(page)[0] > 0.5 * BLUE_SIDE**2, "the still shows what was found then"
    first = page.find(IMAGE).get_attribute("src")
    page.click("Live again")
    page.wait(lambda: "/picture/live/" in page.find(IMAGE).get_attribute("src"), "the live picture")
    page.find(curve).click()
    page.wait(lambda: "/picture/still/" in page.find(IMAGE).get_attribute("src"), "a still")
    assert page.find(IMAGE).get_attribute("src") != first
    page.click("Live again")


def test_a_photo_shows_what_to_look_for(page, tmp_path):
    photo, text = tmp_path / "photo.png", tmp_path / "notes.png"
    write_image(photo, paint([("red", 0, 0, 300, 200)], 200, 300))
    text.write_text("no image")
    upload = page.find('input[type="file"]')
    upload.send_keys(str(text))
    page.wait(lambda: "Cannot decode the photo" in page.text(), "the refusal")
    page.click("Close")
    page.find('input[type="file"]').send_keys(str(photo))
    page.wait(lambda: page.natural_size(IMAGE) == (300, 200), "the photo")
    page.type('[data-testid="name"]', "poster")
    page.click("Look for this")
    page.wait(lambda: "poster" in page.text(TABLE) and "yes" in page.text(TABLE), "red, shown")
    assert not page.errors()


def test_by_keyboard_alone(page):
    """Tab goes to everything that is needed, in a sensible order; Enter and Space do it."""
    from selenium.webdriver.common.keys import Keys

    def tab_to(label: str) -> None:
        for _ in range(60):
            page.driver.switch_to.active_element.send_keys(Keys.TAB)
            focused = page.driver.switch_to.active_element
            if label in (focused.get_attribute("aria-label") or "", focused.text):
                return
        raise AssertionError(f"Tab does not go to {label!r}")

    def write(text: str) -> None:
        focused = page.driver.switch_to.active_element
        focused.send_keys(Keys.CONTROL, "a")
        focused.send_keys(text)

    tab_to("Prompt: a sentence, with <things> in brackets")
    write("the <blue>" + Keys.ENTER)
    page.wait(lambda: "Looking for the <blue>" in page.text(), "the prompt")
    page.driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    tab_to("Freeze")
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.wait(lambda: "/picture/still/" in page.find(IMAGE).get_attribute("src"), "the still")
    for edge, value in zip(("Left", "Top", "Right", "Bottom"), (25, 65, 65, 95)):
        tab_to(f"{edge} edge of the box in pixels")
        write(str(value))
    tab_to("Call it")
    write("that")
    tab_to("Look for this")
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.wait(lambda: "that" in page.text(TABLE) and "yes" in page.text(TABLE), "the red one")


def test_the_slider_sets_what_counts_as_found(page):
    from selenium.webdriver.common.keys import Keys

    ask(page, "the <green>")
    page.wait(lambda: "green" in page.text(TABLE) and "no" in page.text(TABLE), "nothing green")
    for key, threshold in ((Keys.HOME, "0.05"), (Keys.ARROW_RIGHT, "0.06")):
        page.find(SLIDER).send_keys(key)
        page.wait(lambda t=threshold: slider(page, t), f"the slider at {threshold}")
    with Browser() as other:
        other.open(page.driver.current_url)
        other.wait(lambda: slider(other, "0.06"), "another page's slider to follow")


def test_the_input_size_is_chosen(page):
    """Here of a model to which it makes no difference; another page follows."""
    page.wait(lambda: "128 px" in page.text(SIZE_BOX), "the size in use")
    option = "//div[@role='option'][normalize-space(.)='64 px']"

    def choose() -> bool:
        if not page.driver.find_elements("xpath", option):
            page.find(SIZE_BOX).click()
        page.driver.find_element("xpath", option).click()
        return True

    page.wait(choose, "the sizes to choose from")
    page.wait(lambda: "64 px" in page.text(SIZE_BOX), "the choice")
    with Browser() as other:
        other.open(page.driver.current_url)
        other.wait(lambda: "64 px" in other.text(SIZE_BOX), "another page to follow")


def slider(page: Browser, value: str) -> bool:
    return page.find(SLIDER).get_property("value") == value and value in page.text()


def test_every_control_has_a_name(page):
    """As screen readers compute it."""
    page.click("Freeze")
    page.wait(lambda: page.find('[data-testid="name"]').is_displayed(), "the tools")
    controls = page.driver.find_elements(
        "css selector",
        "a, button, input, select, textarea, [role=combobox], [role=img]:not([aria-hidden=true])",
    )
    named = [c.accessible_name for c in controls if c.is_displayed()]
    assert len(named) > 12
    unnamed = [c.get_attribute("outerHTML")[:200] for c in controls
               if c.is_displayed() and not c.accessible_name]  # fmt: skip
    assert not unnamed
    page.click("Live again")


def test_it_fits_a_phone(served):
    with Browser(360, 740) as phone:
        phone.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True},
        )
        phone.open(served.url)
        phone.wait(lambda: phone.natural_size(IMAGE)[0] == SIZE[1], "the live picture")
        width = phone.driver.execute_script("return document.documentElement.scrollWidth")
        assert width <= 360
        assert phone.find(IMAGE).rect["width"] > 0.75 * 360
