from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sensor_msgs", reason="ROS messages are not installed (pip install .[ros])")

from std_msgs.msg import Header

from find_ros.messages import clouds, geometry
from find_ros.messages.camera_info import Intrinsics

K = np.array([[90.0, 0, 30], [0, 95, 20], [0, 0, 1]])


@given(seed=st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_points_of_a_mask_are_the_pinhole_formula(seed):
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.2, 5, (7, 9)).astype(np.float32)
    depth[rng.random((7, 9)) < 0.3] = 0
    mask = rng.random((7, 9)) < 0.5
    points = geometry.points_of_mask(mask, depth, Intrinsics(K, None, 7, 9))
    want = [
        [(u - K[0, 2]) / K[0, 0] * depth[v, u], (v - K[1, 2]) / K[1, 1] * depth[v, u], depth[v, u]]
        for v in range(7)
        for u in range(9)
        if mask[v, u] and depth[v, u] > 0
    ]
    np.testing.assert_allclose(points, np.array(want).reshape(-1, 3), atol=1e-5)


def test_points_of_a_mask_undo_the_lens():
    distortion = np.array([0.2, -0.1, 0.01, -0.005, 0.0])
    true = np.array([[0.1, -0.05, 1.0], [-0.2, 0.1, 1.0]])
    pixels = cv2.projectPoints(true, np.zeros(3), np.zeros(3), K, distortion)[0][:, 0]
    cols, rows = np.round(pixels).astype(int).T
    depth, mask = np.zeros((60, 80), np.float32), np.zeros((60, 80), bool)
    depth[rows, cols], mask[rows, cols] = 1.0, True
    points = geometry.points_of_mask(mask, depth, Intrinsics(K, distortion, 60, 80))
    points = points[np.argsort(-points[:, 0])]
    assert np.abs(points - true).max() < 0.01  # half a pixel at fx = 90 is 0.006 m
    straight = geometry.points_of_mask(mask, depth, Intrinsics(K, None, 60, 80))
    assert np.abs(straight[np.argsort(-straight[:, 0])] - true).max() > 0.0


def test_points_of_a_mask_are_thinned_evenly():
    depth, mask = np.ones((40, 50), np.float32), np.ones((40, 50), bool)
    points = geometry.points_of_mask(mask, depth, Intrinsics(K, None, 40, 50), max_points=100)
    assert points.shape == (100, 3)
    assert np.ptp(points[:, 1]) == pytest.approx(39 / 95, rel=0.05)


def test_cloud_reads_back_field_by_field():
    points = np.concatenate(
        [clouds.label_points(np.full((2, 3), v, np.float32), n, v / 4) for n, v in ((1, 1), (3, 2))]
    )
    msg = clouds.cloud_from_points(points, Header(frame_id="world"))
    assert (msg.width, msg.height, msg.row_step) == (4, 1, 4 * msg.point_step)
    formats = {7: "<f4", 6: "<u4"}
    raw = bytes(msg.data)
    for field in msg.fields:
        values = [
            np.frombuffer(raw, formats[field.datatype], 1, n * msg.point_step + field.offset)[0]
            for n in range(4)
        ]
        assert values == points[field.name].tolist()
