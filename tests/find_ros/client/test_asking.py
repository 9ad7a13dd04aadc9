"""Questions as state machines: no ROS, a clock of our own."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from find_core.masks import mask_to_rle
from find_core.prompts.prompt import Prompt
from find_core.prompts.reference import Reference
from find_ros.client.asking import LocateQuestion, Question, SetPromptQuestion
from find_ros.client.asking_field import LOST_S, FieldQuestion
from find_ros.client.errors import (
    NoFieldServerError,
    NoLocalizerError,
    NotFoundInTimeError,
    NoTransformError,
    PromptRefusedError,
)
from find_ros.client.frames import Frames
from find_ros.client.lease import RETRY_S, SILENCE_S, TTL_S
from find_ros.client.requests import prompt_json
from find_ros.client.results import LocateResult
from find_ros.messages.errors import PoseError

MASK = np.zeros((4, 6), bool)
MASK[1:3, 2:5] = True
POSE = np.eye(4)
POSE[:3, 3] = 1, 2, 3


def answer(score=0.9, found=True, place=True, stamp_ns=100, **more) -> LocateResult:
    entity = {
        "label": "mug", "found": found, "score": score, "box_xyxy": [2, 1, 5, 3],
        "mask_rle": mask_to_rle(MASK), "track_id": 7, "instances": [],
    }  # fmt: skip
    data = {
        "version": 1, "relevance": score, "entities": [entity], "frame_id": "camera",
        "stamp_ns": stamp_ns, "prompt": "the <mug>", "prompt_id": "q",
    }  # fmt: skip
    if place:
        other = {"entity_index": 0, "track_id": 3, "frame_id": "camera", "position_m": [9, 9, 9]}
        other |= {"T_frame_object": np.eye(4).tolist(), "object_extent_m": [1, 1, 1]}
        own = other | {"track_id": 7, "position_m": [1, 2, 3], "T_frame_object": POSE.tolist()}
        data["objects_3d"] = [other, own]
    return LocateResult.from_answer(data | more)


def question(is_there=True, says="", frames=None, target_frame="", began_ns=50):
    side = SimpleNamespace(name="/localizer", discovery_s=2.0, is_there=is_there, says=says)
    frames = frames or Frames({}, None)
    return LocateQuestion(
        "text", "q", side, 0.0, 5.0, began_ns=began_ns, target_frame=target_frame, frames=frames
    )


def error_of(asked, now_s=5.0):
    asked.tick(now_s)
    return asked.future.exception(0)


def test_feature_a_fresh_answer_completes_it_with_its_own_place():
    asked = question()
    assert asked.due(0.0) == "text"
    asked.on_answer(answer(stamp_ns=49), 0.1)
    assert not asked.is_over, "an image from before the question"
    asked.on_answer(answer(), 0.2)
    result = asked.future.result(0)
    assert result.place.position_m.tolist() == [1, 2, 3], "of this instance, not of another one"
    assert (result.mask == MASK).all() and result.track_id == 7 and result.label == "mug"
    pose = result.place.to_pose()
    assert (pose.position.x, pose.orientation.w) == (1.0, 1.0)
    assert asked.due(0.3) is None


def test_stamps_may_be_left_unchecked():
    asked = question(began_ns=None)
    asked.on_answer(answer(stamp_ns=1), 0.1)
    assert asked.future.done()


def test_it_is_asked_again_after_silence_and_renewed_in_time():
    asked = Question("text", "q", question().localizer, 0.0, 1e9)
    assert asked.due(0.0) and not asked.due(RETRY_S / 2) and asked.due(RETRY_S)
    asked.on_status({"state": "active"}, RETRY_S)
    assert not asked.due(2 * RETRY_S), "acknowledged"
    assert asked.due(RETRY_S + SILENCE_S + 0.1), "nothing heard: perhaps it was restarted"
    for tenth in range(100):
        now_s = 10 + tenth / 10
        asked.lease.heard(now_s)
        if asked.due(now_s):
            sent_s = now_s
    assert 10 + 10 - sent_s <= TTL_S / 3 + 0.2, "renewed while answers come"
    asked.on_status({"state": "expired"}, 20.0)
    assert asked.due(20.0), "the localizer lost it"


def test_exception_no_localizer():
    asked = question(is_there=False)
    assert asked.due(0.0) is None
    asked.tick(1.9)
    assert not asked.is_over
    assert isinstance(error_of(asked, 2.0), NoLocalizerError)
    silent = question()
    silent.due(0.0)
    silent.tick(4.9)
    assert not silent.is_over
    assert "did not reply" in str(error_of(silent))


def test_exception_refused():
    asked = question()
    asked.due(0.0)
    asked.on_status({"state": "refused", "error": "A '<' is never closed."}, 0.1)
    with pytest.raises(PromptRefusedError, match="never closed"):
        asked.future.result(0)


def test_exception_not_found_says_how_near_it_came():
    asked = question()
    asked.due(0.0)
    for score in (0.1, 0.42, 0.3):
        asked.on_answer(answer(score, found=False, place=False), 1.0)
    error = error_of(asked)
    assert isinstance(error, NotFoundInTimeError) and isinstance(error, TimeoutError)
    assert (error.answers, error.best_score) == (3, 0.42) and "0.42" in str(error)


def test_exception_no_images_and_only_old_ones():
    asked = question(says="waiting: no publisher on /image")
    asked.due(0.0)
    asked.on_status({"state": "active"}, 0.1)
    error = error_of(asked)
    assert "no publisher on /image" in str(error) and error.answers == 0
    old = question()
    old.due(0.0)
    old.on_answer(answer(stamp_ns=1), 0.1)
    assert "check_stamps=False" in str(error_of(old))


def test_a_frame_without_its_depth_is_not_the_last_word():
    asked = question()
    asked.due(0.0)
    asked.on_answer(answer(place=False, without_3d="no_depth"), 0.1)
    asked.tick(0.2)
    assert not asked.is_over
    asked.on_answer(answer(), 0.3)
    assert asked.future.result(0).place is not None
    flat = question()
    flat.due(0.0)
    flat.on_answer(answer(place=False, without_3d="no_depth"), 0.1)
    flat.tick(1.2)
    assert flat.future.result(0).place is None and flat.future.result(0).without_3d == "no_depth"
    plain = question()
    plain.on_answer(answer(place=False), 0.1)
    assert plain.future.result(0).place is None, "a camera without depth: at once"


class FakeTf:
    """Knows base <- camera from the second look-up on."""

    def __init__(self) -> None:
        self.asked = 0

    def lookup(self, target, camera_frame, stamp_ns):
        self.asked += 1
        if self.asked < 2:
            raise PoseError("no_transform", "No transform yet.")
        T = np.eye(4)
        T[:3, 3] = 10, 0, 0
        return T

    def destroy(self) -> None: ...


def test_places_in_a_frame_of_tf_that_comes_late():
    asked = question(frames=Frames({}, FakeTf()), target_frame="base")
    asked.due(0.0)
    asked.on_answer(answer(), 0.1)
    assert not asked.is_over
    asked.on_answer(answer(), 0.2)
    place = asked.future.result(0).place
    assert place.frame_id == "base" and place.position_m.tolist() == [11, 2, 3]
    assert place.T_frame_object[:3, 3].tolist() == [11, 2, 3]


def test_a_fixed_transform_serves_both_ways():
    T = np.eye(4)
    T[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    T[:3, 3] = 1, 0, 0
    frames = Frames({("base", "camera"): T}, None)
    assert (frames.lookup("base", "camera", 0) == T).all()
    np.testing.assert_allclose(frames.lookup("camera", "base", 0) @ T, np.eye(4), atol=1e-12)
    with pytest.raises(ValueError, match="rigid"):
        Frames({("base", "camera"): 2 * np.eye(4)}, None)


def test_exception_no_transform():
    asked = question(target_frame="base")
    asked.due(0.0)
    asked.on_answer(answer(), 0.1)
    error = error_of(asked)
    assert isinstance(error, NoTransformError) and "tf2_ros is not installed" in str(error)
    theirs = question(target_frame="base")
    theirs.due(0.0)
    theirs.on_answer(answer(place=False, without_3d="no_transform"), 0.1)
    assert isinstance(error_of(theirs), NoTransformError)
    flat = question(target_frame="base")
    flat.due(0.0)
    flat.on_answer(answer(place=False), 0.1)
    error = error_of(flat)
    assert isinstance(error, NotFoundInTimeError) and "no depth" in str(error)


def test_the_nodes_own_prompt_is_set_when_its_status_says_so():
    asked = SetPromptQuestion("text", "", question().localizer, 0.0, 5.0, shown="text")
    old = {"id": "", "prompt": "text", "state": "active", "error": ""}
    asked.on_status(old, 0.0)
    assert not asked.is_over, "a latched status from before"
    asked.due(0.1)
    asked.on_status(old | {"prompt": "another"}, 0.2)
    asked.on_status(old | {"state": "waiting"}, 0.2)
    assert not asked.is_over
    asked.on_status(old, 0.3)
    assert asked.future.result(0) is None


def field_question(server, **options) -> FieldQuestion:
    options = {"target_frame": "", "frames": Frames({}, None), "now_ns": 1} | options
    return FieldQuestion("query", "q", server, 0.0, 30.0, **options)


def test_a_field_is_asked_once_and_again_when_it_was_restarted():
    server = SimpleNamespace(name="/field_server", discovery_s=2.0, listening=frozenset())
    asked = field_question(server)
    assert asked.due(0.0) is None
    server.listening = frozenset([b"one"])
    assert asked.due(0.1) and not asked.due(1.0)
    server.listening = frozenset([b"one", b"two"])
    assert asked.due(2.0) and not asked.due(3.0)
    assert asked.due(2.0 + LOST_S)
    hit = {"label": "mug", "entity_index": 0, "score": 0.8, "points": 9, "extent_m": [1, 2, 3],
           "centroid_world_m": [1, 2, 3], "T_world_object": POSE.tolist()}  # fmt: skip
    entity = {"label": "mug", "found": True, "best_score": 0.8, "hits": [hit]}
    reply = {"id": "q", "error": "", "answer": {"frame": "map", "entities": [entity]}}
    asked.on_answer(reply)
    (found,) = asked.future.result(0)
    assert found.place.frame_id == "map" and (found.T_world_object == POSE).all()
    moved = field_question(
        server, target_frame="base", frames=Frames({("base", "map"): POSE}, None)
    )
    moved.on_answer(reply)
    assert moved.future.result(0)[0].place.T_frame_object[:3, 3].tolist() == [2, 4, 6]


def test_exception_of_a_field():
    gone = SimpleNamespace(name="/field_server", discovery_s=2.0, listening=frozenset())
    nobody = field_question(gone)
    nobody.tick(2.0)
    assert isinstance(nobody.future.exception(0), NoFieldServerError)
    server = SimpleNamespace(name="/field_server", discovery_s=2.0, listening=frozenset([b"one"]))
    silent = field_question(server)
    silent.due(0.0)
    silent.tick(30.0)
    assert "did not answer" in str(silent.future.exception(0))
    refused = field_question(server)
    refused.on_answer({"id": "q", "error": "The field is empty.", "answer": None})
    assert isinstance(refused.future.exception(0), PromptRefusedError)
    lost = field_question(server, target_frame="base")
    lost.on_answer({"id": "q", "error": "", "answer": {"frame": "map", "entities": [
        {"hits": [{"label": "mug", "entity_index": 0, "score": 0.8, "points": 9,
                   "extent_m": [1, 2, 3], "centroid_world_m": [1, 2, 3],
                   "T_world_object": POSE.tolist()}]}]}})  # fmt: skip
    assert isinstance(lost.future.exception(0), NoTransformError)


def test_references_travel_inside_the_request(tmp_path):
    from find_core.images import write_image

    photo = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    write_image(tmp_path / "photo.png", photo)
    references = {"a": photo, "b": str(tmp_path / "photo.png"), "c": Reference(photo, point=(1, 1))}
    data = json.loads(prompt_json("<a> <b> <c>", references, id="q", ttl_s=3.0))
    assert (data.pop("id"), data.pop("ttl_s")) == ("q", 3.0)
    bound = Prompt.from_json(data)
    assert all((e.reference.image == photo).all() for e in bound.entities)
    assert [int(e.reference.mask.sum()) for e in bound.entities] == [24, 24, 9]


@pytest.mark.parametrize(
    ("prompt", "references", "sentence"),
    [
        ("the <mug", None, "never closed"),
        ("the <mug>", {"cup": np.zeros((4, 4, 3), np.uint8)}, "never used"),
        ("the <mug>", {"mug": np.zeros((4, 4, 3))}, "uint8"),
        ("the <mug>", {"mug": "/nowhere.png"}, "nowhere.png"),
        (Prompt.parse("the <mug>"), {"mug": np.zeros((4, 4, 3), np.uint8)}, "its own references"),
    ],
)
def test_exception_of_a_request(prompt, references, sentence):
    with pytest.raises(PromptRefusedError, match=sentence):
        prompt_json(prompt, references)
