"""The moving picture of the README: the shipped sample in `find-core live`, asked, and shown a mug.

python -m tests.web.moving_picture docs/live.webp
"""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

from PIL import Image

from tests.web.browser import Browser, PageProcess
from tests.web.picture import FIRST, IMAGE, SAMPLE, SECOND, outlined

WIDTH_PX, QUALITY = 880, 55
MOVING_MS, READ_MS = 300, 1600


class Film:
    """Screenshots, each with how long it is shown."""

    def __init__(self, page: Browser) -> None:
        self.page = page
        self.frames: list[tuple[Image.Image, int]] = []

    def take(self, shown_ms: int, count: int = 1, apart_s: float = 0.5) -> None:
        for _ in range(count):
            image = Image.open(io.BytesIO(self.page.driver.get_screenshot_as_png())).convert("RGB")
            height = round(image.height * WIDTH_PX / image.width)
            small = image.resize((WIDTH_PX, height), Image.Resampling.LANCZOS)
            self.frames.append((small, shown_ms))
            time.sleep(apart_s)

    def save(self, path: Path) -> None:
        images, shown_ms = zip(*self.frames, strict=True)
        images[0].save(
            path, save_all=True, append_images=images[1:], duration=list(shown_ms), loop=0,
            quality=QUALITY, method=6,
        )  # fmt: skip


def main() -> None:
    command = ["-m", "find_core.cli", "live", str(SAMPLE), "--fps", "2", "--prompt", FIRST]
    with PageProcess(command) as served, Browser(1240, 900) as page:
        page.open(served.url)
        page.wait(lambda: "white mug yes" in page.text('[data-testid="findings"]'), "the mug")
        film = Film(page)
        film.take(MOVING_MS, 6)
        page.click("Freeze")
        page.wait(lambda: "/picture/still/" in page.find(IMAGE).get_attribute("src"), "the still")
        page.mark(IMAGE, *outlined(page.pixels(IMAGE)))
        top(page)
        film.take(READ_MS)
        page.click("Only keep it")
        page.type('[data-testid="prompt"]', SECOND)
        top(page)
        film.take(READ_MS)
        page.click("Look for it")
        page.wait(lambda: f"Looking for {SECOND}" in page.text(), "the prompt")
        page.wait(lambda: "red bowl yes" in page.text('[data-testid="findings"]'), "the bowl")
        top(page)
        film.take(MOVING_MS, 16)
        film.save(Path(sys.argv[1]))


def top(page: Browser) -> None:
    page.driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")


if __name__ == "__main__":
    main()
