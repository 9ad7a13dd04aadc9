"""The field server's field, without ROS."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import find_field as ff
from find_core.errors import FieldError
from find_field.evaluation.toy_world import sample_world
from find_ros.pipeline.live_field import LiveField
from find_ros.pipeline.saving import Keeper


@pytest.fixture(scope="module")
def world():
    return sample_world(seed=2, count=4)


@pytest.fixture(scope="module")
def oracle(world):
    return world.oracle()


@pytest.fixture(scope="module")
def frames(world, oracle):
    return world.frames(6, (90, 120), oracle=oracle)


def show(live: LiveField, frame: ff.PosedFrame) -> None:
    live.add(frame.rgb, np.nan_to_num(frame.depth_m), frame.K, frame.T_world_camera)


def test_voxels_are_counted_while_lifting(frames, oracle):
    """For /diagnostics, whether or not anyone asks anything."""
    live, counts = LiveField(oracle, "", voxel_size_m=0.02, basis_frames=2), []
    for frame in frames:
        show(live, frame)
        counts.append(live.voxels)
    assert counts[0] == 0 < counts[1] <= counts[-1] and live.frames_lifted == len(frames)
    assert live.voxels == len(live.field())
    live.reset()
    assert (live.voxels, live.frames_lifted) == (0, 0)
    with pytest.raises(FieldError, match="empty"):
        live.query("red box")


def test_answers_are_those_of_lifting_at_once(world, frames, oracle):
    live = LiveField(oracle, "", voxel_size_m=0.02, frame="map")
    for frame in frames:
        show(live, frame)
        live.query("red box")
    batch = ff.Lifter(
        oracle, voxel_size_m=0.02, frame="map", basis=live.field().channel("semantic").basis
    )
    for frame in frames:
        batch.add(frame)
    for thing in world.things:
        ours, want = live.query(thing.name), batch.field().query(thing.name, oracle)
        assert ours.to_json() == want.to_json() and len(ours) == 1
    assert live.frame == "map"


def test_goes_on_from_a_file_and_back(frames, oracle, tmp_path):
    path = ff.lift(frames[:3], oracle, voxel_size_m=0.02, frame="map").save(tmp_path / "a.field")
    live = LiveField(oracle, str(path), voxel_size_m=0.5, frame="world")
    before = live.voxels
    assert before == len(ff.load(path)) and live.frame == "map"
    for frame in frames[3:]:
        show(live, frame)
    assert live.voxels > before
    again = ff.load(live.save(str(tmp_path / "b.field")))
    assert len(again) == live.voxels and again.provenance["frames"] == 6
    live.reset()
    assert live.voxels == before


def test_up_is_the_files_or_what_is_asked_for(frames, oracle, tmp_path):
    path = ff.lift(frames[:1], oracle, up_world=(1, 0, 0)).save(tmp_path / "a.field")
    assert LiveField(oracle, str(path)).field().up_world.tolist() == [1, 0, 0]
    assert LiveField(oracle, str(path), "0 -1 0").field().up_world.tolist() == [0, -1, 0]
    with pytest.raises(FieldError, match="three numbers"):
        LiveField(oracle, "", "skywards")
    live = LiveField(oracle, "", "auto", basis_frames=1)
    show(live, frames[0])
    found = live.field()
    assert found.up_world[2] > 0.999 and found.provenance["up_source"] == "surfaces"


def test_hits_know_their_age(frames, oracle, world):
    live, name = LiveField(oracle, "", basis_frames=1), world.things[0].name
    for number, frame in enumerate(frames):
        live.add(
            frame.rgb, np.nan_to_num(frame.depth_m), frame.K, frame.T_world_camera, 100 + number
        )
    hit = live.query(name)[0].to_json()
    assert 100 <= hit["last_seen_ns"] < 100 + len(frames) and hit["times_seen"] > 1
    assert not live.query(name, seen_since_ns=1000)


def test_a_query_does_not_wait_for_the_model(frames, oracle, monkeypatch):
    """Encoding a frame takes the model long; what is there can be asked meanwhile."""
    live = LiveField(oracle, "", voxel_size_m=0.02, basis_frames=1)
    show(live, frames[0])
    encoding, go_on = threading.Event(), threading.Event()
    encode = oracle.encode

    def slow(image):
        encoding.set()
        assert go_on.wait(30)
        return encode(image)

    monkeypatch.setattr(oracle, "encode", slow)
    adding = threading.Thread(target=show, args=(live, frames[1]))
    adding.start()
    assert encoding.wait(30)
    assert live.query("red box").entities and live.frames_lifted == 1
    go_on.set()
    adding.join(30)
    assert live.frames_lifted == 2


def test_a_kept_file_is_written_when_the_field_has_changed(frames, oracle, tmp_path):
    path, told = tmp_path / "live.field", []
    live = LiveField(oracle, "", voxel_size_m=0.02, basis_frames=1)
    keeper = Keeper(path, 0.01, lambda: live, told.append)
    keeper.look()
    assert not path.exists(), "it is still empty"
    show(live, frames[0])
    keeper.look()
    assert len(ff.load(path)) == live.voxels and keeper.saves == 1
    keeper.look()
    assert keeper.saves == 1, "nothing has changed"
    show(live, frames[1])
    path.unlink()
    path.write_text("something of the user's")
    keeper.look()
    assert keeper.saves == 1 and "is there and is no field" in told[-1]
    path.unlink()
    keeper.look()
    assert len(ff.load(path)) == live.voxels and keeper.saves == 2
    thread = threading.Thread(target=keeper.run)
    thread.start()
    keeper.stop()
    thread.join(30)
    assert not thread.is_alive()


def test_a_loaded_field_is_not_written_before_it_changes(frames, oracle, tmp_path):
    path = ff.lift(frames[:1], oracle, voxel_size_m=0.02).save(tmp_path / "a.field")
    live = LiveField(oracle, str(path))
    keeper = Keeper(tmp_path / "b.field", 1.0, lambda: live, pytest.fail)
    keeper.look()
    assert not keeper.saves
    live.reset()
    keeper.look()
    assert keeper.saves == 1
