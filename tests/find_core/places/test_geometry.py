"""Numbers of pairs of candidates: what they depend on, and what they do not."""

from __future__ import annotations

import numpy as np
import pytest

from find_core.places import geometry
from find_core.places.geometry import (
    FEATURES,
    METRIC_BLOCK,
    Arrangement,
    pair_features,
    small_masks,
    viewer_frame,
)

IMAGE = slice(0, METRIC_BLOCK.start)


def square(x: int, y: int, side: int, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def cube(centre: tuple[float, float, float], side_m: float = 0.1) -> np.ndarray:
    ends = np.stack(np.meshgrid(*[[-0.5, 0, 0.5]] * 3), axis=-1).reshape(-1, 3)
    return ends * side_m + centre


def camera(eye: tuple[float, float, float], away: tuple[float, float, float]) -> np.ndarray:
    z = np.array(away, float) / np.linalg.norm(away)
    x = np.cross(z, [0, 0, 1.0])
    x /= np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.stack([x, np.cross(z, x), z], axis=1), eye
    return T


def test_shapes_and_what_is_known():
    masks = np.stack([square(10, 20, 30), square(90, 40, 20), square(30, 70, 12)])
    points = [cube((0, 0, 0)), cube((0.3, 0, 0)), cube((0, 0.3, 0))]
    for arrangement, known in (
        (Arrangement(masks), [1, 0, 0, 0]),
        (Arrangement(points_m=points), [0, 1, 1, 1]),
        (Arrangement(points_m=points, facing=False), [0, 1, 0, 1]),
        (Arrangement(masks, points, level=False), [1, 1, 1, 0]),
    ):
        features = pair_features(arrangement)
        assert features.shape == (3, 3, FEATURES) and np.isfinite(features).all()
        np.testing.assert_array_equal(features[0, 1, -4:], known)
        assert features[..., IMAGE].any() == known[0]
        assert features[..., METRIC_BLOCK].any() == known[1]


def test_a_mirrored_picture_swaps_left_and_right_alone():
    masks = np.stack([square(10, 20, 30), square(90, 40, 30)])  # low and high edges trade places
    plain = pair_features(Arrangement(masks))
    mirrored = pair_features(Arrangement(masks[..., ::-1]))
    changed = ~np.isclose(plain[0, 1], mirrored[0, 1], atol=1e-4)
    assert changed.any()
    np.testing.assert_allclose(plain[0, 1][changed], -mirrored[0, 1][changed], atol=1e-4)


def test_metres_do_not_depend_on_where_world_and_viewer_stand():
    points = [cube((0, 0, 0)), cube((0.3, 0.1, 0.02)), cube((0.1, -0.2, 0.05), 0.05)]
    T = camera((0.2, -1, 0.6), (-0.1, 1, -0.5))
    turn = np.eye(4)
    turn[:2, :2], turn[:3, 3] = [[0, -1], [1, 0]], (3, -2, 1)

    def seen(points, T):
        R = viewer_frame(T, np.array([0, 0, 1.0]))
        return pair_features(Arrangement(points_m=[p @ R.T for p in points]))

    moved = [p @ turn[:3, :3].T + turn[:3, 3] for p in points]
    np.testing.assert_allclose(seen(points, T), seen(moved, turn @ T), atol=1e-4)


def test_without_a_viewer_directions_say_nothing():
    a, b, c = cube((0, 0, 0)), cube((0.3, 0, 0)), cube((-0.3, 0, 0))
    features = pair_features(Arrangement(points_m=[a, b, c], facing=False))
    np.testing.assert_allclose(features[1, 0], features[2, 0], atol=1e-5)
    facing = pair_features(Arrangement(points_m=[a, b, c]))
    assert not np.allclose(facing[1, 0], facing[2, 0], atol=0.5)


@pytest.mark.parametrize("away", [(0, 1, -0.5), (1, 0.2, 0.3), (0.001, 0, -1)])
def test_viewer_frame(away):
    R = viewer_frame(camera((0, 0, 1), away), np.array([0, 0, 2.0]))
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(R) == pytest.approx(1)
    np.testing.assert_allclose(R[2], [0, 0, 1], atol=1e-9)
    assert R[0] @ camera((0, 0, 1), away)[:3, 0] > 0.99


def test_small_masks_keep_what_is_there():
    masks = [square(100, 200, 300, (960, 1280)), square(0, 0, 1, (960, 1280))]
    small = small_masks(masks)
    assert small.shape == (2, 120, 160)
    assert small[0].sum() * 64 == pytest.approx(300 * 300, rel=0.1)


def test_empty_masks_are_finite():
    masks = np.zeros((2, 120, 160), bool)
    masks[0, 5:9, 5:9] = True
    assert np.isfinite(pair_features(Arrangement(masks))).all()


def test_the_features_are_as_many_as_said() -> None:
    image = geometry._image_features(np.ones((1, 4, 4), bool))
    metric = geometry._metric_features([np.eye(4, 3)], True)
    assert (image.shape[-1], metric.shape[-1]) == (geometry._IMAGE, geometry._METRIC)
