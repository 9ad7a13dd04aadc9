"""Track ids: occlusion, look-alikes, jitter, cuts, bounded memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from find_core.video.tracking import (
    Tracker,
    TrackerConfig,
    box_iou,
    correct,
    new_kalman,
    predict,
    to_center_size,
    to_xyxy,
)

FPS = 10
A, B = np.eye(4)[0], np.eye(4)[1]


def box(x, y, w=20, h=20):
    return np.array([x, y, x + w, y + h], float)


def run(tracker, frames, fps=FPS):
    """frames: per frame a list of (box, embedding) -> per frame the list of ids."""
    out = []
    for n, things in enumerate(frames):
        boxes = np.array([b for b, _ in things]).reshape(-1, 4)
        embeddings = np.array([e for _, e in things]).reshape(-1, 4)
        owners, _ = tracker.update(boxes, np.ones(len(things)), embeddings, n / fps)
        out.append([o.id for o in owners])
    return out


def test_smoke_two_things_keep_their_ids():
    frames = [[(box(2 * n, 10), A), (box(100 - n, 60), B)] for n in range(30)]
    ids = run(Tracker(), frames)
    assert ids[0] == [1, 2] and all(i == [1, 2] for i in ids)


def test_order_of_candidates_does_not_matter():
    frames = [[(box(2 * n, 10), A), (box(100 - n, 60), B)][:: (-1) ** n] for n in range(30)]
    ids = run(Tracker(), frames)
    assert all(i == ([1, 2] if n % 2 == 0 else [2, 1]) for n, i in enumerate(ids))


@pytest.mark.parametrize("hidden", [3, 8, 15])
def test_id_survives_occlusion_while_moving(hidden):
    """Hidden for up to 1.5 s behind something while it moves one width a second."""
    frames = [[(box(2 * n, 10), A)] if not 12 <= n < 12 + hidden else [] for n in range(40)]
    ids = [i for frame in run(Tracker(), frames) for i in frame]
    assert set(ids) == {1}


def test_identical_look_alikes_cross():
    """Same embedding, passing each other side by side: motion alone must keep them apart."""
    frames = [[(box(4 * n, 40), A), (box(120 - 4 * n, 52), A)] for n in range(31)]
    assert all(i == [1, 2] for i in run(Tracker(), frames))


def test_identical_look_alikes_cross_while_one_is_hidden():
    frames = [
        [(box(4 * n, 40), A)] + ([] if 12 <= n < 19 else [(box(120 - 4 * n, 46), A)])
        for n in range(31)
    ]
    ids = run(Tracker(), frames)
    assert all(i[0] == 1 for i in ids) and all(i[1] == 2 for i in ids if len(i) == 2)


def test_appearance_decides_where_places_swap_unseen():
    """Both vanish and come back at each other's place: their looks tell them apart."""
    before = [[(box(20, 40), A), (box(60, 40), B)]] * 10
    after = [[(box(20, 40), B), (box(60, 40), A)]] * 5
    ids = run(Tracker(TrackerConfig(gate=3.0)), before + [[]] * 4 + after)
    assert ids[-1] == [2, 1]


def test_a_new_thing_elsewhere_is_not_the_old_one():
    frames = [[(box(10, 10), A)]] * 10 + [[]] * 5 + [[(box(300, 200), A)]] * 5
    ids = run(Tracker(), frames)
    assert ids[-1] == [2]


def test_forgotten_after_a_while():
    frames = [[(box(10, 10), A)]] * 5 + [[]] * 60 + [[(box(10, 10), A)]] * 5
    assert run(Tracker(TrackerConfig(max_age_s=4.0)), frames)[-1] == [2]
    assert run(Tracker(TrackerConfig(max_age_s=8.0)), frames)[-1] == [1]


def test_one_frame_of_noise_gets_no_id():
    frames = [[(box(10, 10), A)]] * 5 + [[(box(10, 10), A), (box(200, 90), B)]]
    frames += [[(box(10, 10), A)]] * 5 + [[(box(10, 10), A), (box(90, 90), B)]] * 3
    ids = run(Tracker(), frames)
    assert ids[5] == [1, 0], "not confirmed yet"
    assert ids[-1] == [1, 2], "ids have no holes"


def test_events_appear_lost_and_again():
    tracker, seen = Tracker(), []
    for n in range(60):
        present = n < 10 or 22 <= n < 30
        boxes = np.array([box(10, 10)] if present else []).reshape(-1, 4)
        _, changes = tracker.update(boxes, np.ones(len(boxes)), np.array([A] * len(boxes)), n / 10)
        seen += [(c.kind, c.track_id, c.time_s) for c in changes]
    assert [(k, i) for k, i, _ in seen] == [("appear", 1), ("lost", 1), ("appear", 1), ("lost", 1)]
    lost_s = TrackerConfig().lost_s
    assert seen[1][2] == pytest.approx(0.9 + lost_s, abs=0.11)


