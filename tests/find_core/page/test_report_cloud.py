"""The report's scene in 3D: what is embedded of it, and that a browser draws and turns it."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from find_core.page.report_cloud import MOST_POINTS, SPREAD, Cloud, CloudBox, cloud_data
from tests.find_core.page.test_report import report
from tests.web.browser import Browser, needs_browser

SPACE = "#cloud"
GREEN = (40, 200, 60)
ROSE = (250, 60, 170)


def ground(count: int = 40, up: tuple[float, float, float] = (0, 0, 1)) -> Cloud:
    """A green square of 1 m with a box on one corner of it."""
    x, y = (v.ravel() for v in np.meshgrid(*[np.linspace(0, 1, count)] * 2))
    points = np.stack([x, y, np.zeros_like(x)], axis=1)
    ends = np.array([[(i >> axis & 1) for axis in range(3)] for i in range(8)])
    box = CloudBox("<b>mug</b>", "score 0.90 & more", 0.25 * ends, ROSE)
    colors = np.tile(np.uint8(GREEN), (len(points), 1))
    return Cloud(points, colors, 1 / (count - 1), [box], up)


def decoded(data: dict) -> np.ndarray:
    """(N, 3) in the cube's own lengths, its middle at 0."""
    steps = np.frombuffer(base64.b64decode(data["points"]), "<u2").reshape(-1, 3)
    return steps / 65535 - 0.5


def test_points_and_boxes_are_of_one_cube():
    cloud = ground()
    data = cloud_data(cloud)
    points, box = decoded(data), np.array(data["boxes"][0]["corners"])
    assert len(points) == len(cloud.points_m) and abs(points).max() <= 0.5
    side_m = 1 / np.ptp(points[:, 0])
    assert np.allclose(points[0], box[0], atol=1e-3), "both begin at the origin"
    assert np.ptp(box[:, 0]) * side_m == pytest.approx(0.25, abs=1e-3)
    assert data["spacing"] * side_m == pytest.approx(SPREAD * cloud.spacing_m, rel=1e-3)
    assert len(base64.b64decode(data["colors"])) == 3 * len(points)


def test_what_is_up_is_up():
    z = decoded(cloud_data(ground(up=(0, 2, 0))))[:, 2]
    assert np.ptp(z) > 0.5, "y stands upright"
    assert np.ptp(decoded(cloud_data(ground()))[:, 2]) < 1e-3


def test_it_is_looked_at_from_where_it_was_seen():
    cloud = ground()
    data = cloud_data(replace(cloud, seen_from_m=np.array([5.0, 0.125, 1.0])))
    assert data["yaw"] == pytest.approx(np.pi / 2, abs=1e-3), "towards -x"
    assert np.allclose(data["target"], np.mean(data["boxes"][0]["corners"], axis=0), atol=1e-3)
    assert cloud_data(replace(cloud, boxes=()))["zoom"] == 1


def test_large_ones_are_thinned():
    cloud = ground(400)
    data = cloud_data(cloud)
    assert 0.9 * MOST_POINTS < len(decoded(data)) <= MOST_POINTS
    assert len(data["points"]) + len(data["colors"]) < 500_000
    near = np.linalg.norm(decoded(data) - data["target"], axis=1) < 0.05
    whole = np.linalg.norm(cloud.points_m - 0.125, axis=1) < 0.05 * 1.176
    assert near.sum() >= 0.9 * whole.sum(), "what was found is not thinned"


def test_texts_are_no_markup(tmp_path):
    text = report(tmp_path, cloud=ground()).read_text()
    assert "<b>&lt;b&gt;mug&lt;/b&gt;</b> score 0.90 &amp; more" in text
    assert 'id="cloud"' not in report(tmp_path).read_text()


def share(picture: np.ndarray, color) -> float:
    return float((np.abs(picture.astype(int) - color).max(axis=-1) < 60).mean())


@needs_browser()
def test_a_browser_draws_and_turns_it(tmp_path):
    path = report(tmp_path, cloud=ground())
    with Browser() as page:
        page.open(path.as_uri())
        page.wait(lambda: share(page.pixels(SPACE), GREEN) > 0.1, "the ground")
        assert share(page.pixels(SPACE), ROSE) > 0.001 and "score 0.90" in page.text()
        first = page.pixels(SPACE)
        page.drag_by(SPACE, 120, 20)
        page.wait(lambda: (page.pixels(SPACE) != first).any(), "it to turn with a drag")
        second = page.pixels(SPACE)
        page.find(SPACE).send_keys("\ue012")  # arrow left
        page.wait(lambda: (page.pixels(SPACE) != second).any(), "it to turn with a key")
        third = page.pixels(SPACE)
        page.find(SPACE).send_keys("+")
        page.wait(lambda: (page.pixels(SPACE) != third).any(), "it to come nearer")
        assert share(page.pixels(SPACE), GREEN) > 0.1
        assert not page.errors() and not page.hosts()
