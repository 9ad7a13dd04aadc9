"""Fuzz targets that need models, fields, videos or bags."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import torch

import find_core as fc
from find_core import checkpoint as ck
from find_core.checkpoint.published import load_state
from find_core.encoders import LanguageConfig, build_language
from find_core.encoders.precompute import precompute
from find_core.encoders.token_cache import CachedText
from find_core.support.formats import Array, read_npy
from find_core.tasks.album import Album
from find_core.testing import tiny_find
from find_core.video.sources import open_source
from find_field.field import feature_field
from find_field.field.data import Channel
from find_field.field.feature_field import FeatureField
from find_field.io.datasets import open_folder
from tests.fuzz.targets import PHOTO, Target, _written
from training.data.formats.coco import instance_records
from training.data.formats.user import read_names

LIMIT = 60_000  # larger videos and bags take too long to mutate in numbers


@functools.cache
def model() -> fc.Find:
    return tiny_find(seed=0)


def _field_seeds(folder: Path) -> list[bytes]:
    rng = np.random.default_rng(0)
    n, d, k = 12, 8, 4
    basis = np.linalg.qr(rng.normal(size=(d, k)))[0].astype(np.float32)
    channel = Channel(basis, rng.normal(size=(n, k)).astype(np.float16), np.ones(n, np.float16))
    field = FeatureField(
        0.1, rng.integers(0, 9, (n, 3)).astype(np.int32), rng.random((n, 3), np.float32),
        np.zeros((n, 3), np.uint8), np.ones(n, np.float32), np.ones(n, np.int32),
        {"semantic": channel}, {"model": "m", "fingerprint": "f", "up_world": [0, 0, 1]},
    )  # fmt: skip
    return [field.save(folder / "seed.field").read_bytes()]


def _field(data: bytes, folder: Path) -> None:
    field = feature_field.load(_written(data, folder, "x.field"))
    assert np.isfinite(field.points_world_m).all() and field.voxel_size_m > 0
    repr(field)
    field.embeddings_at(np.zeros((2, 3)))
    field.merge(field)
    assert field.up_world is None or np.isfinite(field.up_world).all()


def _album_seeds(folder: Path) -> list[bytes]:
    album = Album(model())
    album.add([("a.png", PHOTO), ("b.png", PHOTO[::-1])])
    return [album.save(folder / "seed.album").read_bytes()]


def _album(data: bytes, folder: Path) -> None:
    Album.load(_written(data, folder, "x.album"), model()).search("<mug>")


def _config_seeds(folder: Path) -> list[bytes]:
    ck.save(folder / "model", model().model)
    return [(folder / "model/config.json").read_bytes()]


def _config(data: bytes, folder: Path) -> None:
    _written(data, folder / "model", "config.json")
    ck.build(ck.read(folder / "model"))


def _weights_seeds(folder: Path) -> list[bytes]:
    ck.save(folder / "model", model().model)
    return [(folder / "model/model.safetensors").read_bytes()]


def _weights(data: bytes, folder: Path) -> None:
    _written(data, folder / "model", "model.safetensors")
    ck.build(ck.read(folder / "model"))


def _language_seeds(folder: Path) -> list[bytes]:
    config = LanguageConfig("tiny_text")
    path = folder / "seed.cache"
    path.unlink(missing_ok=True)
    precompute(build_language(config), config, ["a mug", "the plate"], path)
    return [path.read_bytes()]


def _language(data: bytes, folder: Path) -> None:
    cache = CachedText(_written(data, folder, "x.cache"), expected=LanguageConfig("tiny_text"))
    assert all(torch.isfinite(t.states).all() for t in cache.encode(cache.texts))


def _npy_seeds(folder: Path) -> list[bytes]:
    np.save(folder / "seed.npy", np.ones((2, 3, 4), np.float16))
    return [(folder / "seed.npy").read_bytes()]


def _npy(data: bytes, folder: Path) -> None:
    array = read_npy(_written(data, folder, "x.npy"), Array("Q h w", "float16"))
    assert array is None or np.isfinite(array).all()


def _posed_seeds(folder: Path) -> list[bytes]:
    cv2.imwrite(str(folder / "1.png"), PHOTO)
    cv2.imwrite(str(folder / "d.png"), np.full(PHOTO.shape[:2], 2000, np.uint16))
    pose = np.diag([1.0, -1, -1, 1]).tolist()
    entry = {"file_path": "1.png", "depth_file_path": "d.png", "transform_matrix": pose}
    whole = {"fl_x": 10, "fl_y": 10, "cx": 8, "cy": 6, "w": 16, "h": 12, "frames": [entry]}
    other = {
        "camera_angle_x": 1.1,
        "k1": 0.1,
        "depth_unit_scale_factor": 0.001,
        "frames": [entry, entry],
    }
    return [json.dumps(whole).encode(), json.dumps(other).encode()]


def _posed(data: bytes, folder: Path) -> None:
    _written(data, folder, "transforms.json")
    for frame in open_folder(folder):
        assert np.isfinite(frame.K).all() and np.isfinite(frame.T_world_camera).all()


def _coco_seeds(folder: Path) -> list[bytes]:
    (folder / "val").mkdir(exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "val/1.png"), np.zeros((40, 40, 3), np.uint8))
    image = {"id": 1, "file_name": "1.png", "width": 40, "height": 40}
    base = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 400}
    shapes = [[[1, 1, 30, 1, 30, 30]], {"size": [40, 40], "counts": [100, 300, 1200]}]
    return [
        json.dumps({"images": [image], "categories": [{"id": 1, "name": "a"}],
                    "annotations": [base | {"segmentation": s}]}).encode()
        for s in shapes
    ]  # fmt: skip


def _coco(data: bytes, folder: Path) -> None:
    _written(data, folder, "annotations/instances_val.json")
    for record in instance_records(folder, "val"):
        image, numbers = record.read()
        assert image.shape[:2] == numbers.shape


def _names(data: bytes, folder: Path) -> None:
    read_names(_written(data, folder, "names.json"))


def _pt_seeds(folder: Path) -> list[bytes]:
    torch.save({"a.weight": torch.ones(3, 4), "b": torch.zeros(2)}, folder / "seed.pt")
    return [(folder / "seed.pt").read_bytes()]


def _pt(data: bytes, folder: Path) -> None:
    load_state(_written(data, folder, "x.pt"))


def _video_seeds(folder: Path) -> list[bytes]:
    out = []
    for name, codec in (("a.mp4", "mpeg4"), ("a.mkv", "ffv1"), ("a.avi", "mjpeg")):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height = 32, 24
            stream.pix_fmt = {"mjpeg": "yuvj420p"}.get(codec, "yuv420p")
            for n in range(4):
                pixels = np.full((24, 32, 3), 40 * n, np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        out.append((folder / name).read_bytes()[:LIMIT])
    return out


def _video(data: bytes, folder: Path) -> None:
    last_s = 0.0
    for n, frame in enumerate(open_source(_written(data, folder, "x.mp4")).frames()):
        assert frame.time_s >= last_s and frame.image.dtype == np.uint8
        last_s = frame.time_s
        if n > 20:
            return


def _bag_seeds(folder: Path) -> list[bytes]:
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store, kind = get_typestore(Stores.ROS2_HUMBLE), "sensor_msgs/msg/Image"
    shutil.rmtree(folder / "bag", ignore_errors=True)
    with Writer(folder / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/image", kind, typestore=store)
        for n in range(3):
            stamp = store.types["builtin_interfaces/msg/Time"](sec=10, nanosec=n * 10**8)
            header = store.types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera")
            image = store.types[kind](
                header=header, height=4, width=5, encoding="rgb8", is_bigendian=0, step=15,
                data=np.arange(60, dtype=np.uint8),
            )  # fmt: skip
            writer.write(connection, 10**10 + n * 10**8, store.serialize_cdr(image, kind))
    return [(folder / "bag/bag.mcap").read_bytes()]


def _bag(data: bytes, folder: Path) -> None:
    _written(data, folder / "bag", "bag.mcap")
    for n, frame in enumerate(open_source(folder / "bag").frames()):
        assert frame.image.shape[2] == 3
        if n > 20:
            return


FORMATS = {
    "field": Target("file", _field_seeds, _field),
    "album": Target("file", _album_seeds, _album),
    "config": Target("file", _config_seeds, _config),
    "weights": Target("file", _weights_seeds, _weights),
    "language_cache": Target("file", _language_seeds, _language),
    "feature_cache": Target("file", _npy_seeds, _npy),
    "posed_folder": Target("file", _posed_seeds, _posed),
    "coco": Target("file", _coco_seeds, _coco),
    "names": Target("file", lambda _: [b'{"1": "my mug", "2": ["a", "b"]}'], _names),
    "pt": Target("file", _pt_seeds, _pt),
    "video": Target("file", _video_seeds, _video),
    "bag": Target("file", _bag_seeds, _bag),
}
