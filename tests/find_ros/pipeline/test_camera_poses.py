"""Poses of a topic: late ones, other recordings, what trackers send when they are lost."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from geometry_msgs.msg import PoseStamped

from find_ros.messages.errors import PoseError
from find_ros.messages.images import ns_to_stamp
from find_ros.pipeline.camera_poses import TopicPoses

MS = 1_000_000
START_NS = 10**18


class Node:
    """As much of a node as `TopicPoses` uses."""

    def __init__(self):
        self.said: list[str] = []
        self.throttled_log = SimpleNamespace(warn=lambda key, text: self.said.append(text))

    def create_subscription(self, kind, topic, callback, qos):
        return SimpleNamespace(topic_name=f"/{topic}")


def pose(x_m, stamp_ns, w=1.0):
    msg = PoseStamped()
    msg.header.frame_id, msg.header.stamp = "map", ns_to_stamp(stamp_ns)
    msg.pose.position.x, msg.pose.orientation.w = float(x_m), float(w)
    return msg


@pytest.fixture
def poses():
    return TopicPoses(Node(), "camera_pose")


def test_a_pose_that_is_overtaken_costs_itself(poses):
    for x_m, at_ms in ((0, 0), (2, 20), (1, 10), (4, 40)):
        poses.add(pose(x_m, START_NS + at_ms * MS))
    for at_ms in (5, 10, 30):
        T = poses.lookup("map", "camera", START_NS + at_ms * MS)
        assert T[0, 3] == pytest.approx(at_ms / 10)


def test_time_that_goes_back_begins_anew(poses):
    poses.add(pose(9, START_NS + 10_000 * MS))
    poses.add(pose(0, START_NS))
    poses.add(pose(1, START_NS + 100 * MS))
    assert poses.lookup("map", "camera", START_NS + 50 * MS)[0, 3] == pytest.approx(0.5)
    with pytest.raises(PoseError, match="nearest pose"):
        poses.lookup("map", "camera", START_NS + 10_000 * MS)


def test_one_stamp_from_the_far_future_is_not_the_end(poses):
    poses.add(pose(7, (2**31 - 1) * 1000 * MS))
    poses.add(pose(0, START_NS))
    poses.add(pose(1, START_NS + 100 * MS))
    assert poses.lookup("map", "camera", START_NS + 100 * MS)[0, 3] == 1


@pytest.mark.parametrize(
    "bad", [{"w": 0.0}, {"w": float("nan")}, {"x_m": float("inf")}, {"x_m": 1e12}]
)
def test_a_pose_that_is_none_is_left_out_and_told(poses, bad):
    poses.add(pose(0, START_NS))
    poses.add(pose(**({"x_m": 5.0, "stamp_ns": START_NS + 50 * MS} | bad)))
    poses.add(pose(1, START_NS + 100 * MS))
    assert poses.lookup("map", "camera", START_NS + 50 * MS)[0, 3] == pytest.approx(0.5)
    assert len(poses._node.said) == 1 and "left out" in poses._node.said[0]


@pytest.mark.parametrize("stamp_ns", [-1, -(2**31) * 1000 * MS])
def test_stamps_before_1970(poses, stamp_ns):
    poses.add(pose(0, START_NS))
    with pytest.raises(PoseError):
        poses.lookup("map", "camera", stamp_ns)
