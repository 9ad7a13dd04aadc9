"""The picture of docs/view.md: the shipped sample, lifted, in `find-field view`.

python -m tests.web.field_picture docs/view.jpg
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.web.browser import ROOT, Browser, PageProcess
from tests.web.picture import save_jpeg

SAMPLE = ROOT / "find_core" / "share" / "samples" / "tabletop"
PROMPT = "the <red bowl> in front of the <white mug>"
SETTLED_S = 5.0


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        field = str(Path(folder) / "table.field")
        lift = ["lift", str(SAMPLE), "--out", field, "--voxel", "0.005", "--every", "6"]
        subprocess.run([sys.executable, "-m", "find_field.cli", *lift], cwd=ROOT, check=True)
        command = ["-m", "find_field.cli", "view", field, PROMPT]
        with PageProcess(command) as served, Browser(1240, 860) as page:
            page.open(served.url)
            page.wait(lambda: "white mug" in page.text("#hits"), "the hits")
            hide = (
                "document.querySelectorAll('.mantine-Notification-root').forEach(n => n.remove())"
            )
            page.driver.execute_script(hide)  # that WebGL runs in software here
            time.sleep(SETTLED_S)  # for the points to be drawn
            save_jpeg(page, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
