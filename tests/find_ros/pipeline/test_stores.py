"""What waits and what is kept is bounded; what is saved replaces only fields."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("sensor_msgs", reason="ROS messages are not installed (pip install .[ros])")

from sensor_msgs.msg import Image

import find_field
from find_core.errors import FieldError
from find_field.evaluation.toy_world import sample_world
from find_ros.field_parameters import check_save_path
from find_ros.messages.errors import UNUSABLE
from find_ros.pipeline.query_queue import QueryQueue
from find_ros.pipeline.reference_store import ReferenceStore, reference_of
from find_ros.pipeline.saving import check_replaceable


def image(name: str = "photo", **changes) -> Image:
    msg = Image(height=2, width=2, step=6, encoding="rgb8", data=bytes(range(12)))
    msg.header.frame_id = name
    for key, value in changes.items():
        setattr(msg, key, value)
    return msg


def test_references_are_bounded_by_their_pixels():
    store = ReferenceStore(limit=9, limit_megapixels=0.03)
    for n in range(5):
        assert store.put(f"r{n}", np.full((100, 100, 3), n, np.uint8))
    assert list(store.all()) == ["r2", "r3", "r4"]
    store.put("large", np.zeros((400, 400, 3), np.uint8))
    assert list(store.all()) == ["large"], "the newest is kept, whatever its size"


def test_references_may_come_while_they_are_read():
    store, done = ReferenceStore(limit=3), threading.Event()

    def put() -> None:
        for n in range(3000):
            store.put(f"r{n}", np.full((1, 1, 3), n % 250, np.uint8))
        done.set()

    thread = threading.Thread(target=put)
    thread.start()
    while not done.is_set():
        assert len(store.all()) <= 3
    thread.join()


def test_a_reference_owns_its_memory():
    msg = image()
    name, rgb = reference_of(msg, 1.0)
    msg.data[0] = 99
    assert name == "photo" and rgb.shape == (2, 2, 3) and rgb[0, 0, 0] == 0


@pytest.mark.parametrize(
    ("msg", "sentence"),
    [
        (image(""), "is empty"), (image("a\nb"), "none for a prompt"), (image("x" * 201), "none for"),
        (image(height=2000, width=2000), "max_megapixels"), (image(encoding="32FC3"), "not supported"),
        (image(step=2**32 - 1), "bytes"),
    ],
)  # fmt: skip
def test_exception_of_a_reference(msg, sentence):
    with pytest.raises(UNUSABLE, match=sentence):
        reference_of(msg, 1.0)


def test_queries_wait_in_order_and_within_bounds():
    queue = QueryQueue(max_waiting=3, max_chars=10)
    assert [queue.put(text) for text in ("a", "b", "c", "d")] == [True, True, True, False]
    assert [queue.get(0.0) for _ in range(4)] == ["a", "b", "c", None]
    assert queue.put("x" * 100), "one is always let in: it is refused with a sentence"
    assert not queue.put("y")
    assert queue.get(0.0) == "x" * 100 and queue.put("y")


@pytest.mark.parametrize("path", ["", ".", "..", "x", "x.txt", ".field", "a/.field", "..field"])
def test_exception_of_a_save_path(path):
    check_save_path("somewhere/room.v2.field")
    with pytest.raises(ValueError, match=r"ends in \.field"):
        check_save_path(path)


def test_only_a_field_is_replaced(tmp_path):
    world = sample_world(seed=2, count=3)
    path = tmp_path / "room.field"
    check_replaceable(path)
    oracle = world.oracle()
    find_field.lift(world.frames(2, oracle=oracle), oracle).save(path)
    check_replaceable(path)
    other, link = tmp_path / "other.field", tmp_path / "link.field"
    other.write_bytes(b"#!/bin/sh\n")
    link.symlink_to(tmp_path / "nothing")
    (tmp_path / "folder.field").mkdir()
    for wrong in (other, link, tmp_path / "folder.field"):
        with pytest.raises(FieldError, match="is no field: it is not replaced"):
            check_replaceable(wrong)
