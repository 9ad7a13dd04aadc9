"""Loading models for nodes."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

SCRIPT = """
import sys, threading
import rclpy
from find_ros.field_server import FieldServer
rclpy.init()
assert "torch" not in sys.modules
parameter = rclpy.parameter.Parameter
node = FieldServer(parameter_overrides=[
    parameter("lift_live", value=True), parameter("pose_source", value="topic"),
    parameter("model", value="tests.find_ros.fakes:color_find"),
])
assert sys.modules["torch"].Tensor  # whole before the first pose can arrive
node.close()
rclpy.shutdown()
"""


def test_the_field_server_never_shows_poses_a_half_imported_torch():
    """scipy asks `sys.modules["torch"].Tensor`, which is not there while another thread imports."""
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
