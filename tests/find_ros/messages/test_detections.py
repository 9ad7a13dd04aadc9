"""vision_msgs and /tf where they are installed: they come with ROS, there are no wheels of them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from std_msgs.msg import String

from find_core.results import Localization
from find_ros.messages import detections
from tests.find_core.video.fakes import ColorFind
from tests.find_ros.harness import LATCHED, Process, answers, camera_info, scene

FIND = "color"
needs_vision_msgs = pytest.mark.skipif(
    not detections.AVAILABLE, reason="vision_msgs comes with a ROS installation, not as a wheel"
)


def localized() -> Localization:
    find = ColorFind()
    return find.encode(scene()).localize(find.compile("<red> and <blue>"))


@needs_vision_msgs
def test_boxes_in_pixels():
    from std_msgs.msg import Header

    out = detections.to_2d(localized(), Header(frame_id="camera"))
    red, blue = out.detections
    assert out.header.frame_id == "camera" and red.results[0].hypothesis.class_id == "1"
    assert (red.bbox.size_x, red.bbox.size_y) == (30, 20)
    # Columns 20..49 have their centre at 34.5.
    assert (red.bbox.center.position.x, red.bbox.center.position.y) == (34.5, 25.5)
    assert blue.results[0].hypothesis.class_id == "2"
    info = detections.label_info(["red", "blue"], Header())
    assert [(c.class_id, c.class_name) for c in info.class_map] == [(1, "red"), (2, "blue")]


@needs_vision_msgs
def test_over_dds(robot):
    from vision_msgs.msg import Detection2DArray, Detection3DArray, LabelInfo

    parameters = {"model": FIND, "prompt": "the <red>", "use_depth": True}
    depth = np.full((72, 96), 2000, np.uint16)
    kinds = {"detections": Detection2DArray, "detections_3d": Detection3DArray}
    with Process("localizer", parameters) as process:
        heard = {t: robot.hear(k, f"/localizer/{t}") for t, k in kinds.items()}
        info = robot.hear(LabelInfo, "/localizer/label_info", LATCHED)
        robot.wait(
            lambda: all(heard.values()) and info,
            "detections",
            process,
            lambda: robot.show_rgbd(depth, "16UC1", camera_info()),
        )
    in_2d, in_3d = heard["detections"][-1], heard["detections_3d"][-1]
    assert in_2d.detections[0].id == in_3d.detections[0].id == "1"
    assert in_3d.detections[0].bbox.center.position.z == pytest.approx(2.0)
    assert info[-1].class_map[0].class_name == "red"


def test_the_player_publishes_tf(robot, tmp_path):
    tf2 = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with ROS, not as a wheel")
    import json

    from find_core.drawing import write_image

    (tmp_path / "rgb").mkdir()
    write_image(tmp_path / "rgb" / "000000.png", scene())
    T = np.eye(4)
    T[:3, 3] = 1, 2, 3
    frames = [{"file": "000000", "T_world_camera": T.tolist()}]
    meta = {"K": [[80, 0, 48], [0, 80, 36], [0, 0, 1]], "frames": frames}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    heard = robot.hear(tf2.TFMessage, "/tf")
    with Process("camera_player", {"source": str(tmp_path), "loop": True}) as process:
        robot.wait(lambda: heard, "/tf", process)
    transform = heard[-1].transforms[0]
    assert (transform.header.frame_id, transform.child_frame_id) == (
        "world",
        "camera_optical_frame",
    )
    assert transform.transform.translation.z == 3


def test_places_through_tf(robot):
    """A static transform on /tf_static moves the answer into the world."""
    pytest.importorskip("tf2_ros", reason="tf2_ros comes with a ROS installation, not as a wheel")
    from geometry_msgs.msg import TransformStamped
    from tf2_msgs.msg import TFMessage

    moved = TransformStamped(child_frame_id="camera")
    moved.header.frame_id = "world"
    moved.transform.translation.x, moved.transform.rotation.w = 5.0, 1.0
    parameters = {"model": FIND, "prompt": "the <red>", "use_depth": True, "target_frame": "world"}
    depth = np.full((72, 96), 2000, np.uint16)
    with Process("localizer", parameters) as process:
        heard = robot.hear(String, "/localizer/localization")

        def show():
            robot.publish("/tf_static", TFMessage(transforms=[moved]), LATCHED)
            robot.show_rgbd(depth, "16UC1", camera_info())

        robot.wait(
            lambda: [a for a in answers(heard) if a.get("objects_3d")], "a place", process, show
        )
    place = [a for a in answers(heard) if a.get("objects_3d")][-1]["objects_3d"][0]
    assert place["frame_id"] == "world" and place["position_m"][0] == pytest.approx(4.73, abs=0.03)
