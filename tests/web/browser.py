"""Debian's Chromium, driven by selenium; tests that need it skip with a reason where it is missing."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from find_core.images import decode_image

ROOT = Path(__file__).parents[2]
# Two busy cores: nothing here is a measurement.
PATIENCE_S = 300.0
LEFT_EDGE = '[aria-label="Left edge of the box in pixels"]'
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server",
    "--disable-background-networking", "--disable-component-update", "--no-first-run",
)  # fmt: skip


def missing(*packages: str) -> str:
    """Why a browser test cannot run here; "" it can."""
    for package in ("selenium", *packages):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed (pip install .[dev])"
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"there is no {program} (apt-get install chromium chromium-driver)"
    return ""


def needs_browser(*packages: str) -> pytest.MarkDecorator:
    reason = missing(*packages)
    return pytest.mark.skipif(bool(reason), reason=reason)


class Browser:
    """A headless Chromium of its own, with what it loads and complains about."""

    def __init__(self, width_px: int = 1280, height_px: int = 900) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in (*FLAGS, f"--window-size={width_px},{height_px}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = Service(shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.complaints: list[str] = []
        self._hosts: set[str] = set()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.quit()

    def open(self, url: str) -> None:
        self.driver.get(url)

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Until it is true; elements that are being replaced count as not there."""
        from selenium.common.exceptions import WebDriverException

        end_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                if value := condition():
                    return value
            except WebDriverException:
                pass
            if time.monotonic() > end_s:
                self.driver.save_screenshot(f"{tempfile.gettempdir()}/find_page_failed.png")
                raise AssertionError(f"waited {PATIENCE_S} s for {what}\n{self.text()}")
            time.sleep(0.1)

    def find(self, css: str) -> Any:
        return self.driver.find_element("css selector", css)

    def text(self, css: str = "body") -> str:
        return str(self.find(css).text)

    def click(self, button: str) -> None:
        """The button of that text."""
        self.wait(lambda: self._click(button), f"the button {button!r}")

    def _click(self, button: str) -> bool:
        found = self.driver.find_element("xpath", f"//button[normalize-space(.)='{button}']")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        found.click()
        return True

    def type(self, css: str, text: str) -> None:
        """In place of what stands there."""
        from selenium.webdriver.common.keys import Keys

        field = self.find(css)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)

    def drag(self, css: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Over an image, in its own pixels."""
        from selenium.webdriver import ActionChains

        image = self.find(css)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", image)
        width, height = self.natural_size(css)
        scale_x, scale_y = image.rect["width"] / width, image.rect["height"] / height
        points = [
            (round((x - width / 2) * scale_x), round((y - height / 2) * scale_y))
            for x, y in (start, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2), end)
        ]
        chain = ActionChains(self.driver)
        chain.move_to_element_with_offset(image, *points[0]).click_and_hold()
        for x, y in points[1:]:
            chain.move_to_element_with_offset(image, x, y)
        chain.release().perform()

    def drag_by(self, css: str, right_px: int, down_px: int) -> None:
        """From the middle of an element, so far."""
        from selenium.webdriver import ActionChains

        element = self.find(css)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        chain = ActionChains(self.driver).click_and_hold(element)
        chain.move_by_offset(right_px, down_px).release().perform()

    def mark(self, css: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag a box over a still until its edges stand in numbers: a busy page may miss a drag."""
        self.wait(lambda: self._marked(css, start, end), "a box in numbers")

    def _marked(self, css: str, start: tuple[float, float], end: tuple[float, float]) -> bool:
        self.drag(css, start, end)
        end_s = time.monotonic() + 10.0
        while not self.find(LEFT_EDGE).get_property("value"):
            if time.monotonic() > end_s:
                return False
            time.sleep(0.1)
        return True

    def natural_size(self, css: str) -> tuple[int, int]:
        size = "return [arguments[0].naturalWidth, arguments[0].naturalHeight]"
        width, height = self.driver.execute_script(size, self.find(css))
        return width, height

    def pixels(self, css: str) -> np.ndarray:
        """What an <img>, <canvas> or <video> shows, (H, W, 3) uint8 RGB."""
        script = """
            const from = arguments[0], to = document.createElement('canvas');
            to.width = from.naturalWidth || from.videoWidth || from.width;
            to.height = from.naturalHeight || from.videoHeight || from.height;
            to.getContext('2d').drawImage(from, 0, 0);
            return to.toDataURL('image/png').split(',')[1];"""
        data = base64.b64decode(self.driver.execute_script(script, self.find(css)))
        return decode_image(data)

    def errors(self) -> list[str]:
        """What the console complained about so far."""
        entries = self.driver.get_log("browser")
        self.complaints += [e["message"] for e in entries if e["level"] == "SEVERE"]
        return self.complaints

    def hosts(self) -> set[str]:
        """Whom the page has asked for anything so far."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                params = message["params"]
                url = params.get("request", params).get("url", "")
                if urlsplit(url).scheme in ("http", "https", "ws", "wss"):
                    self._hosts.add(urlsplit(url).netloc)
        return self._hosts


class PageProcess:
    """A page served by a process of its own, its output kept.

    Args:
        command: of Python, to which the port is added.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.port = free_port()
        # NiceGUI takes a process with this variable for a test of its own.
        env = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
        self._log = tempfile.NamedTemporaryFile("w+b", suffix=".log")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, *command, "--port", str(self.port)],
            stdout=self._log, stderr=subprocess.STDOUT, cwd=ROOT, env=env,
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def log(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        """Until it says so."""
        end_s = time.monotonic() + PATIENCE_S
        while text not in self.log or not self._listens():
            assert self.process.poll() is None and time.monotonic() < end_s, self.log
            time.sleep(0.1)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __enter__(self) -> PageProcess:
        try:
            self.wait_for("The page is")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
