"""Sources: times, rotation, seeking, folders, cameras that stall, bags."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from find_core.video.sources import CameraSource, SourceError, open_source, thin
from tests.find_core.video.fakes import paint, write_video

av = pytest.importorskip("av")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    frames = [paint([("red", 4 * n, 10, 20, 20)]) for n in range(20)]
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", frames, fps=10)


def red_x(image):
    return np.flatnonzero((image[..., 0] > 180) & (image[..., 1] < 80))[0] % image.shape[1]


def test_video_times_and_pixels(clip):
    frames = list(open_source(clip).frames())
    assert [f.index for f in frames] == list(range(20))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(20) / 10, atol=1e-3)
    assert abs(red_x(frames[5].image) - 20) <= 1
    assert frames[3].stamp_ns == round(frames[3].time_s * 1e9)


def test_video_seek_equals_a_filtered_whole_read(clip):
    source = open_source(clip)
    whole = [f for f in source.frames() if 0.75 <= f.time_s < 1.45]
    part = list(source.frames(0.75, 1.45, first_index=8))
    assert [f.index for f in part] == [f.index for f in whole]
    for a, b in zip(part, whole, strict=True):
        assert np.array_equal(a.image, b.image)


def test_video_variable_frame_rate(tmp_path):
    pts = [0, 40, 500, 540, 2000, 2010]
    path = write_video(tmp_path / "v.mp4", [paint([])] * 6, pts=pts)
    times = [f.time_s for f in open_source(path).frames()]
    np.testing.assert_allclose(times, np.array(pts) / 1000, atol=2e-3)


def with_matrix(path, matrix):
    """The display matrix (a, b, c, d) of an .mp4's only track, written into its header."""
    data = bytearray(path.read_bytes())
    a, b, c, d = (round(v * 65536) for v in matrix)
    place = data.index(b"tkhd") + 44  # of a header of version 0
    struct.pack_into(">9i", data, place, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


SHOWN = {
    "mirrored": ((-1, 0, 0, 1), lambda i: i[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda i: i[::-1]),
    "a quarter": ((0, 1, -1, 0), lambda i: np.rot90(i, -1)),
    "transposed": ((0, 1, 1, 0), lambda i: i.swapaxes(0, 1)),
    "leaning": ((0.7071, 0.7071, -0.7071, 0.7071), lambda i: i),
    "nothing": ((0, 0, 0, 0), lambda i: i),
    "huge": ((3000, 0, 0, 3000), lambda i: i),
    "flat": ((1, 0, 1, 0), lambda i: i),
}


@pytest.mark.parametrize("how", SHOWN)
def test_display_matrices_of_any_kind(tmp_path, how):
    """As players show them; one that is no turn nor mirror leaves the image as it is."""
    matrix, shown = SHOWN[how]
    path = write_video(tmp_path / "v.mp4", [paint([("red", 2, 3, 20, 15)])] * 2)
    (stored, _) = (f.image for f in open_source(path).frames())
    for frame in open_source(with_matrix(path, matrix)).frames():
        assert np.array_equal(frame.image, shown(stored))


@pytest.mark.parametrize("degrees, turns", [(90, 1), (-90, 3), (180, 2)])
def test_video_rotation_metadata(tmp_path, degrees, turns):
    image = paint([("red", 0, 0, 48, 36)])  # top left quarter
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"crf": "8"})
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv444p"
        stream.set_display_rotation(degrees)  # counter-clockwise, as VideoFrame.rotation
        for packet in stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")):
            out.mux(packet)
        out.mux(stream.encode())
    upright = next(open_source(path).frames()).image
    expected = np.rot90(image, turns)
    assert upright.shape == expected.shape
    assert np.abs(upright.astype(int) - expected).mean() < 12


def test_sample_matches_slow_twin(clip):
    source = open_source(clip)
    sampled = [f.time_s for f in source.sample(0.5)]
    np.testing.assert_allclose(sampled, [f.time_s for f in thin(source.frames(), 0.5)])
    np.testing.assert_allclose(sampled, [0, 0.5, 1.0, 1.5], atol=1e-3)


def test_sample_takes_key_frames_where_they_are_dense(tmp_path):
    frames = [paint([("red", 2 * n, 10, 20, 20)]) for n in range(40)]
    path = write_video(tmp_path / "k.mp4", frames, options={"crf": "8", "g": "5"})
    frames = list(open_source(path).sample(0.5))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(0, 4, 0.5), atol=1e-3)
    assert [f.index for f in frames] == list(range(8)), "nothing but key frames was decoded"


def test_thin_keeps_the_rate():
    from find_core.video.sources.base import SourceFrame

    frames = [SourceFrame(n, n / 30, 0, np.zeros((1, 1, 3), np.uint8)) for n in range(300)]
    assert len(list(thin(iter(frames), 1 / 20))) == 200
    assert len(list(thin(iter(frames), 0))) == 300


