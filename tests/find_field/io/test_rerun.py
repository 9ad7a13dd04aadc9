"""`--rerun` of find-field: poses, points and hits in metres, in the world's frame."""

from __future__ import annotations

import json

import numpy as np
import pytest

import find_core
import find_field as ff
from find_field.cli import main
from tests.find_field.folders import write_sequence
from tests.rrd import Recording


@pytest.fixture(autouse=True)
def installed(oracle, monkeypatch):
    rerun = pytest.importorskip("rerun", reason="the extra [rerun] is not installed")
    rerun.set_strict_mode(True)  # what cannot be logged is an error
    monkeypatch.setattr(find_core, "load", lambda name, **options: oracle, raising=False)


def test_lift(frames, tmp_path):
    write_sequence(tmp_path / "seq", frames[:4])
    out, file = tmp_path / "room.field", tmp_path / "room.rrd"
    assert main(["lift", str(tmp_path / "seq"), "--out", str(out), "--rerun", str(file)]) == 0
    told, field = Recording(file), ff.load(out)
    assert {"/world", "/world/camera", "/world/camera/image", "/world/points"} == told.entities
    places = np.array(told.rows("/world/camera", "Translation3D")).reshape(-1, 3)
    np.testing.assert_allclose(places, [f.T_world_camera[:3, 3] for f in frames[:4]], atol=1e-5)
    points = np.array(told.static("/world/points", "Position3D"))
    np.testing.assert_allclose(points, field.points_world_m, atol=1e-6)
    assert told.static("/world", "frame_id") == ["map"]


def test_query(room, oracle, world, tmp_path, capsys):
    room.save(tmp_path / "room.field")
    file, prompt = tmp_path / "hits.rrd", "the <red box> by the <violin>"
    args = ["query", str(tmp_path / "room.field"), prompt, "--json", "--rerun", str(file)]
    assert main(args) == 0
    hits = [h for e in json.loads(capsys.readouterr().out)["entities"] for h in e["hits"]]
    told = Recording(file)
    boxes = {e for e in told.entities if e.endswith("/box")}
    assert len(boxes) == len(hits) >= 1
    place = told.static("/world/hits/0", "Translation3D")[0]
    np.testing.assert_allclose(place, np.array(hits[0]["T_world_object"])[:3, 3], atol=1e-3)
    half = told.static("/world/hits/0/box", "HalfSize3D")[0]
    np.testing.assert_allclose(half, np.array(hits[0]["extent_m"]) / 2, atol=1e-3)
    assert told.static("/world/hits/0/box", "Text")[0].startswith("red box ")
    assert "/world/relevancy" in told.entities
    colours = np.array(told.static("/world/relevancy", "Color"))
    assert len(colours) == len(room) and len(np.unique(colours)) > 10
