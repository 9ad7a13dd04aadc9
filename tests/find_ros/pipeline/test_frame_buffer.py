"""The newest frame wins, cameras take turns, and the books balance: no ROS needed."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from find_ros.pipeline.frame_buffer import MAX_WAITING, FrameStore

MS = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def balance(store: FrameStore, name: str = "") -> dict:
    return store.counters[name].snapshot()


def test_only_the_newest_frame_is_served():
    store = FrameStore([""])
    for n in range(5):
        store.put_image("", n, f"image {n}")
    assert store.take(0).image == "image 4"
    assert store.take(0) is None
    assert balance(store)["dropped"] == {"superseded": 4}


def test_cameras_are_served_in_turn():
    store = FrameStore(["a", "b", "c"])
    served = []
    for n in range(12):
        for name in ("a", "b", "c"):
            store.put_image(name, n, n)
        served.append(store.take(0).camera)
    assert served == ["a", "b", "c"] * 4


def test_a_fast_camera_does_not_starve_a_slow_one():
    store = FrameStore(["fast", "slow"])
    served = []
    for n in range(40):
        store.put_image("fast", n, n)
        if n % 4 == 0:
            store.put_image("slow", n, n)
        served.append(store.take(0).camera)
    assert served.count("slow") == 10


def test_rate_limit_keeps_the_beat_and_saves_up_no_turns():
    clock = Clock()
    store = FrameStore([""], rate_hz=10.0, clock=clock)
    taken = []
    for n in range(100):  # 50 Hz for 2 s
        clock.now_s = 100 + n / 50
        store.put_image("", n, n)
        if store.take(0):
            taken.append(clock.now_s)
    assert len(taken) == 20
    clock.now_s += 60
    store.put_image("", 200, 200)
    assert store.take(0)
    store.put_image("", 201, 201)
    assert store.take(0) is None  # a minute's silence earns no burst


def test_depth_joins_its_image_whichever_comes_first():
    store = FrameStore([""], pair_depth=True, tolerance_s=0.02)
    store.put_image("", 100 * MS, "image")
    assert store.take(0) is None
    store.put_depth("", 110 * MS, "depth")
    assert store.take(0).depth == "depth"
    store.put_depth("", 300 * MS, "early")
    store.put_image("", 301 * MS, "image")
    assert store.take(0).depth == "early"


def test_depth_of_another_moment_does_not_join():
    clock = Clock()
    store = FrameStore([""], pair_depth=True, tolerance_s=0.02, wait_s=0.1, clock=clock)
    store.put_depth("", 50 * MS, "depth")
    store.put_image("", 100 * MS, "image")
    assert store.take(0) is None
    clock.now_s += 0.11
    frame = store.take(0)
    assert frame.depth is None and frame.without_depth == "no_depth"


def test_depth_that_is_always_late_starves_nobody():
    """60 Hz with depth 40 ms behind: the newest image never has its depth yet."""
    clock = Clock()
    store = FrameStore([""], pair_depth=True, wait_s=0.1, tolerance_s=0.008, clock=clock)
    paired = 0
    for n in range(60):
        clock.now_s = 100 + n / 60
        store.put_image("", round(n / 60 * 1e9), n)
        if n >= 3:
            store.put_depth("", round((n - 3) / 60 * 1e9), n - 3)
        frame = store.take(0)
        if frame is not None:
            assert frame.depth == frame.image
            paired += 1
    assert paired > 50


def test_waiting_frames_are_bounded():
    store = FrameStore([""], pair_depth=True, wait_s=1e9)
    for n in range(50):
        store.put_image("", n * 100 * MS, n)
    assert balance(store)["dropped"] == {"superseded": 50 - MAX_WAITING}


def test_closed_it_takes_nothing_in_and_wakes_its_taker():
    store = FrameStore([""])
    got = []
    thread = threading.Thread(target=lambda: got.append(store.take(30.0)))
    thread.start()
    store.close()
    thread.join(5)
    assert got == [None]
    store.put_image("", 1, 1)
    assert balance(store)["dropped"] == {"inactive": 1}


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("idtc"), st.integers(0, 9)), max_size=80
    )
)
@settings(max_examples=100, deadline=None)
def test_every_frame_is_accounted_for(steps):
    """Whatever happens: received = published + dropped by cause, once all is taken or closed."""
    clock = Clock()
    store = FrameStore(["a", "b"], pair_depth=True, wait_s=0.05, rate_hz=30, clock=clock)
    for camera, what, n in steps:
        clock.now_s += 0.01
        if what == "i":
            store.put_image(camera, n * 10 * MS, n)
        elif what == "d":
            store.put_depth(camera, n * 10 * MS, n)
        elif what == "t" and (frame := store.take(0)):
            store.counters[frame.camera].publish()
        elif what == "c":
            store.close()
            store.open()
    store.close()
    for name in "ab":
        assert balance(store, name)["in_flight"] == 0


def test_every_frame_is_accounted_for_with_threads():
    store = FrameStore(["a", "b"])

    def camera(name: str) -> None:
        for n in range(2000):
            store.put_image(name, n, n)

    threads = [threading.Thread(target=camera, args=(name,)) for name in "ab"]
    [t.start() for t in threads]
    while any(t.is_alive() for t in threads):
        if frame := store.take(0.001):
            store.counters[frame.camera].publish()
    store.close()
    for name in "ab":
        counts = balance(store, name)
        assert counts["received"] == 2000 and counts["in_flight"] == 0


def test_take_returns_at_once_when_there_is_a_frame():
    store = FrameStore([""])
    store.put_image("", 1, "x")
    assert store.take(1000.0).image == "x"


@pytest.mark.parametrize("timeout_s", [0.0, 0.01])
def test_take_gives_up(timeout_s):
    assert FrameStore([""]).take(timeout_s) is None


def test_only_cameras_with_depth_wait_for_it():
    store = FrameStore(["front", "wrist"], pair_depth=["front"], wait_s=1e9)
    store.put_image("front", 1, "image")
    store.put_image("wrist", 1, "image")
    assert store.take(0).camera == "wrist" and store.take(0) is None
    store.put_depth("front", 1, "depth")
    assert store.take(0).depth == "depth"