def test_weak_candidates_continue_but_do_not_begin():
    tracker = Tracker()
    none, _ = tracker.update(box(10, 10)[None], np.ones(1), A[None], 0.0, np.array([True]))
    assert none == [None] and not tracker.tracks
    tracker.update(box(10, 10)[None], np.ones(1), A[None], 0.1)
    owners, _ = tracker.update(box(11, 10)[None], np.ones(1), A[None], 0.2, np.array([True]))
    assert owners[0] is tracker.tracks[0]


def test_cut_only_likeness_counts():
    tracker = Tracker()
    run(tracker, [[(box(10, 10), A), (box(60, 60), B)]] * 5)
    tracker.scene_change()
    owners, _ = tracker.update(
        np.array([box(200, 10), box(10, 10)]), np.ones(2), np.array([A, np.eye(4)[2]]), 0.5
    )
    assert owners[0].id == 1, "alike, so it is the same one at another place"
    assert owners[1].id == 0, "at the old place, but unlike: a new one"


def test_memory_is_bounded():
    rng = np.random.default_rng(0)
    tracker = Tracker(TrackerConfig(max_tracks=20))
    for n in range(300):
        boxes = np.array([box(*rng.uniform(0, 2000, 2)) for _ in range(10)])
        tracker.update(boxes, np.ones(10), rng.normal(size=(10, 4)), n / 10)
        assert len(tracker.tracks) <= 20


def test_slow_cameras():
    """Two frames a second, half a box of motion between them."""
    frames = [[(box(10 * n, 10), A)] for n in range(12)]
    assert {i for f in run(Tracker(), frames, fps=2) for i in f} == {1}


def test_state_round_trip_through_json():
    frames = [[(box(2 * n, 10), A), (box(100 - n, 60), B)] if n % 7 else [] for n in range(30)]
    whole, first, second = Tracker(), Tracker(), Tracker()
    expected = run(whole, frames)
    run(first, frames[:13])
    second.restore(json.loads(json.dumps(first.state())))
    second.ids = first.ids
    got = []
    for n, things in enumerate(frames[13:], 13):
        boxes = np.array([b for b, _ in things]).reshape(-1, 4)
        owners, _ = second.update(
            boxes, np.ones(len(things)), np.array([e for _, e in things]).reshape(-1, 4), n / FPS
        )
        got.append([o.id for o in owners])
    assert got == expected[13:]
    for a, b in zip(whole.tracks, second.tracks, strict=True):
        np.testing.assert_allclose(a.kalman.statePost, b.kalman.statePost)


def test_kalman_matches_slow_twin():
    """OpenCV's filter as configured here against the textbook equations."""
    rng = np.random.default_rng(1)
    kalman = new_kalman(box(10, 10))
    x, P = kalman.statePost.copy(), kalman.errorCovPost.copy()
    for _ in range(5):
        measured = box(*rng.uniform(10, 14, 2))
        predict(kalman, 0.1)
        F, Q = kalman.transitionMatrix, kalman.processNoiseCov
        x, P = F @ x, F @ P @ F.T + Q
        correct(kalman, measured)
        H, R = kalman.measurementMatrix, kalman.measurementNoiseCov
        gain = P @ H.T @ np.linalg.inv(H @ P @ H.T + R)
        x = x + gain @ (to_center_size(measured[None]).T - H @ x)
        P = (np.eye(6) - gain @ H) @ P
        np.testing.assert_allclose(kalman.statePost, x, atol=1e-9)
        np.testing.assert_allclose(kalman.errorCovPost, P, atol=1e-9)


boxes_st = st.tuples(*[st.floats(-50, 50)] * 2, *[st.floats(0.5, 40)] * 2)


@given(st.lists(boxes_st, min_size=1, max_size=4), st.lists(boxes_st, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_feature_box_iou(a, b):
    a, b = (np.array([[x, y, x + w, y + h] for x, y, w, h in s]) for s in (a, b))
    iou = box_iou(a, b)
    assert ((iou >= 0) & (iou <= 1 + 1e-9)).all()
    np.testing.assert_allclose(iou, box_iou(b, a).T)
    np.testing.assert_allclose(np.diag(box_iou(a, a)), 1)
    np.testing.assert_allclose(to_xyxy(to_center_size(a)), a, atol=1e-9)
