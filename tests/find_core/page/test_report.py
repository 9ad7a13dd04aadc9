"""The report as a file: what stands in it, and that a browser shows it without a network."""

from __future__ import annotations

import numpy as np
import pytest

from find_core.page.report import MAX_FRAMES, Row, Shot, write_report
from find_core.page.source import PageError
from find_core.prompts.prompt import Prompt
from find_core.prompts.reference import Reference
from find_core.video.timeline import Interval
from tests.find_core.video.fakes import COLORS, paint
from tests.web.browser import Browser, needs_browser

FILM = "#film"


def report(path, count: int = 10, text: str = "the <this> by </script><b>", cloud=None):
    """A red rectangle that goes to the right, ten frames a second."""
    shots = [
        Shot(paint([("red", 5 * n % 70, 20, 20, 20)]), n / 10, 0.9 if n >= 5 else 0.1)
        for n in range(count)
    ]
    photo = paint([("blue", 10, 10, 40, 40)])
    known = {"this": Reference(photo, box=(10, 10, 50, 50))}
    return write_report(
        path / "index.html",
        title="What was found <i>",
        prompt=Prompt.bind_known(text, known),
        shots=shots,
        intervals=[Interval(0.5, 1.0, 0.9, 0.6, 0.9)],
        threshold=0.5,
        rows=[Row("this & that", 5, count, 0.93, 0.6, 1)],
        commands=[("Live:", 'find-core live 0 --prompt "the <mug>"')] * 3,
        cloud=cloud,
    )


def test_it_is_one_file_whose_texts_are_no_markup(tmp_path):
    text = report(tmp_path, text="a <this> by &lt;b \\<script\\>alert(1)\\</script\\>").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["index.html"]
    assert "What was found &lt;i&gt;" in text and "this &amp; that" in text
    assert "<script>alert" not in text and "http://" not in text and "https://" not in text
    assert text.count("data:image/jpeg") == 10 + 1


def test_long_films_are_thinned_and_empty_ones_refused(tmp_path):
    text = report(tmp_path, count=3 * MAX_FRAMES).read_text()
    assert text.count("data:image/jpeg") == MAX_FRAMES + 1
    with pytest.raises(PageError, match="no frame"):
        report(tmp_path, count=0)


def red_middle(page: Browser) -> float:
    near = np.abs(page.pixels(FILM).astype(int) - COLORS["red"]).max(-1) < 60
    return float(np.nonzero(near)[1].mean())


@needs_browser()
def test_a_browser_plays_it_from_the_disk(tmp_path):
    path = report(tmp_path)
    with Browser() as page:
        page.open(path.as_uri())
        page.wait(lambda: abs(red_middle(page) - 9.5) < 2, "the first frame")
        assert "0.0 s, relevance 0.10" in page.text()
        page.click("Play")
        page.wait(lambda: "0.9 s, relevance 0.90" in page.text(), "the film to end")
        page.wait(lambda: abs(red_middle(page) - 54.5) < 2, "the last frame")
        chart = page.find("#chart")
        page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
        chart.click()  # its middle
        page.wait(lambda: "0.4 s" in page.text() or "0.5 s" in page.text(), "the film to follow")
        page.find("#frame").send_keys("\ue012" * 20)  # arrow left
        page.wait(lambda: "0.0 s, relevance 0.10" in page.text(), "the slider")
        assert "5 of 10" in page.text() and page.text().count("find-core live 0") == 3
        assert page.find("figure img").get_property("naturalWidth") > 40
        assert not page.errors() and not page.hosts()