def test_damaged_packets_cost_only_their_frames(clip, tmp_path):
    raw = bytearray(clip.read_bytes())
    start = raw.find(b"mdat") + 400
    raw[start : start + 60] = b"\xff" * 60
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(raw)
    assert 1 <= len(list(open_source(broken).frames())) <= 20


def test_folder_natural_order(tmp_path):
    for n in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"img_{n}.png"), np.full((4, 5, 3), n, np.uint8))
    source = open_source(tmp_path, fps=2)
    assert [int(f.image[0, 0, 0]) for f in source.frames()] == [1, 2, 10]
    assert [f.time_s for f in source.frames()] == [0, 0.5, 1.0]
    assert [f.time_s for f in source.frames(0.5, 1.0, first_index=7)] == [0.5]
    assert next(source.frames(0.5, first_index=7)).index == 7


def test_exceptions_say_what_to_do(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(SourceError, match=r"Cannot open text\.mp4"):
        open_source(tmp_path / "text.mp4")
    with pytest.raises(SourceError, match="Nothing at"):
        open_source(tmp_path / "absent.mp4")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "metadata.yaml").write_text("rosbag2_bagfile_information: {version: 5}")
    with pytest.raises(SourceError, match="Cannot read the bag"):
        open_source(tmp_path / "bad")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no images"):
        open_source(tmp_path / "empty")


class FlakyCapture:
    """A camera that gives two frames, stalls for `bad` reads, then goes on."""

    reads, bad = 0, 3

    def __init__(self, device):
        pass

    def set(self, *_):
        pass

    def isOpened(self):
        return True

    def release(self):
        pass

    def read(self):
        FlakyCapture.reads += 1
        if 2 < FlakyCapture.reads <= 2 + FlakyCapture.bad:
            return False, None
        return True, np.full((4, 4, 3), (255, 0, 0), np.uint8)


def test_camera_survives_a_stall_and_gives_up_in_the_end(monkeypatch):
    import find_core.video.sources.camera as camera

    monkeypatch.setattr(camera.cv2, "VideoCapture", FlakyCapture)
    monkeypatch.setattr(camera.time, "sleep", lambda s: None)
    monkeypatch.setattr(FlakyCapture, "reads", 0)
    frames = CameraSource("0").frames()
    got = [next(frames) for _ in range(4)]
    assert [f.index for f in got] == [0, 1, 2, 3]
    assert (got[0].image[0, 0] == (0, 0, 255)).all(), "BGR to RGB"
    monkeypatch.setattr(FlakyCapture, "bad", 10**9)
    monkeypatch.setattr(FlakyCapture, "reads", 2)
    with pytest.raises(SourceError, match="no image"):
        next(CameraSource("0", stall_s=0.0).frames())


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8", "rgba8", "compressed"])
def test_bag(tmp_path, encoding):
    pytest.importorskip("rosbags")
    path = write_bag(tmp_path / "bag", encoding)
    frames = list(open_source(path, topic="/camera/image").frames())
    np.testing.assert_allclose([f.time_s for f in frames], [0, 0.1, 0.2], atol=1e-9)
    assert frames[0].stamp_ns == 5_000_000_000
    expected = [119, 119, 119] if encoding == "mono8" else [200, 100, 7]
    assert np.abs(frames[2].image[1, 1].astype(int) - expected).max() <= 1
    with pytest.raises(SourceError, match="no image topic /x"):
        open_source(path, topic="/x")


def write_bag(path, encoding):
    """Three 4x3 frames at 10 Hz from 5 s on, rows padded as drivers do."""
    from rosbags.rosbag2 import Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    types = store.types
    kind = "CompressedImage" if encoding == "compressed" else "Image"
    name = f"sensor_msgs/msg/{kind}"
    rgb = np.full((3, 4, 3), (200, 100, 7), np.uint8)
    with Writer(path, version=9) as writer:
        connection = writer.add_connection("/camera/image", name, typestore=store)
        for n in range(3):
            stamp = types["builtin_interfaces/msg/Time"](sec=5, nanosec=n * 100_000_000)
            header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera")
            message = image_message(types[name], header, encoding, rgb)
            writer.write(connection, 10**12 + n, store.serialize_cdr(message, name))
    return path


def image_message(make, header, encoding, rgb):
    if encoding == "compressed":
        data = cv2.imencode(".png", rgb[..., ::-1])[1].ravel()
        return make(header=header, format="png", data=data)
    pixels = {
        "rgb8": rgb,
        "bgr8": rgb[..., ::-1],
        "mono8": np.full((3, 4, 1), 119, np.uint8),
        "rgba8": np.dstack([rgb, np.full((3, 4, 1), 255, np.uint8)]),
    }[encoding]
    rows = np.pad(pixels.reshape(3, -1), ((0, 0), (0, 2)))
    return make(
        header=header,
        height=3,
        width=4,
        encoding=encoding,
        is_bigendian=0,
        step=rows.shape[1],
        data=rows.ravel(),
    )
