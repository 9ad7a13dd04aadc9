"""StreamLocalizer on frames of coloured rectangles, and on the real thing with random weights."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from find_core.errors import FindError, ImageError, PromptError
from find_core.testing import tiny_find
from find_core.video.shots import motion_between, thumbnail
from find_core.video.stream import StreamConfig, StreamLocalizer
from find_core.video.tracking import TrackerConfig
from tests.find_core.video.fakes import ColorFind, paint

STEP_NS = 100_000_000


def play(stream, scenes, start=0):
    return [stream.update(paint(s), (start + n) * STEP_NS) for n, s in enumerate(scenes)]


RED, GREEN = ("red", 10, 10, 20, 20), ("green", 60, 40, 20, 20)


def test_smoke_single_prompt():
    frames = play(StreamLocalizer(ColorFind(), "the <red>"), [[RED]] * 10)
    last = frames[-1]
    assert last.index == 9 and last.time_s == pytest.approx(0.9)
    assert last.localization.entities[0].track_id == 1
    assert last.localization.entities[0].instances[0].track_id == 1
    assert last.relevance == last.relevance_raw == 1.0
    assert last.interval.start_s == 0.0 and last.interval.end_s == pytest.approx(0.9)
    assert last.localization.entities[0].mask.sum() == 400


def test_interval_and_events_of_a_visit():
    scenes = [[]] * 10 + [[RED]] * 15 + [[]] * 15
    frames = play(StreamLocalizer(ColorFind(), "the <red>"), scenes)
    closed = [f.prompts[0].closed for f in frames if f.prompts[0].closed]
    assert len(closed) == 1
    assert abs(closed[0].start_s - 1.0) < 0.35 and abs(closed[0].end_s - 2.5) < 0.35
    events = [(e.kind, e.label, e.track_id, e.count) for f in frames for e in f.events]
    assert events == [("appear", "red", 1, 1), ("lost", "red", 1, 0)]
    assert frames[5].interval is None and frames[20].interval is not None


def test_count_tells_first_and_last():
    two = [RED, ("red", 60, 40, 20, 20)]
    frames = play(StreamLocalizer(ColorFind(), "<red>"), [[RED]] * 5 + [two] * 5 + [[]] * 12)
    events = [(e.kind, e.count) for f in frames for e in f.events]
    assert events == [("appear", 1), ("appear", 2), ("lost", 1), ("lost", 0)]


def test_several_prompts_and_entities():
    find = ColorFind()
    stream = StreamLocalizer(find, ["the <red> by the <green>", "<blue>"])
    frames = play(stream, [[RED, GREEN]] * 5)
    first, second = frames[-1].prompts
    assert [e.label for e in first.localization] == ["red", "green"]
    assert [e.track_id for e in first.localization] == [1, 2]
    assert not second.localization.entities[0].found and second.relevance == 0
    assert find.encoded == 5, "one encoding a frame serves all prompts"


def test_the_target_does_not_flicker_between_look_alikes():
    """Two equal things whose scores take turns: the entity stays on one of them."""
    scenes = [[("red", 10, 10, 14, 10 + n % 2), ("red", 60, 40, 14, 11 - n % 2)] for n in range(20)]
    frames = play(StreamLocalizer(ColorFind(), "<red>"), scenes)
    assert len({f.localization.entities[0].track_id for f in frames}) == 1
    assert all({i.track_id for i in f.localization.entities[0].instances} == {1, 2} for f in frames)


def test_the_target_follows_when_another_is_better_for_good():
    small, big = ("red", 10, 10, 12, 10), ("red", 60, 40, 14, 14)
    frames = play(StreamLocalizer(ColorFind(), "<red>"), [[small]] * 5 + [[small, big]] * 10)
    ids = [f.localization.entities[0].track_id for f in frames]
    assert ids[4] == 1 and ids[-1] == 2 and ids == sorted(ids)


def test_weak_candidate_keeps_its_track():
    """Half hidden, the score falls below the threshold: not found, but still the same one."""
    whole, half = ("red", 10, 10, 12, 12), ("red", 10, 10, 12, 6)
    scenes = [[whole]] * 5 + [[half]] * 12 + [[whole]] * 5
    frames = play(StreamLocalizer(ColorFind(), "<red>"), scenes)
    middle = frames[12].localization.entities[0]
    assert not middle.found and middle.track_id == 1
    assert not any(e.kind == "lost" for f in frames for e in f.events)
    assert frames[-1].localization.entities[0].track_id == 1


def test_prompt_change_starts_anew_and_ids_go_on():
    find = ColorFind()
    stream = StreamLocalizer(find, "<red>")
    play(stream, [[RED, GREEN]] * 5)
    stream.set_prompt(find.compile("<green>"))
    frame = stream.update(paint([RED, GREEN]), 5 * STEP_NS)
    assert frame.index == 0 and frame.localization.entities[0].track_id == 2


def test_time_running_backwards_starts_anew():
    stream = StreamLocalizer(ColorFind(), "<red>")
    play(stream, [[RED]] * 5, start=100)
    frame = stream.update(paint([RED]), 0)
    assert frame.time_s == 0.0 and frame.index == 5


def test_stalled_camera_closes_the_interval():
    stream = StreamLocalizer(ColorFind(), "<red>")
    play(stream, [[RED]] * 10)
    frame = stream.update(paint([]), 100 * STEP_NS)
    assert frame.scene_change and frame.relevance == 0.0, (
        "old relevance does not leak over the hole"
    )
    assert frame.prompts[0].closed.end_s == pytest.approx(0.9)


def test_same_stamp_twice_is_harmless():
    stream = StreamLocalizer(ColorFind(), "<red>")
    for stamp in (0, STEP_NS, STEP_NS, STEP_NS, 2 * STEP_NS):
        frame = stream.update(paint([RED]), stamp)
    assert frame.localization.entities[0].track_id == 1 and np.isfinite(frame.relevance)


def test_given_scene_is_not_encoded_again():
    find = ColorFind()
    stream = StreamLocalizer(find, "<red>")
    image = paint([RED])
    stream.update(image, 0, scene=find.encode(image))
    assert find.encoded == 1


def texture(seed, height=240, width=640):
    """Soft random blobs, wide enough for a camera to pan over."""
    rough = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(rough, (0, 0), 6)
    soft = 127 + (soft - soft.mean()) * 60 / soft.std()
    return np.clip(soft, 0, 255).astype(np.uint8)


def test_shot_change_is_seen_and_a_dimmer_is_not():
    a, b = (thumbnail(texture(s)[:, :320]) for s in (0, 1))
    assert motion_between(a, a).similarity > 0.999
    assert motion_between(a, 0.6 * a).similarity > 0.999
    assert motion_between(a, b).similarity < 0.5
    assert motion_between(0 * a, 0 * a + 1).similarity == -1
    small = a.copy()
    small[10:20, 10:20] = 1 - small[10:20, 10:20]
    assert motion_between(a, small).similarity > 0.8


@pytest.mark.parametrize("dx, dy", [(40, 0), (-90, 10), (0, -30), (120, 20)])
def test_camera_shift_is_measured(dx, dy):
    wide = texture(3, 400, 800)
    view = [wide[80 + y : 320 + y, 200 + x : 520 + x] for x, y in ((0, 0), (-dx, -dy))]
    motion = motion_between(*map(thumbnail, view))
    scale = 320 / 96
    np.testing.assert_allclose(np.array(motion.shift_px) * scale, (dx, dy), atol=scale)
    assert motion.similarity > 0.9


def test_ids_survive_a_fast_pan_and_a_look_away():
    """The camera turns by more than an object's size a frame, loses it from view, comes back."""
    world = texture(5, 240, 1400) // 2
    world[100:140, 320:360] = (220, 30, 30)
    world[60:100, 400:440] = (220, 30, 30)
    lefts = (
        [200] * 5 + list(range(200, 700, 80)) + [700] * 15 + list(range(700, 200, -80)) + [200] * 5
    )
    stream, ids = StreamLocalizer(ColorFind(), "<red>"), []
    for n, left in enumerate(lefts):
        frame = stream.update(np.ascontiguousarray(world[:, left : left + 320]), n * STEP_NS)
        assert not frame.scene_change
        found = frame.localization.entities[0].instances
        ids.append({i.track_id: i.box_xyxy[0] + left for i in found if i.track_id})
    assert {} in ids, "out of view for a while"
    whole = [{t: round(x / 80) * 80 for t, x in seen.items()} for seen in ids]
    assert len(ids[0]) == 2 and all(seen.items() <= whole[0].items() for seen in whole)


