"""Scripts: poses that do what the scenario says, without rendering."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.video.render import orders
from training.evaluation.video.scripts import (
    SCENARIOS,
    ease,
    looking_away,
    passing,
    turn_z,
    visit,
    write_script,
)


def at(x, y, z=0.0):
    T = np.eye(4)
    T[:3, 3] = x, y, z
    return T


CAMERA = np.eye(4)
CAMERA[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])  # looks along +y, level
CAMERA[:3, 3] = 0, -1, 0.3
REST = [at(0, 0), at(0.2, 0.1), at(-0.2, 0.1)]
SIZES = np.full((3, 3), 0.1)
ROLES = {
    "placed": {"target": 0}, "camera": {"target": 0}, "occluded": {"target": 0, "occluder": 1},
    "lookalike": {"target": 0, "lookalike": 1}, "twins": {"target": 0, "twin": 1},
    "absent": {"lookalike": 1},
}  # fmt: skip


def script_of(scenario, seed=0):
    rng = np.random.default_rng(seed)
    return write_script(scenario, REST, ROLES[scenario], CAMERA, 1.0, SIZES, 10.0, rng)


def sees(T_world_camera, point, half_fov=0.5):
    x, _, z = (np.linalg.inv(T_world_camera) @ np.append(point, 1))[:3]
    return z > 0 and abs(np.arctan2(x, z)) < half_fov


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("seed", range(4))
def test_smoke_poses_are_rigid_and_smooth(scenario, seed):
    script = script_of(scenario, seed)
    for pose in [script.camera, *script.moving.values()]:
        before = pose(0.0)
        for t in np.arange(0, 10, 0.05):
            T = pose(float(t))
            np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-9)
            assert np.linalg.norm(T[:3, 3] - before[:3, 3]) < 0.25, "no jumps"
            before = T


def test_targets():
    assert script_of("twins").targets == (0, 1)
    assert script_of("absent").targets == ()
    assert script_of("occluded").targets == (0,)
    assert not script_of("absent").moving


def test_visit_is_away_there_and_away_again():
    pose = visit(at(0.1, 0.2), np.array([1.2, 0, 0.1]), 2.0, 7.0, 1.0)
    for t, far in ((0, True), (3, False), (5, False), (7, False), (8, True), (10, True)):
        distance = np.linalg.norm(pose(float(t))[:3, 3] - [0.1, 0.2, 0])
        assert (distance > 1.1) if far else (distance < 1e-9)


def test_camera_looks_away_and_back():
    script = script_of("camera", 3)
    seen = [sees(script.camera(float(t)), [0, 0, 0]) for t in np.arange(0, 10, 0.25)]
    assert seen[0] and seen[-1] and not seen[20]
    changes = np.diff(np.array(seen).astype(int))
    assert (changes == -1).sum() == 1 and (changes == 1).sum() == 1


def test_occluder_stands_between_camera_and_target_in_the_middle():
    script = script_of("occluded", 1)
    best = min(np.arange(0, 10, 0.05), key=lambda t: abs(script.moving[1](float(t))[0, 3]))
    spot, eye = script.moving[1](float(best))[:3, 3], script.camera(float(best))[:3, 3]
    assert eye[1] < spot[1] < 0, "nearer to the camera than the target"
    assert np.linalg.norm(np.cross(spot[:2] - eye[:2], -eye[:2])) / np.linalg.norm(eye[:2]) < 0.12


def test_passing_ends_at_its_reach():
    pose = passing(at(0, 0), np.array([1.0, 0, 0]), 0.9, 5.0, 0.5)
    assert pose(0.0)[0, 3] == -0.9 and pose(5.0)[0, 3] == 0 and pose(20.0)[0, 3] == 0.9


def test_turn_keeps_the_pivot():
    pivot = np.array([0.3, -0.2, 0.5])
    np.testing.assert_allclose(turn_z(0.7, pivot) @ np.append(pivot, 1), np.append(pivot, 1))
    turned = looking_away(lambda t: CAMERA, 0.5, 1.0, 3.0, 0.5)
    np.testing.assert_allclose(turned(2.0)[:3, 3], CAMERA[:3, 3], atol=1e-12)


def test_ease():
    assert ease(-1) == 0 and ease(0.5) == 0.5 and ease(2) == 1


def test_orders_cover_the_suite_once():
    wanted = orders(1)
    assert len({o.name for o in wanted}) == len(wanted)
    known = [o for o in wanted if not o.held and not o.noise]
    assert len(known) >= 20 and any(o.visual for o in known)
    assert {o.scenario for o in wanted if o.held} == set(SCENARIOS)
    assert {o.seed for o in orders(2)}.isdisjoint({o.seed for o in wanted}), "own seeds"
