from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from find_core.errors import FieldError, ImageError
from find_field.frames import PosedFrame

K = np.array([[100.0, 0, 40], [0, 110, 30], [0, 0, 1]])
RGB = np.zeros((60, 80, 3), np.uint8)


def pose(rotvec=(0.1, 0.2, 0.3), t=(1, 2, 3)):
    T = np.eye(4)
    T[:3, :3] = Rotation.from_rotvec(rotvec).as_matrix()
    T[:3, 3] = t
    return T


def frame(depth=None, K=K, T=None, rgb=RGB):
    depth = np.full((60, 80), 1.5, np.float32) if depth is None else depth
    return PosedFrame(rgb, depth, K, pose() if T is None else T, "f7")


def test_smoke_marks_invalid_depth_as_nan():
    depth = np.full((60, 80), 1.5)
    depth[0, :3] = 0, np.inf, np.nan
    made = frame(depth)
    assert made.depth_m.dtype == np.float32
    assert np.isnan(made.depth_m[0, :3]).all() and np.isnan(made.depth_m).sum() == 3


@pytest.mark.parametrize(
    "change, error, says",
    [
        (dict(depth=np.full((60, 80), 1500, np.uint16)), ImageError, "/ 1000"),
        (dict(depth=np.full((60, 80), 1500.0)), ImageError, "Divide by 1000"),
        (dict(depth=np.full((60, 80), 0.0015)), ImageError, "kilometres"),
        (dict(depth=np.ones((30, 40))), ImageError, "register_depth"),
        (dict(rgb=RGB.astype(float)), ImageError, "uint8"),
        (dict(K=np.eye(4)), FieldError, "pinhole"),
        (dict(K=-K), FieldError, "pinhole"),
        (dict(T=np.eye(3)), FieldError, "(4, 4)"),
        (dict(T=np.full((4, 4), np.nan)), FieldError, "tracking was lost"),
        (dict(T=np.diag([2.0, 2, 2, 1])), FieldError, "scaled or sheared"),
        (dict(T=np.diag([1.0, 1, -1, 1])), FieldError, "mirrored"),
        (dict(T=np.eye(4)[[0, 1, 3, 2]]), FieldError, "not"),
    ],
)
def test_exception_says_what_to_do(change, error, says):
    with pytest.raises(error, match="f7") as caught:
        frame(**change)
    assert says in str(caught.value)