def test_state_round_trip_is_exact():
    scenes = [[("red", 3 * n, 10, 20, 20), GREEN] if n % 6 else [] for n in range(24)]
    lines = []
    for stop in (None, 11):
        stream, out = StreamLocalizer(ColorFind(), ["<red>", "<green>"]), []
        for n, scene in enumerate(scenes):
            if n == stop:
                saved = json.loads(json.dumps(stream.state()))
                stream = StreamLocalizer(ColorFind(), ["<red>", "<green>"])
                stream.restore(saved)
            frame = stream.update(paint(scene), n * STEP_NS)
            out += [frame.to_json(0), frame.to_json(1), [e.to_json() for e in frame.events]]
            out.append([p.relevance for p in frame.prompts])
        lines.append(out)
    assert lines[0] == lines[1]


def test_memory_does_not_grow():
    """What the stream keeps after 800 frames of coming and going is what it kept after 200."""
    rng = np.random.default_rng(0)
    stream, sizes = (
        StreamLocalizer(ColorFind(20), "<red>", config=StreamConfig(scene_change=None)),
        [],
    )
    for n in range(800):
        boxes = [("red", *rng.integers(0, 40, 2), 6, 6) for _ in range(rng.integers(0, 4))]
        stream.update(paint(boxes, 48, 64), n * STEP_NS)
        if n in (200, 799):
            sizes.append(len(json.dumps(stream.state())))
    assert sizes[1] < 3 * sizes[0] + 20_000


