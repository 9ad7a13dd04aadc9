"""The view's parts without a browser: slices, distances, texts, pointing, asking, its door."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import find_core
import find_field as ff
from find_core.errors import FieldError, FindError, PromptError
from find_core.page.stills import MAX_UPLOAD_BYTES
from find_field.cli import main
from find_field.io.export import heat_colors
from find_field.view.command import FollowedFile, wait_for
from find_field.view.explorer import Explorer, read_photo
from find_field.view.hit_text import POSE, POSE_STAMPED, YAML, hit_text, hits_table
from find_field.view.measures import (
    Distance,
    drawn_rows,
    height_range_m,
    in_slice,
    point_colors,
    seen_side,
)
from find_field.view.picked import row_on_ray

DOWN = (0.0, 0.0, -1.0)


@pytest.fixture
def explorer(room, oracle):
    return Explorer(room, oracle)


def above(thing) -> np.ndarray:
    return np.array([*thing.centre_m[:2], 2.0])


def test_slices_follow_up(room):
    low, high = height_range_m(room)
    assert low <= room.points_world_m[:, 2].min() and high >= room.points_world_m[:, 2].max()
    assert in_slice(room, low, high).all()
    kept = in_slice(room, 0.05, high)
    assert 0 < kept.sum() < len(room) and room.points_world_m[kept, 2].min() >= 0.05
    aside = replace(room, provenance=room.provenance | {"up_world": [0.0, -2.0, 0.0]})
    assert room.points_world_m[in_slice(aside, 0.1, 9.0), 1].max() <= -0.1
    none = room.crop(np.zeros(len(room), bool))
    assert height_range_m(none) == (0.0, 0.01)


def test_it_is_looked_at_from_where_it_was_seen(frames, oracle, room):
    front = min(frames, key=lambda frame: frame.T_world_camera[0, 3])
    x, y, z = seen_side(ff.lift([front], oracle, voxel_size_m=0.01))
    assert x < -0.7 and abs(y) < 0.3 and z > 0.5
    assert np.isfinite(seen_side(replace(room, provenance={}))).all(), "as fields of before"
    assert np.isfinite(seen_side(replace(room, provenance={"seen_from_m": "?"}))).all()


def test_colors_and_thinning(room):
    heat = np.linspace(0, 1, len(room), dtype=np.float32)
    assert (point_colors(room, "as seen", heat) == room.colors).all()
    assert (point_colors(room, "relevancy", None) == room.colors).all(), "nothing was asked for"
    assert (point_colors(room, "relevancy", heat) == heat_colors(heat, room.colors)).all()
    assert (point_colors(room, "embeddings", None) == room.pca_colors()).all()
    shown = np.arange(1000) % 2 == 0
    assert (drawn_rows(shown) == np.flatnonzero(shown)).all()
    few = drawn_rows(shown, 50)
    assert len(few) == 50 and shown[few].all() and few[0] == 0 and few[-1] == 998


def test_a_distance_says_its_parts():
    distance = Distance(np.array([1.0, 1, 1]), np.array([1.3, 1, 0.6]))
    assert distance.length_m == pytest.approx(0.5)
    assert distance.text() == "0.500 m (x +0.300, y +0.000, z -0.400)"


def test_hits_as_text(room, oracle):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    hits = room.query("the <blue box> by the <violin>", oracle)
    [hit] = hits
    read = yaml.safe_load(hit_text(hit, YAML, room.frame))
    assert read == {"frame": "map", **hit.to_json()}
    pose = yaml.safe_load(hit_text(hit, POSE, room.frame))
    assert list(pose["position"].values()) == pytest.approx(hit.T_world_object[:3, 3], abs=1e-6)
    x, y, z, w = (pose["orientation"][letter] for letter in "xyzw")
    about_z = np.arctan2(hit.T_world_object[1, 0], hit.T_world_object[0, 0])
    assert (x, y) == pytest.approx((0, 0), abs=1e-6) and w >= 0
    assert 2 * np.arctan2(z, w) == pytest.approx(about_z, abs=1e-5)
    stamped = yaml.safe_load(hit_text(hit, POSE_STAMPED, "<map>: 1"))
    assert stamped == {"header": {"frame_id": "<map>: 1"}, "pose": pose}
    with pytest.raises(FieldError, match="not 'XML'"):
        hit_text(hit, "XML", "map")


def test_the_table_is_no_markup(room, oracle):
    table = hits_table(room.query("the <red box> by the <\\<b\\>violin>", oracle))
    assert "red box" in table and "not here" in table and "&lt;b&gt;violin" in table
    assert "<b>" not in table


def test_a_ray_meets_what_is_nearest(room, world):
    thing = world.things[0]
    row = row_on_ray(room, above(thing), DOWN)
    x, y, z = room.points_world_m[row]
    assert np.hypot(x - thing.centre_m[0], y - thing.centre_m[1]) <= room.voxel_size_m
    assert z == pytest.approx(thing.size_m[2], abs=0.015), "the lid, not the table below"
    below = room.points_world_m[:, 2] < 0.01
    assert room.points_world_m[row_on_ray(room, above(thing), DOWN, below) or 0, 2] < 0.01
    assert row_on_ray(room, above(thing), (0, 0, 1)) is None


def test_pointing_names_a_thing(explorer, world):
    thing = explorer.pick("this", above(world.things[3]), DOWN)
    assert thing.hit is not None and explorer.names == ["this"]
    assert np.linalg.norm(thing.hit.centroid_world_m - world.things[3].centre_m) < 0.03
    hits = explorer.ask("the <red box> by <this>")
    assert [e.found for e in hits.entities] == [True, True]
    again = hits.entities[1].hits[0].centroid_world_m
    assert np.linalg.norm(again - thing.hit.centroid_world_m) < 0.01
    with pytest.raises(FieldError, match="nothing where you clicked"):
        explorer.pick("this", above(world.things[3]), (0, 0, 1))
    explorer.forget()
    assert not explorer.ask("<this>"), "it is a word again"


def test_a_photo_names_a_thing(explorer, frames, world):
    """A region of a frame that the oracle knows."""
    from find_field.geometry.pinhole import project, transform

    frame, thing = frames[0], world.things[4]
    seen = transform(np.linalg.inv(frame.T_world_camera), np.array([thing.centre_m]))
    [[u, v]], _ = project(seen, frame.K)
    x, y = u / frame.width, v / frame.height
    explorer.keep_photo("that", frame.rgb, (x - 0.02, y - 0.02, x + 0.02, y + 0.02))
    [hit] = explorer.ask("<that>")
    assert np.linalg.norm(hit.centroid_world_m - thing.centre_m) < 0.03
    with pytest.raises(PromptError):
        explorer.keep_photo(" ", frame.rgb)


def test_photos_are_images_of_some_size():
    image = np.full((40, 60, 3), 90, np.uint8)
    assert read_photo(cv2.imencode(".png", image)[1].tobytes()).shape == (40, 60, 3)
    with pytest.raises(PromptError, match="at most 16 MiB"):
        read_photo(b"\0" * (MAX_UPLOAD_BYTES + 1))
    with pytest.raises(FindError):
        read_photo(b"no image")


def test_what_is_asked_stays_until_it_is_understood(explorer, room):
    explorer.ask("the <red box>")
    before = explorer.hits
    with pytest.raises(PromptError):
        explorer.ask("the <red")
    assert explorer.hits is before and explorer.prompt == "the <red box>"
    assert explorer.relevancy.shape == (len(room),)
    explorer.set_threshold(1.0)
    assert not explorer.hits and explorer.hits.best_score > 0
    explorer.set_threshold(0.5)
    assert len(explorer.hits) == 1
    explorer.show_field(room.crop(room.points_world_m[:, 2] > 0.02))
    assert len(explorer.relevancy) < len(room) and len(explorer.hits) == 1
    with pytest.raises(FieldError, match="load that model"):
        Explorer(room, SimpleNamespace(fingerprint="other", name="other"))


def test_a_followed_file_is_read_when_it_was_written(room, tmp_path):
    path = tmp_path / "room.field"
    room.save(path)
    file = FollowedFile(path)
    assert file.newer() is None
    room.crop(np.arange(100)).save(path)
    newer = file.newer()
    assert newer is not None and len(newer) == 100 and file.newer() is None
    path.unlink()
    assert file.newer() is None


def test_it_waits_for_a_file_that_is_not_there_yet(tmp_path, monkeypatch, capsys):
    path = tmp_path / "room.field"
    monkeypatch.setattr("find_field.view.command.time.sleep", lambda _: path.touch())
    wait_for(path)
    assert path.exists() and f"Waiting for {path}." in capsys.readouterr().err
    wait_for(path)
    assert not capsys.readouterr().err


def test_without_viser_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("find_field.view.door.find_spec", lambda name: None)
    assert main(["view", str(tmp_path / "room.field")]) == 2
    assert "find_ros[view]" in capsys.readouterr().err


def test_the_command_serves_and_ends(room, oracle, tmp_path, monkeypatch, capsys):
    pytest.importorskip("viser", reason="viser is not installed (pip install .[view])")
    from tests.web.browser import free_port

    def interrupted(_):
        raise KeyboardInterrupt

    room.save(tmp_path / "room.field")
    monkeypatch.setattr(find_core, "load", lambda name, **options: oracle, raising=False)
    monkeypatch.setattr("find_field.view.command.time.sleep", interrupted)
    port = free_port()
    args = ["view", str(tmp_path / "room.field"), "the <red box>", "--port", str(port)]
    assert main(args) == 130
    assert f"http://127.0.0.1:{port}/, for this machine alone" in capsys.readouterr().out
    assert main([*args, "--host", "0.0.0.0"]) == 130
    told = capsys.readouterr().out
    assert "open to the network" in told and "/?token=" in told
