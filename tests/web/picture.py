"""The picture of docs/page.md: the shipped sample in `find-core live`, asked for a bowl and a thing shown.

python -m tests.web.picture docs/page.jpg
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2
import numpy as np

from tests.web.browser import ROOT, Browser, PageProcess

SAMPLE = ROOT / "find_core" / "share" / "samples" / "tabletop" / "rgb"
IMAGE = '[data-testid="picture"] img'
FIRST = "the <white mug>"
SECOND = "the <red bowl> in front of <this>"
CURVE_S = 60.0


def main() -> None:
    command = ["-m", "find_core.cli", "live", str(SAMPLE), "--fps", "2", "--prompt", FIRST]
    with PageProcess(command) as served, Browser(1240, 1020) as page:
        page.open(served.url)
        page.wait(lambda: "white mug yes" in page.text('[data-testid="findings"]'), "the mug")
        page.click("Freeze")
        page.wait(lambda: "/picture/still/" in page.find(IMAGE).get_attribute("src"), "the still")
        page.mark(IMAGE, *outlined(page.pixels(IMAGE)))
        page.click("Only keep it")
        page.type('[data-testid="prompt"]', SECOND)
        page.click("Look for it")
        page.wait(lambda: f"Looking for {SECOND}" in page.text(), "the prompt")
        time.sleep(CURVE_S)  # for the curve to have something to show
        page.driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
        save_jpeg(page, Path(sys.argv[1]))


def save_jpeg(page: Browser, path: Path) -> None:
    """What the browser shows."""
    png = np.frombuffer(page.driver.get_screenshot_as_png(), np.uint8)
    picture = cv2.imdecode(png, cv2.IMREAD_COLOR)
    path.write_bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1])


def outlined(picture: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    """Two corners around the largest patch that is tinted as a prompt's first entity."""
    hue, saturation, value = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV))
    orange = (abs(hue.astype(int) - 21) < 5) & (saturation > 90) & (value > 120)
    _, _, stats, _ = cv2.connectedComponentsWithStats(orange.astype(np.uint8))
    x, y, w, h, _ = max(stats[1:], key=lambda s: s[4]).tolist()
    return (x, y), (x + w, y + h)


if __name__ == "__main__":
    main()
