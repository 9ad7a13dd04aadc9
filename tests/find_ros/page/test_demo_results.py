"""The demo's page, from answers as the localizer gives them."""

from __future__ import annotations

import json

import numpy as np

from find_ros.demo_results import rows_of, write_page


def line(n: int, score: float) -> dict:
    entity = {"label": "red cup", "found": score > 0.5, "score": score, "track_id": 3}
    return {"time_s": n / 5, "stamp_ns": n, "relevance_smoothed": score, "entities": [entity]}


def test_rows_and_page(tmp_path):
    lines = [line(n, score) for n, score in enumerate([0.1, 0.8, 0.9, 0.2])]
    [row] = rows_of(lines)
    assert (row.found_in, row.frames, row.best_score, row.best_s, row.tracks) == (2, 4, 0.9, 0.4, 1)
    images = {n: np.full((40, 60, 3), 40 * n, np.uint8) for n in (0, 1, 3)}
    text = write_page(tmp_path, 'the "new" <red cup>', lines, images, 0.5).read_text()
    assert text.count("data:image/jpeg") == 3, "a frame without its overlay is left out"
    for command in ("make demo VIDEO", "find-core live 0", "ros2 launch find_ros"):
        assert f"{command}" in text
    assert "&quot;new&quot;" not in text.split("What now")[1], "quotes would break the commands"
    asked = json.dumps({"version": 1, "prompt": "the <red cup>"})
    assert "the <mark>red cup</mark>" in write_page(tmp_path, asked, lines, images, 0.5).read_text()
