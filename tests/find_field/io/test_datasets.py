from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from find_core.errors import FieldError, ImageError
from find_field.geometry.pinhole import backproject, pixel_grid, transform
from find_field.io import datasets as readers
from find_field.io.datasets import open_folder
from find_field.io.frame_files import read_depth
from tests.find_field.folders import write_nerfstudio, write_sequence, write_seven_scenes

SAMPLE = Path(readers.__file__).parents[2] / "find_core" / "share" / "samples" / "tabletop"
WRITERS = {
    "sequence": write_sequence,
    "7scenes": write_seven_scenes,
    "nerfstudio": write_nerfstudio,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_feature_every_kind_gives_the_frames_back(kind, frames, tmp_path):
    folder = open_folder(WRITERS[kind](tmp_path, frames[:3]), registered=True)
    assert folder.kind == kind and len(folder) == 3 and not folder.skipped
    for got, want in zip(folder, frames, strict=False):
        np.testing.assert_array_equal(got.rgb, want.rgb)
        np.testing.assert_allclose(got.K, want.K, atol=1e-9)
        np.testing.assert_allclose(got.T_world_camera, want.T_world_camera, atol=1e-6)
        np.testing.assert_allclose(got.depth_m, want.depth_m, atol=6e-4)


def test_names_of_the_world_and_of_files(frames, tmp_path):
    write_sequence(tmp_path, frames[:3])
    assert open_folder(tmp_path).frame == "map"
    assert len(open_folder(tmp_path / "meta.json").take(every=2)) == 2
    assert [f.name for f in open_folder(tmp_path).take(skip=1, limit=1).files] == ["000001"]


def test_seven_scenes_depth_is_registered_and_the_pose_moves_to_the_colour_camera(frames, tmp_path):
    folder = open_folder(write_seven_scenes(tmp_path, frames[:1]))
    frame = next(iter(folder))
    moved = np.linalg.inv(frames[0].T_world_camera) @ frame.T_world_camera
    assert moved[0, 3] == pytest.approx(0.025, abs=1e-4)
    assert frame.K[0, 0] == 529 and not np.array_equal(frame.depth_m, frames[0].depth_m)


@pytest.mark.parametrize("kind", ["sequence", "7scenes"])
def test_frames_without_pose_or_picture_are_left_out_and_told(kind, frames, tmp_path):
    WRITERS[kind](tmp_path, frames[:4])
    if kind == "sequence":
        meta = json.loads((tmp_path / "meta.json").read_text())
        meta["frames"][1]["T_world_camera"] = None
        meta["frames"][2]["T_world_camera"][0][0] = float("nan")
        (tmp_path / "meta.json").write_text(json.dumps(meta))
    else:
        (tmp_path / "frame-000001.pose.txt").unlink()
        np.savetxt(tmp_path / "frame-000002.pose.txt", np.full((4, 4), -np.inf))
    folder = open_folder(tmp_path)
    assert len(folder) == 2 and len(folder.skipped) == 2
    assert "000001" in folder.skipped[0] and "tracking was lost" in folder.skipped[1]


def test_no_usable_pose_at_all(frames, tmp_path):
    write_seven_scenes(tmp_path, frames[:2])
    for pose in tmp_path.glob("*.pose.txt"):
        pose.unlink()
    with pytest.raises(FieldError, match=r"no usable frame.*no pose file"):
        open_folder(tmp_path)


@pytest.mark.parametrize("name, text", [("meta.json", "{"), ("transforms.json", "[1]")])
def test_exception_damaged_json(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(FieldError, match="JSON"):
        open_folder(tmp_path)


def test_exception_unknown_folder(tmp_path):
    with pytest.raises(FieldError, match=r"transforms\.json"):
        open_folder(tmp_path)
    with pytest.raises(FieldError, match="No folder"):
        open_folder(tmp_path / "nowhere")


def test_depth_in_wrong_units_is_told(frames, tmp_path):
    write_sequence(tmp_path, frames[:1])
    meta = json.loads((tmp_path / "meta.json").read_text())
    (tmp_path / "meta.json").write_text(json.dumps(meta | {"depth_unit_m": 1.0}))
    with pytest.raises(ImageError, match="millimetres"):
        next(iter(open_folder(tmp_path)))


def test_frames_without_a_file_are_told(frames, tmp_path):
    write_sequence(tmp_path, frames[:2])
    meta = json.loads((tmp_path / "meta.json").read_text())
    meta["frames"][0]["name"] = meta["frames"][0].pop("file")
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    (why,) = open_folder(tmp_path).skipped
    assert 'no "file" in meta.json' in why


def test_the_shipped_sample_is_the_documented_form():
    """Every frame of it, with the keys that the reader's docstring names and nothing left out."""
    meta = json.loads((SAMPLE / "meta.json").read_text())
    folder = open_folder(SAMPLE)
    assert folder.kind == "sequence" and not folder.skipped
    assert len(folder) == len(meta["frames"]) == len(list((SAMPLE / "rgb").iterdir())) > 0
    for key in ("K", "depth_unit_m", "fps"):
        assert key in meta and f'"{key}"' in readers.__doc__
    assert all({"file", "T_world_camera"} <= set(entry) for entry in meta["frames"])
    first = next(iter(folder))
    raw = cv2.imread(str(SAMPLE / "depth" / f"{meta['frames'][0]['file']}.png"), -1)
    assert first.rgb.shape == (meta["height"], meta["width"], 3)
    assert first.depth_m[240, 320] == pytest.approx(raw[240, 320] * meta["depth_unit_m"])
    np.testing.assert_array_equal(first.K, meta["K"])
    pose = meta["frames"][0]["T_world_camera"]
    np.testing.assert_allclose(first.T_world_camera, pose, atol=1e-5)


def test_the_shipped_sample_is_metric():
    """Pose, intrinsics and depth unit together: each thing's surface lies in the box named for it."""
    points = np.concatenate([world_points(frame) for frame in open_folder(SAMPLE).take(every=16)])
    for thing in json.loads((SAMPLE / "meta.json").read_text())["objects"]:
        T_object_world = np.linalg.inv(thing["T_world_object"])
        offset = transform(T_object_world, points) - transform(
            T_object_world, np.array(thing["center_world_m"])
        )
        inside = (np.abs(offset) < np.array(thing["extent_m"]) / 2 + 0.005).all(axis=1)
        assert inside.sum() > 200, thing["name"]


def world_points(frame):
    u, v = np.meshgrid(*pixel_grid(frame.height, frame.width, 4))
    points = backproject(frame.depth_m[v.astype(int), u.astype(int)], frame.K, u, v)
    points = transform(frame.T_world_camera, points.reshape(-1, 3))
    return points[np.isfinite(points).all(axis=1)]


def test_depth_files(tmp_path):
    raw = np.array([[0, 1500, 65535]], np.uint16)
    cv2.imwrite(str(tmp_path / "d.png"), raw)
    np.testing.assert_allclose(read_depth(tmp_path / "d.png", 0.001), [[np.nan, 1.5, np.nan]])
    np.save(tmp_path / "d.npy", np.array([[0.0, 1.5]]))
    np.testing.assert_allclose(read_depth(tmp_path / "d.npy", 1.0), [[np.nan, 1.5]])
    cv2.imwrite(str(tmp_path / "c.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ImageError, match="one channel"):
        read_depth(tmp_path / "c.png", 0.001)


def test_distorted_pictures_are_straightened(frames, tmp_path):
    """Distort known straight pictures; the reader must bring them back."""
    write_nerfstudio(tmp_path, frames[:1])
    K, d = frames[0].K, np.array([0.5, 0.2, 0.01, -0.02])
    v, u = np.indices(frames[0].depth_m.shape).astype(np.float32)
    straight = cv2.undistortPoints(np.stack([u.ravel(), v.ravel()], 1)[:, None], K, d, P=K)
    maps = straight.reshape(*u.shape, 2)
    bent = cv2.remap(frames[0].rgb, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR)
    cv2.imwrite(str(tmp_path / "images/0000.png"), bent[..., ::-1])
    meta = json.loads((tmp_path / "transforms.json").read_text())
    meta |= dict(zip(("k1", "k2", "p1", "p2"), d.tolist(), strict=True))
    (tmp_path / "transforms.json").write_text(json.dumps(meta))
    got = next(iter(open_folder(tmp_path))).rgb[10:-10, 10:-10].astype(float)
    want = frames[0].rgb[10:-10, 10:-10].astype(float)
    assert np.abs(got - want).mean() < 0.5 * np.abs(bent[10:-10, 10:-10] - want).mean()


def test_fisheye_is_refused_and_culled_images_are_counted(frames, tmp_path):
    write_nerfstudio(tmp_path, frames[:3])
    (tmp_path / "images/0001.png").unlink()
    folder = open_folder(tmp_path)
    assert len(folder) == 2 and folder.skipped == ["images/0001.png: no file 0001.png."]
    meta = json.loads((tmp_path / "transforms.json").read_text())
    (tmp_path / "transforms.json").write_text(json.dumps(meta | {"camera_model": "OPENCV_FISHEYE"}))
    with pytest.raises(FieldError, match="undistort"):
        open_folder(tmp_path)
    shutil.rmtree(tmp_path / "images")
