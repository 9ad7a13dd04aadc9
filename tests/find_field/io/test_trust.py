"""Posed folders as people have them: what belongs together is compared, a bad frame costs itself."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from find_core.errors import FieldError, FindError, ImageError
from find_field.cli import main
from find_field.geometry.pinhole import backproject, check_intrinsics
from find_field.io.datasets import open_folder
from find_field.io.frame_files import read_depth

H, W, FOCAL = 96, 128, 100.0
DOT_XY = (100, 24)
EXPECTED = (0.73, -0.47, 2.0)
"""Of the red square, metres: its centre, 2 m before a camera at the origin."""


def wall(height=H, width=W, dot=DOT_XY):
    rgb = np.full((height, width, 3), 120, np.uint8)
    x, y = dot
    rgb[y - 4 : y + 5, x - 4 : x + 5] = (230, 20, 20)
    return rgb


def scene(root, frames=None, depth=None, orientation=None, image="images/1.png", **meta):
    """A nerfstudio folder of one image; `meta` are the keys of transforms.json."""
    path = root / image
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(wall()).save(path, exif=exif.tobytes(), quality=95, subsampling=0)
    depth = np.full((H, W), 2000, np.uint16) if depth is None else depth
    if depth.dtype.kind == "f":
        np.save(root / "d.npy", depth)
    else:
        cv2.imwrite(str(root / "d.png"), depth)
    name = "d.npy" if depth.dtype.kind == "f" else "d.png"
    pose = np.diag([1.0, -1, -1, 1]).tolist()
    entry = {"file_path": image, "depth_file_path": name, "transform_matrix": pose}
    text = json.dumps({**meta, "frames": [entry] if frames is None else frames(entry)})
    (root / "transforms.json").write_text("\ufeff" + text, encoding="utf-8")
    return root


PINHOLE = {"fl_x": FOCAL, "fl_y": FOCAL, "cx": W / 2, "cy": H / 2, "w": W, "h": H}


def place_of_the_square(root):
    (frame,) = open_folder(root)
    red = (frame.rgb[..., 0] > 170) & (frame.rgb[..., 1] < 80) & np.isfinite(frame.depth_m)
    v, u = np.nonzero(red)
    return backproject(frame.depth_m[v, u], frame.K, u.astype(float), v.astype(float)).mean(axis=0)


@pytest.mark.parametrize(
    "meta",
    [
        PINHOLE,
        {"camera_angle_x": 2 * np.arctan(W / 2 / FOCAL)},
        {"fl_x": FOCAL, "cx": W / 2, "cy": H / 2},
        {"fl_x": 2 * FOCAL, "fl_y": 2 * FOCAL, "cx": W, "cy": H, "w": 2 * W, "h": 2 * H},
    ],
    ids=["pinhole", "angle", "no size", "of twice the size"],
)
def test_intrinsics_as_people_have_them(tmp_path, meta):
    np.testing.assert_allclose(place_of_the_square(scene(tmp_path, **meta)), EXPECTED, atol=0.02)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_posed_images_are_taken_as_stored(tmp_path, orientation):
    folder = scene(tmp_path, orientation=orientation, image="images/1.jpg", **PINHOLE)
    np.testing.assert_allclose(place_of_the_square(folder), EXPECTED, atol=0.02)


@pytest.mark.parametrize("name", ["images\\1.png", ".\\images\\1.png", "./images/1", "images/1"])
def test_names_as_tools_write_them(tmp_path, name):
    folder = scene(tmp_path, lambda entry: [entry | {"file_path": name}], **PINHOLE)
    np.testing.assert_allclose(place_of_the_square(folder), EXPECTED, atol=0.02)


def test_exception_of_intrinsics_of_another_shape(tmp_path):
    folder = scene(tmp_path, **PINHOLE | {"w": 200, "h": 200, "cx": 100, "cy": 100})
    with pytest.raises(FieldError, match="is 128x96 but its intrinsics are of 200x200"):
        list(open_folder(folder))


def sequence(root, entry, K):
    """A folder with a meta.json of one frame."""
    for folder, image in (("rgb", wall()[..., ::-1]), ("depth", np.full((H, W), 2000, np.uint16))):
        (root / folder).mkdir()
        cv2.imwrite(str(root / folder / "a.png"), image)
    meta = {"K": K, "frames": [entry | {"T_world_camera": np.eye(4).tolist()}]}
    (root / "meta.json").write_text(json.dumps(meta))
    return root


SEQUENCE_K = [[FOCAL, 0, W / 2 - 0.5], [0, FOCAL, H / 2 - 0.5], [0, 0, 1]]


@pytest.mark.parametrize("entry", [{"rgb": "rgb\\a.png", "depth": "depth\\a.png"}, {"file": "a"}])
def test_sequences_with_names_of_windows(tmp_path, entry):
    root = sequence(tmp_path, entry, SEQUENCE_K)
    np.testing.assert_allclose(place_of_the_square(root), EXPECTED, atol=0.02)


def test_depth_that_is_named_must_be_there(tmp_path):
    root = sequence(tmp_path, {"file": "a", "depth": "depth/b.png"}, SEQUENCE_K)
    with pytest.raises(FieldError, match=r"no file b\.png"):
        open_folder(root)


@pytest.mark.parametrize("centre", [(W - 0.5, H - 0.5), (0.95 * W, 0.97 * H), (W / 2, H)])
def test_exception_of_intrinsics_of_twice_the_size(tmp_path, centre):
    K = [[2 * FOCAL, 0, centre[0]], [0, 2 * FOCAL, centre[1]], [0, 0, 1]]
    with pytest.raises(FieldError, match="another size"):
        list(open_folder(sequence(tmp_path, {"file": "a"}, K)))


@pytest.mark.parametrize("unit", [1.0, None])
def test_floats_are_metres_only_if_said(tmp_path, unit):
    meta = PINHOLE | ({} if unit is None else {"depth_unit_scale_factor": unit})
    folder = scene(tmp_path, depth=np.full((H, W), 2.0, np.float32), **meta)
    if unit:
        np.testing.assert_allclose(place_of_the_square(folder), EXPECTED, atol=0.02)
    else:
        with pytest.raises(ImageError, match="say depth_unit_scale_factor"):
            list(open_folder(folder))


@pytest.mark.parametrize(
    ("depth", "says"),
    [
        (np.full((H, W), 200, np.uint8), "no depth image"),
        (np.full((H, W, 3), 2000, np.uint16), "no depth image"),
        (np.full((H // 4, W // 4), 2000, np.uint16), "(24, 32)"),
    ],
)
def test_exception_of_depth_that_is_none(tmp_path, depth, says):
    with pytest.raises(ImageError) as caught:
        list(open_folder(scene(tmp_path, depth=depth, **PINHOLE)))
    assert says in str(caught.value)


BAD_ENTRIES = {
    "not there": {"file_path": "images/9.png"},
    "depth not there": {"depth_file_path": "nowhere.png"},
    "no pose": {"transform_matrix": None},
    "pose of words": {"transform_matrix": [["a"] * 4] * 4},
    "pose NaN": {"transform_matrix": [[float("nan")] * 4] * 4},
    "pose sheared": {"transform_matrix": [[2, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]},
    "focal length as text": {"fl_x": "100"},
    "focal length true": {"fl_x": True},
    "width 0": {"w": 0},
    "distortion null": {"k1": None},
    "damaged image": {"file_path": "images/bad.png"},
    "damaged depth": {"depth_file_path": "images/bad.png"},
    "normalised focal length": {"fl_x": 1.2, "fl_y": 1.2},
    "principal point outside": {"cx": 500},
}


@pytest.mark.parametrize("what", BAD_ENTRIES)
def test_a_bad_frame_costs_itself(tmp_path, what):
    folder = scene(tmp_path, lambda e: [e, e | BAD_ENTRIES[what]], **PINHOLE)
    (folder / "images/bad.png").write_bytes((folder / "images/1.png").read_bytes()[:-30])
    opened = open_folder(folder)
    assert len(list(opened)) == 1
    assert len(opened.skipped) == 1 and opened.skipped[0].isprintable()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", "{", "[" * 90_000, '{"frames": 3}', '{"frames": [3]}', '{"frames": [{}]}',
     '{"frames": [{"file_path": 3}]}', '{"camera_model": ["x"], "frames": []}', '{"frames": []}'],
)  # fmt: skip
@pytest.mark.parametrize("name", ["transforms.json", "meta.json", "scenes.jsonl"])
def test_exception_of_damaged_folders(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(FindError) as caught:
        list(open_folder(tmp_path))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "K",
    [
        np.diag([1.2, 1.2, 1]), np.diag([1e-40, 100, 1]), np.diag([np.inf, 100, 1]), "K", None,
        np.diag([100, 100, 0]), [[100, 0, 64], [5, 100, 48], [0, 0, 1]], np.diag([1e300, 100, 1]),
        [[100, 0, -300], [0, 100, 48], [0, 0, 1]], [[100, 0, 64], [0, 100, 97], [0, 0, 1]],
    ],
)  # fmt: skip
def test_exception_of_impossible_intrinsics(K):
    with pytest.raises(FieldError):
        check_intrinsics(K, "f", (H, W))


BAD_OPTIONS = [
    ["--voxel", "0"], ["--voxel", "-1"], ["--voxel", "nan"], ["--voxel", "1e300"], ["--rank", "0"],
    ["--rank", "-5"], ["--rank", "²"], ["--up", "nan", "0", "0"], ["--up", "0", "0", "0"],
    ["--limit", "-1"], ["--limit", "0"], ["--every", "0"], ["--max-depth", "-1"], ["--max-depth", "nan"],
    ["--input-px", "100000000"], ["--input-px", "0"], ["--model", "~nouser/x"], ["--model", "a\0b"],
]  # fmt: skip


@pytest.mark.parametrize("options", BAD_OPTIONS, ids=" ".join)
def test_options_have_ranges(tmp_path, options, capsys):
    (tmp_path / "old.field").write_bytes(b"old")
    arguments = ["lift", str(scene(tmp_path, **PINHOLE)), "--out", str(tmp_path / "old.field")]
    assert main([*arguments, *options]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("find-field") and "Traceback" not in said[0]
    assert (tmp_path / "old.field").read_bytes() == b"old"


@pytest.mark.parametrize("options", [["--threshold", "nan"], ["--threshold", "2"], ["--threshold", "-1"],
                                     ["--max-hits", "-3"], ["--prompt-json", "none.json"]])  # fmt: skip
def test_options_of_queries_have_ranges(options, capsys):
    assert main(["query", "room.field", "the <mug>", *options]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_lift_leaves_out_what_it_cannot_read(tmp_path, capsys):
    """Named and counted; the rest is lifted."""
    folder = scene(tmp_path / "f", lambda e: [e, e | {"file_path": "images/2.png"}], **PINHOLE)
    shutil.copy(folder / "images/1.png", folder / "images/2.png")
    (folder / "images/2.png").write_bytes((folder / "images/2.png").read_bytes()[:-30])
    out = tmp_path / "room.field"
    assert main(["lift", str(folder), "--out", str(out), "--voxel", "0.1", "--json"]) == 0
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert (summary["frames"], summary["skipped"]) == (1, 1) and "left out" in said.err
    assert main(["info", str(out)]) == 0


LENSES = {
    "fisheye": {"camera_model": "OPENCV_FISHEYE"},
    "is_fisheye": {"is_fisheye": True},
    "k4": {"k4": 0.01},
    "no lens": {"k1": 1e9},
    "text": {"k1": "0.1"},
}


@pytest.mark.parametrize("where", ["file", "frame"])
@pytest.mark.parametrize("lens", LENSES)
def test_exception_of_lenses_that_are_not_read(tmp_path, lens, where):
    """Of the whole file, and of a frame that has intrinsics of its own."""
    if where == "file":
        root = scene(tmp_path, **PINHOLE, **LENSES[lens])
    else:
        root = scene(tmp_path, lambda entry: [entry | LENSES[lens]], **PINHOLE)
    with pytest.raises(FieldError, match=r"undistort first|of no lens|not a number"):
        open_folder(root)


def test_each_frame_may_have_its_own_intrinsics(tmp_path):
    root = scene(tmp_path, lambda e: [e | {"fl_x": 80.0}, e | {"fl_x": 90.0, "k4": 0.0}], **PINHOLE)
    assert [frame.K[0, 0] for frame in open_folder(root)] == [80, 90]


def test_exception_of_a_pose_beyond_any_place(tmp_path):
    far = np.diag([1.0, -1, -1, 1])
    far[0, 3] = 1e300
    with pytest.raises(FieldError, match="give metres"):
        open_folder(scene(tmp_path, lambda e: [e | {"transform_matrix": far.tolist()}], **PINHOLE))


NO_MATRIX = ["", "hello", "1 2\n3 4\n", "nan 0 1\n0 nan 1\n0 0 1\n", "<html>", "1 2 3\n4 5\n", "\0",
             "1 0 0\n0 1 0\n0 0 1\n"]  # fmt: skip


@pytest.mark.parametrize("text", NO_MATRIX)
def test_exception_of_7_scenes_intrinsics(tmp_path, text):
    Image.fromarray(wall()).save(tmp_path / "frame-000000.color.png")
    cv2.imwrite(str(tmp_path / "frame-000000.depth.png"), np.full((H, W), 2000, np.uint16))
    np.savetxt(tmp_path / "frame-000000.pose.txt", np.eye(4))
    (tmp_path / "camera-intrinsics.txt").write_text(text)
    with pytest.raises(FieldError, match=r"camera-intrinsics\.txt"):
        list(open_folder(tmp_path))
    (tmp_path / "camera-intrinsics.txt").write_text("100 0 64\n0 100 48\n0 0 1\n")
    assert len(list(open_folder(tmp_path))) == 1
    (tmp_path / "frame-000000.pose.txt").write_text(text)
    with pytest.raises(FieldError, match=r"pose\.txt|000000"):
        list(open_folder(tmp_path))


@pytest.mark.parametrize("kind", ["<u2", ">u2", "<f4", ">f8"])
def test_depth_of_any_byte_order(tmp_path, kind):
    metres = kind[1] == "f"
    depth = np.full((4, 6), 2.0 if metres else 2000, kind)
    depth[0] = 0
    depth[1] = np.nan if metres else 65535
    np.save(tmp_path / "d.npy", depth)
    found = read_depth(tmp_path / "d.npy", 1.0 if metres else 0.001)
    assert np.isnan(found[:2]).all() and (found[2:] == 2).all() and found.dtype.isnative
