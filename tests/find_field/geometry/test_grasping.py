from __future__ import annotations

import numpy as np
import pytest

from find_field.geometry.grasping import opening, seen_shares, top_down_pose


def box_surface(size, step=0.004):
    """Points on the four sides and the top of a box whose centre is 0, by the side they lie on."""
    x, y, z = (np.arange(-s / 2, s / 2 + 1e-9, step) for s in size)
    hx, hy, hz = np.array(size) / 2
    grid = lambda a, b: np.stack(np.meshgrid(a, b), -1).reshape(-1, 2)  # noqa: E731
    yz, xz, xy = grid(y, z), grid(x, z), grid(x, y)
    put = lambda axis, value, at: np.insert(at, axis, value, axis=1)  # noqa: E731
    return {"+x": put(0, hx, yz), "-x": put(0, -hx, yz), "+y": put(1, hy, xz), "-y": put(1, -hy, xz),
            "top": put(2, hz, xy)}  # fmt: skip


def turned(yaw, at):
    T = np.eye(4)
    T[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    T[:3, 3] = at
    return T


def test_the_opening_is_the_narrow_side():
    size, T = (0.12, 0.05, 0.1), turned(0.6, (0.3, -0.2, 0.4))
    points = np.concatenate(list(box_surface(size).values())) @ T[:3, :3].T + T[:3, 3]
    pose = top_down_pose(T, np.array(size), 0.03)
    np.testing.assert_allclose(pose[:3, 2], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(pose[:3, 3], [0.3, -0.2, 0.42], atol=1e-12)
    low, high = opening(points, pose)
    assert high - low == pytest.approx(0.05, abs=1e-9) and low + high == pytest.approx(0, abs=1e-9)
    pose[:3, 3] += 0.01 * pose[:3, 0]
    assert sum(opening(points, pose)) / 2 == pytest.approx(-0.01, abs=1e-9)


def test_what_is_wider_elsewhere_does_not_count():
    """A handle beside the fingers, a foot below them, a lid above."""
    body = np.concatenate(list(box_surface((0.04, 0.04, 0.12)).values()))
    pose = top_down_pose(
        np.eye(4), np.array([0.04, 0.04, 0.12]), 0.05
    )  # tips 1 cm above the middle
    want = opening(body, pose)
    ends = np.array([-0.04, 0.04])
    handle = np.stack([*np.meshgrid(ends, ends), np.full((2, 2), 0.02)], -1).reshape(-1, 3)
    foot = np.array([[0.05, 0, 0.0], [-0.05, 0, 0.0], [0, 0.05, 0.0], [0, -0.05, 0.0]] * 10)
    lid = foot + [0, 0, 0.05]
    assert opening(np.concatenate([body, handle, foot, lid]), pose) == pytest.approx(want)
    beside = np.repeat(
        [[0.05, 0, 0.02], [-0.05, 0, 0.02], [0, 0.05, 0.02], [0, -0.05, 0.02]], 10, axis=0
    )
    assert opening(np.concatenate([body, beside]), pose) != pytest.approx(want)


def test_nothing_seen_between_the_fingers():
    low = box_surface((0.1, 0.1, 0.1))["top"] - [0, 0, 0.09]
    assert opening(low, top_down_pose(np.eye(4), np.full(3, 0.1), 0.03)) is None


def test_shares_of_the_sides_that_were_seen():
    size = (0.12, 0.08, 0.1)
    sides = box_surface(size)
    every = np.concatenate(list(sides.values()))
    np.testing.assert_allclose(seen_shares(every, size, 0.02), 1, atol=0.02)
    front = np.concatenate([sides["+x"], sides["top"]])
    shares = seen_shares(front, size, 0.02)
    assert shares[0] == pytest.approx(1) and shares[4] == pytest.approx(1)
    assert shares[1] < 0.25  # of -x the top's far edge alone
    lower = sides["-x"][sides["-x"][:, 2] < 0]
    assert seen_shares(np.concatenate([front, lower]), size, 0.02)[1] == pytest.approx(
        0.6, abs=0.15
    )
