"""Up, told or estimated: exact worlds in turned frames, and one real room where it is at hand."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import find_field as ff
from find_core.errors import FieldError
from find_field.geometry.up import Up, UpEvidence, angle_deg, choose_up, read_up
from find_field.io.datasets import open_folder
from tests.find_field.folders import write_nerfstudio, write_sequence, write_seven_scenes

# A folder of 7-Scenes' kind; its up was read off the room's walls by eye.
ROOM = Path(os.environ.get("FIND_RGBD_ROOM", "no folder"))
ROOM_UP = (0.06, -0.87, -0.49)


def turned(frames, R):
    """The same frames in a world turned by R (3, 3)."""
    T = np.eye(4)
    T[:3, :3] = R
    return [replace(frame, T_world_camera=T @ frame.T_world_camera) for frame in frames]


def evidence_of(frames, depth=True):
    evidence = UpEvidence()
    for frame in frames:
        if depth:
            evidence.add_depth(frame.depth_m, frame.K, frame.T_world_camera)
        else:
            evidence.add_camera(frame.T_world_camera)
    return evidence


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("depth", [True, False])
def test_up_is_found_in_a_turned_world(frames, seed, depth):
    R = Rotation.random(random_state=seed).as_matrix()
    found = evidence_of(turned(frames, R), depth).estimate()
    assert angle_deg(found.direction, R[:, 2]) < (2 if depth else 0.5)
    assert found.source == ("surfaces" if depth else "cameras")
    assert found.confidence > (0.8 if depth else 0.3)


def test_pitch_does_not_matter_and_one_view_is_enough_with_a_table(frames):
    """The cameras' mean top leans by their pitch; the estimate does not."""
    top = -frames[0].T_world_camera[:3, 1]
    assert angle_deg(top, (0, 0, 1)) > 20
    assert angle_deg(evidence_of(frames[:1]).estimate().direction, (0, 0, 1)) < 2


def test_one_view_without_depth_says_that_it_does_not_know(frames):
    assert evidence_of(frames[:1], depth=False).estimate().confidence < 0.05
    assert UpEvidence().estimate() == Up(None, "cameras", 0.0)


def test_rolled_cameras_lower_the_confidence(frames):
    rng = np.random.default_rng(0)
    rolled = [replace(f, T_world_camera=f.T_world_camera @ _about_z(rng.uniform(-3, 3))) for f in frames]  # fmt: skip
    assert (
        evidence_of(rolled).estimate().confidence < 0.7 * evidence_of(frames).estimate().confidence
    )


def _about_z(angle):
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("z", angle).as_matrix()
    return T


def test_what_is_asked_for_is_taken(frames):
    tilted = evidence_of(turned(frames, Rotation.from_euler("x", 70, degrees=True).as_matrix()))
    assert choose_up((0, 0, 5), tilted) == Up((0.0, 0.0, 1.0), "given")
    assert choose_up("0,-2 0", tilted).direction == (0.0, -1.0, 0.0)
    assert choose_up("z", tilted) == Up((0.0, 0.0, 1.0), "frame")
    assert choose_up(None, tilted).direction is None
    assert choose_up("check", tilted) == choose_up("auto", tilted)
    assert choose_up("check", evidence_of(frames)) == Up((0.0, 0.0, 1.0), "frame")
    assert choose_up("check", evidence_of(frames[:1], depth=False)).source == "assumed"
    for wrong in ("sideways", "0 0 0", "1 2", "nan 0 1", ""):
        with pytest.raises(FieldError, match="three numbers"):
            read_up(wrong)


def test_each_kind_of_folder_has_its_usual_up(tmp_path, frames, oracle):
    """A robot's z is its promise; a turned capture is noticed, an upright one left exactly as it is."""
    R = Rotation.from_euler("xz", [-100, 30], degrees=True).as_matrix()
    for write, around, want in (
        (write_sequence, np.eye(3), (0, 0, 1)), (write_sequence, R, (0, 0, 1)),
        (write_nerfstudio, np.eye(3), (0, 0, 1)), (write_nerfstudio, R, R[:, 2]),
        (write_seven_scenes, R, R[:, 2]),
    ):  # fmt: skip
        folder = write(tmp_path / f"{write.__name__}{around[0, 0]:.1f}", turned(frames, around))
        opened = open_folder(folder, registered=True)
        lifter = ff.Lifter(oracle, up_world=opened.up)
        for frame, seen in zip(opened, frames, strict=True):
            lifter.add(frame, oracle.encode(seen.rgb))
        up = lifter.field().up_world
        assert angle_deg(up, want) < (2 if around is R else 1e-6), (write, around)
        assert lifter.field().provenance["up_confidence"] > 0.8


@pytest.mark.skipif(not ROOM.is_dir(), reason="FIND_RGBD_ROOM names no folder")
def test_a_real_room_within_five_degrees():
    folder = open_folder(ROOM)
    assert folder.up == "auto"
    found = evidence_of(folder.take(every=12)).estimate()
    assert angle_deg(found.direction, ROOM_UP) < 5 and found.confidence > 0.8
