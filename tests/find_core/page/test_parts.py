"""What the page is made of, without a browser."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from find_core.errors import ImageError, PromptError
from find_core.images import decode_image
from find_core.page.curve import WIDTH, svg_of, time_at, words_of, x_of
from find_core.page.history import SPAN_S, Curve, History
from find_core.page.marking import Marking, check_name, prompt_with
from find_core.page.saved import SavedPrompts
from find_core.page.session import Session
from find_core.page.source import Moment, PageError
from find_core.page.stills import MAX_SIDE_PX, Still, still_of, still_of_photo
from find_core.page.stream_source import StreamSource
from find_core.prompts.prompt import Prompt
from find_core.prompts.reference import Reference
from find_core.video.sources.base import SourceError, SourceFrame
from find_core.video.timeline import Interval
from tests.find_core.page.fakes import SIZE, ShownFind, SizedFind
from tests.find_core.video.fakes import paint

FRAME = paint([("red", 20, 60, 50, 40), ("blue", 200, 100, 60, 60)], *SIZE)


def still(image=FRAME) -> Still:
    return Still(image, b"")


def moment(time_s: float, relevance: float = 0.9, image=FRAME, text="the <red>") -> Moment:
    find = ShownFind()
    found = find.encode(image).localize(find.compile(text))
    return Moment(image, round(time_s * 1e9), 0.0, text, found, relevance)


# Marking


def test_a_drag_is_a_box_in_any_direction():
    marking = Marking(still())
    marking.press(70, 100)
    assert marking.move(40, 80) and marking.edges == (40, 80, 70, 100)
    marking.move(20, 60)
    assert marking.release() and not marking.release()
    assert marking.edges == (20, 60, 70, 100)
    assert marking.reference().mask.sum() == 50 * 40
    assert 'x="20.0" y="60.0" width="50.0" height="40.0"' in marking.svg()


def test_a_drag_ends_at_the_edge_of_the_picture():
    marking = Marking(still())
    marking.press(300, 230)
    marking.move(900, 900)
    marking.release()
    mask = marking.reference().mask
    assert mask[230:, 300:].all() and mask.sum() == 20 * 10


def test_a_tap_takes_the_thing_that_was_found_there_else_the_point():
    marking = Marking(still_of(moment(0)))
    marking.press(30.5, 70.5)
    marking.release()
    assert marking.reference().mask.sum() == 50 * 40
    marking.press(210.5, 110.5)
    marking.release()
    mask = marking.reference().mask
    assert mask[110, 210] and mask.sum() == 9


def test_a_scribble_follows_the_pointer():
    marking = Marking(still(), "scribble")
    marking.press(20.5, 60.5)
    for x in range(21, 60):
        marking.move(x + 0.5, 60.5)
    marking.release()
    mask = marking.reference().mask
    assert mask[60, 20:60].all() and not mask[80].any() and "polyline" in marking.svg()


def test_nothing_marked_is_no_reference():
    with pytest.raises(PromptError, match="drag a box"):
        Marking(still()).reference()


@pytest.mark.parametrize("name", ["", " ", "<this>", "a\nb", "x" * 41, "back\\slash"])
def test_names_that_cannot_stand_in_a_prompt(name):
    with pytest.raises(PromptError, match="no name"):
        check_name(name)


def test_a_new_reference_keeps_the_sentence_that_speaks_of_it():
    assert prompt_with("the <red> left of <this>", "this") == "the <red> left of <this>"
    assert prompt_with("the <red>", "this") == "<this>"
    assert prompt_with("broken <", "this") == "<this>"
    assert prompt_with("this", "this") == "<this>"


# Stills


def test_pictures_are_scaled_to_what_is_sent():
    large = np.zeros((1000, 2560, 3), np.uint8)
    stands = still_of(Moment(large, 5_000_000_000, 0.0))
    assert stands.image_rgb.shape == (500, MAX_SIDE_PX, 3) and stands.time_s == 5.0
    assert decode_image(stands.shown_jpeg).shape == (500, MAX_SIDE_PX, 3)


def test_photos_go_through_the_measured_decoder():
    with pytest.raises(ImageError, match="photo"):
        still_of_photo(b"GIF89a no image")
    bomb = np.zeros((6000, 6000), np.uint8)
    import cv2

    with pytest.raises(ImageError, match="megapixels"):
        still_of_photo(cv2.imencode(".png", bomb)[1].tobytes())


# History and curve


def test_history_forgets_what_is_old_and_finds_stills():
    history = History()
    for n in range(int(10 * (SPAN_S + 20))):
        history.take(moment(n / 10, relevance=0.9 if 1000 <= n < 1200 else 0.1))
    curve = history.curve(0.5)
    assert curve.times_s[0] >= 19.8 and len(curve.times_s) == len(curve.values)
    [interval] = curve.intervals
    assert (interval.start_s, interval.end_s) == pytest.approx((100.0, 120.0))
    near = history.still_near(110.2)
    assert near is not None and near.time_s == pytest.approx(110.0, abs=0.3)
    later = history.still_beside(near.time_s, 1)
    assert later is not None and near.time_s < later.time_s <= near.time_s + 0.6
    assert history.still_beside(1e9, 1) is None


def test_a_clock_that_goes_back_begins_anew():
    history = History()
    history.take(moment(50))
    history.take(moment(10))
    assert history.curve(0.5).times_s.tolist() == [10.0]
    first = history.still_near(50)
    assert first is not None and first.time_s == 10.0


def test_curve_and_clicks_agree():
    history = History()
    for n in range(100):
        history.take(moment(n, relevance=0.9 if n > 60 else 0.0))
    curve = history.curve(0.5)
    for time_s in (0.0, 50.0, 99.0):
        assert time_at(x_of(time_s, 99.0), curve) == pytest.approx(time_s)
    assert svg_of(curve, 0.5).count("<rect") == 1 and "nan" not in svg_of(curve, 0.5, 20.0)
    assert words_of(curve).startswith("Relevance is 0.90 now; relevant 38 to 0 s ago")
    begins = Curve(
        np.array([98.0, 99.0]), np.array([0.1, 0.9]), (Interval(99.0, 99.0, 0.9, 99.0, 0.9),)
    )
    assert words_of(begins) == "Relevance is 0.90 now; relevant now."
    empty = History().curve(0.5)
    assert (
        svg_of(empty, 0.5) == "" and time_at(WIDTH, empty) is None and "No rel" in words_of(empty)
    )


# Saved prompts


def test_saved_prompts_come_back_with_their_references(tmp_path):
    saved = SavedPrompts(tmp_path / "prompts")
    assert saved.names() == []
    reference = Reference(FRAME, box=(20, 60, 70, 100))
    saved.save("my mug", Prompt.bind("the <this>", {"this": reference}))
    assert saved.names() == ["my mug"]
    loaded = saved.load("my mug")
    assert loaded.markup == "the <this>" and loaded.entities[0].reference is not None
    assert np.array_equal(loaded.entities[0].reference.mask, reference.mask)
    for name in ("../up", "", "a/b", "x" * 80):
        with pytest.raises(PageError, match="name"):
            saved.save(name, loaded)


# Session and source


class Frames:
    """A live source that gives frames until it is told to fail."""

    name, is_live, frame_count, duration_s, identity = "frames", True, None, None, ""

    def __init__(self) -> None:
        self.broken, self.opened = False, 0
        self._tick = threading.Event()

    def frames(self, start_s=0.0, stop_s=float("inf"), first_index=0):
        self.opened += 1
        n = 0
        while True:
            if self.broken:
                raise SourceError("The camera is unplugged.")
            yield SourceFrame(n, n / 100, n, FRAME)
            n += 1
            self._tick.wait(0.01)

    def sample(self, period_s):
        yield from self.frames()


def until(condition) -> None:
    waiting = threading.Event()
    for _ in range(3000):
        if condition():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not come")


@pytest.fixture
def session(tmp_path):
    session = Session(StreamSource(ShownFind(), Frames()), tmp_path)
    yield session
    session.end()


def test_the_source_runs_while_somebody_looks(session):
    session.come("a")
    session.come("b")
    until(lambda: session.number > 2)
    assert session.source.source.opened == 1 and "no prompt yet" in session.says()
    session.leave("a")
    before = session.number
    until(lambda: session.number > before + 2)
    session.leave("b")
    session.leave("b")
    assert not session.source._thread.is_alive()
    session.come("c")
    until(lambda: session.source.source.opened == 2)


def test_prompts_references_and_threshold_reach_the_frames(session):
    session.come("a")
    session.keep("this", Reference(FRAME, box=(200, 100, 260, 160)))
    assert session.read("the <red> by <this>").entities == (("red", False), ("this", True))
    assert "never closed" in session.read("the <red").error
    session.ask("<this>")
    until(lambda: session.moment is not None and session.moment.prompt == "<this>")
    [finding] = session.moment.findings
    assert finding.found and finding.label == "this" and finding.track_id == 1
    assert session.moment.localization.entities[0].mask[130, 230]
    session.source.set_threshold(0.3)
    assert session.threshold == 0.3
    session.ask("the <red>")
    until(lambda: session.moment.prompt == "the <red>")
    assert [p.markup for p in session.recent] == ["the <red>", "<this>"]
    session.drop("this")
    assert session.recall(session.recent[1]) == "<this>" and "this" in session.references


def test_another_input_size_is_another_model_asked_the_same(tmp_path):
    made = []
    sized = lambda px: made.append(SizedFind(px)) or made[-1]  # noqa: E731
    source = StreamSource(SizedFind(128), Frames(), sized=sized)
    assert source.input_sizes == (64, 96, 128, 160, 192) and source.input_px == 128
    session = Session(source, tmp_path)
    session.come("a")
    session.ask("the <red>")
    source.set_input_px(128)
    assert not made, "it is of that size"
    source.set_input_px(64)
    assert source.input_px == 64
    until(lambda: made[0].encoded > 2)
    assert session.moment.prompt == "the <red>"
    session.end()
    fixed = StreamSource(ShownFind(), Frames())
    assert fixed.input_sizes == ()
    with pytest.raises(PageError, match="cannot be chosen"):
        fixed.set_input_px(64)


def test_plain_images_between_answers_change_no_history(session):
    session.come("a")
    session.source.close()  # moments by hand from here on
    for n in range(4):
        session._take(moment(n))
        session._take(Moment(FRAME, round((n + 0.5) * 1e9), 0.0))
    assert session.history.curve(0.5).times_s.tolist() == [0, 1, 2, 3]
    session._take(moment(4, text="the <blue>"))
    assert session.history.curve(0.5).times_s.tolist() == [4]


def test_a_source_that_fails_is_told_and_tried_again(session, monkeypatch):
    monkeypatch.setattr("find_core.page.stream_source.RETRY_S", 0.05)
    session.come("a")
    session.ask("the <red>")
    until(lambda: session.moment is not None and session.moment.prompt)
    session.source.source.broken = True
    until(lambda: "unplugged" in session.says())
    session.source.source.broken = False
    until(lambda: session.says() == "Looking for the <red>")
