"""Calibration: which matrix belongs to the image, and which numbers no camera has."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sensor_msgs", reason="ROS messages are not installed (pip install .[ros])")

from sensor_msgs.msg import CameraInfo

from find_ros.messages.camera_info import intrinsics_from_info
from find_ros.messages.errors import MessageError

K = np.array([[90.0, 0, 30], [0, 95, 20], [0, 0, 1]])


def info(**changes) -> CameraInfo:
    msg = CameraInfo(width=64, height=48)
    msg.k = K.ravel().tolist()
    msg.p = np.hstack([K, np.zeros((3, 1))]).ravel().tolist()
    msg.d = [0.1, -0.05, 0.001, 0.002, 0.0]
    for name, value in changes.items():
        setattr(msg, name, value)
    return msg


def matrix(fx=90.0, fy=95.0, skew=0.0, junk=0.0) -> dict:
    """K, and a P that is not set."""
    return {"k": [fx, skew, 30.0, junk, fy, 20.0, 0.0, 0.0, 1.0], "p": [0.0] * 12}


def test_intrinsics_choose_the_matrix_of_the_image():
    rectified = intrinsics_from_info(info(p=[50.0, 0, 31, 0, 0, 50, 21, 0, 0, 0, 1, 0]))
    assert rectified.K[0, 0] == 50 and rectified.distortion is None
    raw = intrinsics_from_info(info(), rectified=False)
    assert raw.K[0, 0] == 90 and raw.distortion is not None
    assert intrinsics_from_info(info(p=[0.0] * 12)).K[0, 0] == 90


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"k": [0.0] * 9, "p": [0.0] * 12}, "not calibrated"),
        ({"p": [float("nan")] * 12, "k": [float("nan")] * 9}, "not calibrated"),
        ({"width": 20, "height": 10}, "another resolution"),
        (matrix(fx=1e-40, fy=1e-40), "no camera"),
        (matrix(fx=1e-300), "no camera"),
        (matrix(fx=1.2, fy=1.2), "no camera"),
        (matrix(fx=1e7, fy=1e7), "no camera"),
        (matrix(fx=90, fy=3), "no camera"),
        (matrix(skew=1e300), "no pinhole"),
        (matrix(junk=4.0), "no pinhole"),
    ],
)
def test_exception_of_wrong_intrinsics(changes, sentence):
    with pytest.raises(MessageError, match=sentence) as caught:
        intrinsics_from_info(info(**changes))
    assert caught.value.cause == "bad_camera_info"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"distortion_model": "equidistant"}, "rectify"),
        ({"d": [0.1, 0.2, 0.3]}, "3 distortion coefficients"),
        ({"d": [float("nan"), 0.0, 0.0, 0.0]}, "coefficients of no lens"),
        ({"d": [1e30, 0.0, 0.0, 0.0]}, "coefficients of no lens"),
    ],
)
def test_exception_of_wrong_distortion(changes, sentence):
    with pytest.raises(MessageError, match=sentence):
        intrinsics_from_info(info(**changes), rectified=False)
    assert intrinsics_from_info(info(**changes)).distortion is None, "rectified, it does not matter"
