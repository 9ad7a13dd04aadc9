"""Recordings as cameras."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from find_core.errors import FindError
from find_ros.messages.images import compressed_to_rgb, depth_to_m, image_to_rgb, stamp_to_ns
from find_ros.messages.poses import pose_to_matrix
from find_ros.sources.open import open_player_source
from tests.find_ros.harness import BEST_EFFORT, PATIENCE_S, ROOT, Process, scene

K = [[80.0, 0.0, 48.0], [0.0, 80.0, 36.0], [0.0, 0.0, 1.0]]

# `make demo` on a model of the tests.
RUN_DEMO = """
import sys
from find_ros import demo
demo.START_MODULE = "tests.find_ros.node"
sys.exit(demo.main())
"""
DEMO = [sys.executable, "-c", RUN_DEMO]


def poses(count: int) -> list[np.ndarray]:
    out = [np.eye(4) for _ in range(count)]
    for n, T in enumerate(out):
        T[:3, 3] = n, 2.0, 3.0
    return out


@pytest.fixture(scope="module")
def tabletop(tmp_path_factory):
    """Our RGB-D layout: four frames."""
    folder = tmp_path_factory.mktemp("tabletop")
    (folder / "rgb").mkdir()
    (folder / "depth").mkdir()
    for n in range(4):
        cv2.imwrite(str(folder / f"rgb/{n:06d}.png"), scene(n)[..., ::-1])
        depth = np.full((72, 96), 1000 + n, np.uint16)
        depth[0, 0] = 65535
        cv2.imwrite(str(folder / f"depth/{n:06d}.png"), depth)
    frames = [{"file": f"{n:06d}", "T_world_camera": T.tolist()} for n, T in enumerate(poses(4))]
    meta = {"K": K, "depth_unit_m": 0.001, "fps": 20, "frames": frames}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def test_posed_pictures(tabletop):
    source = open_player_source(str(tabletop))
    frames = list(source.frames())
    assert source.has_depth and source.has_pose and not source.is_live
    assert [f.time_s for f in frames] == pytest.approx([0, 0.05, 0.1, 0.15])
    assert (frames[2].image_rgb == scene(2)).all()
    assert frames[2].depth_m[5, 5] == pytest.approx(1.002) and frames[2].depth_m[0, 0] == 0
    assert frames[2].T_world_camera[0, 3] == 2 and (frames[2].K == K).all()


def test_a_bad_image_costs_itself(tabletop, tmp_path):
    shutil.copytree(tabletop, tmp_path / "copy")
    (tmp_path / "copy/rgb/000001.png").write_bytes(b"cut short")
    told: list[tuple[str, str]] = []
    source = open_player_source(str(tmp_path / "copy"), warn=lambda *about: told.append(about))
    assert [f.T_world_camera[0, 3] for f in source.frames()] == [0, 2, 3]
    assert len(told) == 1 and "Left out: " in told[0][1] and "000001" in told[0][1]


def test_exception(tmp_path):
    with pytest.raises(FindError, match="Nothing at"):
        open_player_source(str(tmp_path / "none"))
    with pytest.raises(FindError, match="no images"):
        open_player_source(str(tmp_path))
    (tmp_path / "meta.json").write_text("{")
    with pytest.raises(FindError, match="not JSON"):
        open_player_source(str(tmp_path))


def test_feature(robot, tabletop):
    """Image, depth, calibration and pose of one moment share a stamp; the process ends at the end."""
    parameters = {"source": str(tabletop), "wait_for_subscriber_s": 30.0, "exit_at_end": True}
    parameters |= {"compressed": True, "encoding": "bgr8", "rate_hz": 10.0, "frame_id": "optical"}
    images = robot.hear(Image, "/image", BEST_EFFORT)
    kinds = {"/depth": Image, "/image/compressed": CompressedImage}
    heard = {t: robot.hear(k, t, BEST_EFFORT) for t, k in kinds.items()}
    heard |= {"/camera_info": robot.hear(CameraInfo, "/camera_info")}
    heard |= {"/camera_pose": robot.hear(PoseStamped, "/camera_pose")}
    with Process("camera_player", parameters) as process:
        robot.wait(lambda: process.process.poll() is not None, "the end")
        assert process.process.returncode == 0 and "Played 4 frames" in process.log
        assert "on /image, 4 frames" in process.log and "with depth and poses" in process.log
    stamps = [stamp_to_ns(m.header.stamp) for m in images]
    assert len(stamps) >= 2 and stamps == sorted(stamps)
    for topic, messages in heard.items():
        shared = [m for m in messages if stamp_to_ns(m.header.stamp) in stamps]
        assert len(shared) >= 2, topic
    image, number = images[-1], (4 - 1)
    assert image.header.frame_id == "optical" and image.encoding == "bgr8"
    assert (image_to_rgb(image) == scene(number)).all()
    assert depth_to_m(heard["/depth"][-1])[5, 5] == pytest.approx(1.003)
    assert np.array(heard["/camera_info"][-1].k).reshape(3, 3).tolist() == K
    pose = heard["/camera_pose"][-1]
    assert pose.header.frame_id == "world"
    np.testing.assert_allclose(
        pose_to_matrix(pose.pose.position, pose.pose.orientation), poses(4)[3]
    )
    assert compressed_to_rgb(heard["/image/compressed"][-1]).shape == (72, 96, 3)


def test_looping_and_sigint(robot, tabletop):
    images = robot.hear(Image, "/image", BEST_EFFORT)
    parameters = {"source": str(tabletop), "loop": True, "rate_hz": 50.0}
    with Process("camera_player", parameters) as process:
        robot.wait(lambda: len(images) > 9, "more than one round", process)
        assert process.interrupt() == 0 and "Traceback" not in process.log


def test_exception_of_nothing_to_play(_ros, tmp_path):
    started = [
        (Process("camera_player", {"source": str(tmp_path / "none.mp4")}), "Nothing at"),
        (Process("camera_player"), "needs something to play"),
    ]
    for process, sentence in started:
        assert process.process.wait(PATIENCE_S) == 2
        assert sentence in process.log and "Traceback" not in process.log


def test_demo(_ros, tabletop, tmp_path):
    """Both nodes as processes, played in lockstep: no frame is lost, all three results are there."""
    out = tmp_path / "demo"
    command = [*DEMO, "--out", str(out), "--video", str(tabletop)]
    command += [
        "--prompt",
        "the <red>",
        "--model",
        "color",
        "--fps",
        "20",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3 * PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(x) for x in (out / "localizations.jsonl").read_text().splitlines()]
    assert [line["time_s"] for line in lines] == pytest.approx([0, 0.05, 0.1, 0.15])
    assert [line["entities"][0]["box_xyxy"][0] for line in lines] == [20, 21, 22, 23]
    assert "4 of 4" in done.stdout
    assert (out / "annotated.mp4").stat().st_size > 1000
    assert cv2.imread(str(out / "timeline.png")) is not None


def test_demo_exception(_ros, tmp_path):
    command = [
        *DEMO,
        "--out",
        str(tmp_path),
        "--video",
        "/none.mp4",
    ]
    command += ["--model", "color", "--prompt", "<red>"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3 * PATIENCE_S)
    assert done.returncode == 1 and "Nothing at" in done.stdout and "Traceback" not in done.stderr
