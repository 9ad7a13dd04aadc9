"""Dotted names of before the packages were divided still work, for one release."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.util import find_spec

import pytest

import find_core.support.moved
import find_field.moved
import find_ros.moved
import training

NERFSTUDIO = find_spec("nerfstudio") is not None
ROS = find_spec("rclpy") is not None
OLD = {
    **find_core.support.moved.OLD_NAMES,
    **find_field.moved.OLD_NAMES,
    **find_ros.moved.OLD_NAMES,
    **training.OLD_NAMES,
}
DIVIDED = sorted(old for old, now in OLD.items() if not isinstance(now, str))


@pytest.mark.parametrize("old", sorted(OLD.keys() - set(DIVIDED)))
def test_old_module_is_the_new_one(old):
    needs = {"find_field.nerf": NERFSTUDIO, "find_ros": ROS}
    if not all(there for room, there in needs.items() if OLD[old].startswith(room)):
        assert find_spec(OLD[old]) is not None, "the new module is there"
        pytest.skip("what it builds on is not installed")
    new = importlib.import_module(OLD[old])
    assert importlib.import_module(old) is new
    assert new.__name__ == new.__spec__.name == OLD[old]


@pytest.mark.skipif(not ROS, reason="needs rclpy")
@pytest.mark.parametrize("old", DIVIDED)
def test_divided_module_has_the_names_of_all(old):
    module = importlib.import_module(old)
    assert importlib.import_module(old) is module
    for now in OLD[old]:
        new = importlib.import_module(now)
        public = [name for name in vars(new) if not name.startswith("_")]
        assert public and not [name for name in public if not hasattr(module, name)]
    first = importlib.import_module(OLD[old][0])
    assert all(vars(module)[k] is v for k, v in vars(first).items() if not k.startswith("__"))


def test_a_node_starts_without_waiting_for_old_names():
    """`find_ros` alone must not import find_core: Ctrl-C would meet a traceback for a second."""
    code = "import sys, find_ros; print([m for m in sys.modules if m.startswith('find_core')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not ROS, reason="needs rclpy")
@pytest.mark.parametrize(
    "line",
    [
        "from find_ros.bag_source import BagCamera",
        "from find_ros.cameras import CameraConfig, CameraInput",
        "from find_ros.conversions import depth_to_m, image_to_rgb, stamp_to_ns, MM_PER_M",
        "from find_ros.frames import Frame, FrameStore",
        "from find_ros.geometry import Intrinsics, backproject, cloud_from_points, pose_to_matrix",
        "from find_ros.geometry import intrinsics_from_info, label_points, matrix_to_quaternion",
        "from find_ros.health import memory_mb, percentile_ms",
        "from find_ros.model import load_aside, load_model",
        "from find_ros.player_sources import ColourSource, PlayedFrame, PlayerSource",
        "from find_ros.player_sources import DEFAULT_FPS, open_player_source",
        "from find_ros.poses import PoseError, PoseSource, TfPoses, TopicPoses, interpolate",
        "from find_ros.prompt_desk import ActivePrompt, MAX_REFERENCES, read_prompt",
        "from find_ros.run import help_text, run_node",
        "from find_ros.spatial import SpatialObject, objects_to_cloud, spatial_objects",
        "from find_ros.worker import Timing, Worker",
    ],
)
def test_old_imports_of_ros(line):
    exec(line, {})


@pytest.mark.parametrize(
    "line",
    [
        "from find_core.prompts import Prompt, Reference, region_from_json",
        "from find_core.video import StreamConfig, StreamLocalizer, VideoFrame",
        "from find_core.video_offline import localize_video",
        "from find_core.video_sources import SourceError, open_source",
        "from find_core.checkpoint import load_find, read, save",
        "from find_core.drawing import contact_sheet, draw_localization, timeline_png",
        "from find_core.cli import main",
        "from find_field.feature_field import FeatureField",
        "from find_field.query import QueryConfig",
        "from find_field.frames import PosedFrame, transform",
        "from find_field.testing import sample_world",
        "from training.video_suite import metrics",
    ],
)
def test_old_imports(line):
    exec(line, {})


@pytest.mark.parametrize(
    "module",
    [
        "find_core.encoders.precompute",
        "find_core.cli",
        "find_field.evaluate",
        "training.video_suite.real_clips",
    ],
)
def test_old_commands(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True
    )
    assert "usage" in done.stdout
