"""What the page beside a localizer is made of, without a browser."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from find_core.drawing import draw_localization
from find_ros.page.answers import findings_of, localization_of
from find_ros.page.main import build_parser
from find_ros.page.pairing import MAX_ANSWERS, Pairing
from tests.find_core.page.fakes import SIZE, ShownFind
from tests.find_core.video.fakes import paint

FRAME = paint([("red", 20, 60, 50, 40), ("red", 120, 60, 30, 40)], *SIZE)


def answer() -> dict:
    find = ShownFind()
    return find.encode(FRAME).localize(find.compile("the <red> by <green>")).to_json()


def image(size: int = 10) -> SimpleNamespace:
    return SimpleNamespace(data=bytes(size))


def test_an_answer_is_drawn_as_the_localizer_would_draw_it():
    find = ShownFind()
    found = find.encode(FRAME).localize(find.compile("the <red> by <green>"))
    read = localization_of(found.to_json())
    assert np.array_equal(draw_localization(FRAME, read), draw_localization(FRAME, found))


def test_findings_have_the_place_of_their_own_instance():
    data = answer()
    for n, instance in enumerate(data["entities"][0]["instances"]):
        instance["track_id"] = n + 1
    place = {"entity_index": 0, "track_id": 2, "frame_id": "world", "position_m": [1.0, 2.0, 3.0]}
    rows = findings_of(data | {"objects_3d": [place]})
    assert [(r.label, r.found, r.track_id) for r in rows] == [
        ("red", True, 1), ("red", True, 2), ("green", False, None),
    ]  # fmt: skip
    assert rows[0].position_m is None and rows[2].position_m is None
    assert rows[1].position_m == (1.0, 2.0, 3.0) and rows[1].frame_id == "world"


@pytest.mark.parametrize("image_first", [True, False])
def test_image_and_answer_meet_in_either_order(image_first):
    pairing, msg = Pairing(), image()
    first, second = (pairing.put_image, pairing.put_answer)[:: 1 if image_first else -1]
    given = {pairing.put_image: msg, pairing.put_answer: {"a": 1}}
    assert first(5, given[first]) is None
    assert second(5, given[second]) == (msg, {"a": 1})
    assert pairing.put_answer(5, {}) is None, "a pair is made once"


def test_what_waits_is_bounded():
    pairing = Pairing(max_bytes=100)
    for stamp in range(50):
        pairing.put_image(stamp, image(10))
        pairing.put_answer(1000 + stamp, {})
    assert pairing.put_answer(39, {}) is None
    assert pairing.put_answer(45, {}) is not None
    assert pairing.put_answer(44, {}) is None, "an answer to an older image comes too late"
    assert pairing.put_image(1000 + 50 - MAX_ANSWERS - 1, image()) is None
    assert pairing.put_image(1049, image()) is not None


def test_its_arguments():
    options = build_parser().parse_args(["--cameras", "front,wrist", "--port", "9000"])
    assert (options.localizer, options.host, options.port) == ("localizer", "127.0.0.1", 9000)
