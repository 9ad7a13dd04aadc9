"""DDS among processes of this machine alone, on a domain of our own."""

from __future__ import annotations

import os

# Before rclpy is imported. Domains above 101 may collide with ephemeral ports.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_LOCALHOST_ONLY"] = "1"  # the same for Humble

import pytest


@pytest.fixture(scope="session")
def _ros():
    rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def robot(_ros):
    """The other side of the wire: a node that plays cameras and listens."""
    from tests.find_ros.harness import Robot

    robot = Robot()
    yield robot
    robot.close()