def test_exceptions_say_what_to_do():
    find = ColorFind()
    with pytest.raises(PromptError, match="No prompt"):
        StreamLocalizer(find, [])
    with pytest.raises(FindError, match="between 0 and 1"):
        StreamLocalizer(find, "<red>", threshold=1.5)
    with pytest.raises(ImageError, match="Frame has dtype"):
        StreamLocalizer(find, "<red>").update(np.zeros((4, 4, 3)), 0)


@pytest.mark.parametrize("fast", [False, True])
def test_real_find_with_random_weights(fast):
    find = tiny_find(seed=0, single_things=True)  # as video always takes masks apart
    stream = StreamLocalizer(
        find, ["the <mug> on the <table>", "a <book>"], threshold=0.0, fast=fast
    )
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    for n in range(3):
        frame = stream.update(image, n * STEP_NS)
    alone = find.encode(image).localize("a <book>", threshold=0.0, fast=fast)
    entity, expected = frame.prompts[1].localization.entities[0], alone.entities[0]
    assert entity.score == pytest.approx(expected.score, abs=1e-4)
    assert np.array_equal(entity.mask, expected.mask)
    assert len(entity.instances) == len(expected.instances)
    assert frame.prompts[0].localization.entities[1].label == "table"


SMALL = ("red", 10, 10, 12, 10)  # scores 0.6
SMALLER = ("red", 10, 10, 10, 8)  # scores 0.4


def test_a_new_threshold_reaches_intervals_and_tracks():
    stream = StreamLocalizer(ColorFind(), "<red>")
    before = play(stream, [[SMALL]] * 10)[-1]
    assert before.interval is not None and before.localization.entities[0].track_id == 1
    stream.set_threshold(0.9)
    after = play(stream, [[SMALL]] * 12, start=10)
    assert not any(f.localization.entities[0].found for f in after)
    assert [f.localization.entities[0].track_id for f in after] == [1] * 12, "0.6 of 0.9 keeps it"
    assert after[-1].interval is None and [f.index for f in after] == list(range(10, 22))
    closed = [f.prompts[0].closed for f in after if f.prompts[0].closed]
    assert len(closed) == 1 and closed[0].start_s == 0.0
    gone = play(stream, [[SMALLER]] * 12, start=22)
    assert all(f.localization.entities[0].track_id is None for f in gone), "below 0.6 of 0.9"
    stream.set_threshold(0.3)
    back = play(stream, [[SMALLER]] * 12, start=34)[-1]
    assert back.localization.entities[0].found and back.interval is not None


@pytest.mark.parametrize("threshold", [None, 0.0, 0.35, 1.0])
def test_a_threshold_set_before_the_first_frame_is_that_of_the_constructor(threshold):
    scenes = [[SMALL, ("red", 60, 40, 10, 8)]] * 6 + [[SMALLER]] * 6 + [[]] * 8
    changed = StreamLocalizer(ColorFind(), "<red>", threshold=0.9)
    changed.set_threshold(threshold)
    given = StreamLocalizer(ColorFind(), "<red>", threshold=threshold)
    for a, b in zip(play(changed, scenes), play(given, scenes), strict=True):
        assert a.to_json() == b.to_json() and a.events == b.events
        assert a.prompts[0].interval == b.prompts[0].interval
    with pytest.raises(FindError, match="between 0 and 1"):
        changed.set_threshold(1.5)
    assert changed.threshold == threshold


def test_no_threshold_is_the_models_own_everywhere():
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    seen = set()
    for own in (0.05, 0.95):
        find = tiny_find(threshold=own)
        scene = find.encode(image)
        stream = StreamLocalizer(find, "<mug>")
        stream_found = stream.update(image, 0).localization.entities[0].found
        alone = scene.localize("<mug>").entities[0].found
        assert alone == scene.localize("<mug>", threshold=own).entities[0].found == stream_found
        assert stream.timeline.enter == own
        seen.add(alone)
    assert seen == {True, False}


def test_settings_are_understood_by_their_old_names():
    assert StreamConfig(cut=None, weak=0.5) == StreamConfig(scene_change=None, low_score_ratio=0.5)
    tracker = TrackerConfig(reach=3.0, forget_s=4.0, confirm_hits=1, reach_per_s=2.0, max_reach=5.0)
    assert tracker == TrackerConfig(
        gate=3.0, max_age_s=4.0, min_hits=1, gate_growth=2.0, max_gate=5.0
    )
    assert (tracker.reach, StreamConfig().cut, TrackerConfig().anywhere_cosine) == (3.0, 0.5, 0.9)
    with pytest.raises(TypeError, match="unheard_of"):
        StreamConfig(unheard_of=1)
