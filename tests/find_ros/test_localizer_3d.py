"""Depth in, places out: metres in the camera's frame and in the world."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from diagnostic_msgs.msg import DiagnosticArray
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import String
from visualization_msgs.msg import Marker, MarkerArray

from find_ros.messages.clouds import POINT_DTYPE
from tests.find_ros.harness import HEIGHT, WIDTH, Process, answers, camera_info, diagnostics

FIND = "color"
DEPTH_M = 2.0
# The red rectangle covers columns 20..49 and rows 16..35; fx = fy = 100, cx = 48, cy = 36.
CENTER_M = np.array([(34.5 - 48) / 100, (25.5 - 36) / 100, 1.0]) * DEPTH_M
T_WORLD_CAMERA = np.eye(4)
T_WORLD_CAMERA[:3, :3] = Rotation.from_euler("xyz", [-90, 0, 30], degrees=True).as_matrix()
T_WORLD_CAMERA[:3, 3] = 1.0, -2.0, 0.5


@pytest.fixture(scope="module")
def localizer(robot):
    parameters = {"model": FIND, "prompt": "the <red>", "use_depth": True}
    parameters |= {"target_frame": "world", "pose_source": "topic", "depth_wait_s": 0.5}
    with Process("localizer", parameters) as process:
        heard = robot.hear(String, "/localizer/localization")
        robot.wait(lambda: heard, "a first answer", process, lambda: show(robot))
        yield process


def show(robot, depth=None, encoding="16UC1", info=None, pose=True) -> int:
    if depth is None:
        depth = np.full((HEIGHT, WIDTH), DEPTH_M * 1000, np.uint16)
    stamp_ns = robot.show_rgbd(depth, encoding, info or camera_info())
    if pose:
        robot.pose(T_WORLD_CAMERA, "world", stamp_ns)
    return stamp_ns


def ask(robot, localizer, **kwargs) -> dict:
    heard = robot.hear(String, "/localizer/localization")
    good = robot.wait(
        lambda: [a for a in answers(heard) if a.get("objects_3d")],
        "a place",
        localizer,
        lambda: show(robot, **kwargs),
    )
    return good[-1]


def test_feature(robot, localizer):
    """Position in the world, cloud and markers agree, under the image's stamp."""
    clouds = robot.hear(PointCloud2, "/localizer/points")
    markers = robot.hear(MarkerArray, "/localizer/markers")
    answer = ask(robot, localizer)
    robot.wait(lambda: clouds and markers, "cloud and markers", localizer, lambda: show(robot))
    place = answer["objects_3d"][0]
    want = T_WORLD_CAMERA[:3, :3] @ CENTER_M + T_WORLD_CAMERA[:3, 3]
    assert place["frame_id"] == "world" and place["entity_index"] == 0 and place["track_id"]
    np.testing.assert_allclose(place["position_m"], want, atol=0.03)
    cloud = clouds[-1]
    points = np.frombuffer(bytes(cloud.data), POINT_DTYPE)
    assert cloud.header.frame_id == "world" and len(points) == cloud.width == 600
    assert set(points["label"]) == {1} and points["score"].min() > 0.9
    xyz = np.stack([points["x"], points["y"], points["z"]], axis=1)
    np.testing.assert_allclose(xyz.mean(axis=0), want, atol=0.01)
    shown = markers[-1].markers
    assert [m.action for m in shown] == [Marker.DELETEALL, Marker.ADD, Marker.ADD]
    box, text = shown[1], shown[2]
    assert box.type == Marker.CUBE and "red" in text.text and box.header.frame_id == "world"
    np.testing.assert_allclose([box.pose.position.x, box.pose.position.z], want[[0, 2]], atol=0.03)


def test_depth_in_metres_with_holes(robot, localizer):
    depth = np.full((HEIGHT, WIDTH), DEPTH_M, np.float32)
    depth[:, ::3] = np.nan
    depth[::4] = 0
    answer = ask(robot, localizer, depth=depth, encoding="32FC1")
    want = T_WORLD_CAMERA[:3, :3] @ CENTER_M + T_WORLD_CAMERA[:3, 3]
    np.testing.assert_allclose(answer["objects_3d"][0]["position_m"], want, atol=0.05)


@pytest.mark.parametrize(
    ("cause", "change"),
    [
        ("no_transform", {"pose": False}),
        ("bad_camera_info", {"info": camera_info(fx=0.0)}),
        ("size_mismatch", {"depth": np.ones((10, 12), np.uint16)}),
        ("unsupported_depth", {"depth": np.ones((HEIGHT, WIDTH, 3), np.uint8), "encoding": "rgb8"}),
    ],
)
def test_what_is_missing_for_3d_is_counted(robot, localizer, cause, change):
    """No 3D output rather than a wrong one; the 2D answer comes all the same."""
    heard = robot.hear(DiagnosticArray, "/diagnostics")
    spoken = robot.hear(String, "/localizer/localization")
    shown: set[int] = set()

    robot.wait(
        lambda: (
            int(diagnostics(heard).get(f"without_3d/{cause}", 0)) >= 1
            and any(a["stamp_ns"] in shown for a in answers(spoken))
        ),
        cause,
        localizer,
        lambda: shown.add(show(robot, **change)),
    )
    assert all("objects_3d" not in a for a in answers(spoken) if a["stamp_ns"] in shown)
    assert ask(robot, localizer), "and it recovers"


def test_an_image_whose_depth_never_comes_goes_on_without(robot, localizer):
    heard = robot.hear(String, "/localizer/localization")
    shown: set[int] = set()
    robot.wait(
        lambda: any(a["stamp_ns"] in shown for a in answers(heard)),
        "an answer without depth",
        localizer,
        lambda: shown.add(robot.show()),
    )
    assert all("objects_3d" not in a for a in answers(heard) if a["stamp_ns"] in shown)
