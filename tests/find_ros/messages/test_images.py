"""Every encoding against a slow reading of its definition, pixel by pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sensor_msgs", reason="ROS messages are not installed (pip install .[ros])")

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from find_ros.messages.images import (
    MessageError,
    array_to_image,
    compressed_to_rgb,
    depth_to_m,
    image_to_rgb,
    ns_to_stamp,
    rgb_to_compressed,
    stamp_to_ns,
)

ORDER = {
    "rgb8": (0, 1, 2), "rgba8": (0, 1, 2), "bgr8": (2, 1, 0), "bgra8": (2, 1, 0), "8UC3": (2, 1, 0),
    "mono8": (0, 0, 0), "8UC1": (0, 0, 0),
}  # fmt: skip
CHANNELS = {"rgb8": 3, "rgba8": 4, "bgr8": 3, "bgra8": 4, "8UC3": 3, "mono8": 1, "8UC1": 1}
sizes = st.tuples(st.integers(1, 6), st.integers(1, 7))


def padded(pixels: np.ndarray, padding: int, encoding: str, last_row_short: bool = False) -> Image:
    """A message with rubbish at the end of each row, as drivers with aligned rows send."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(height, -1).view(np.uint8)
    wide = np.full((height, rows.shape[1] + padding), 171, np.uint8)
    wide[:, : rows.shape[1]] = rows
    msg = Image(height=height, width=width, encoding=encoding, step=wide.shape[1])
    data = wide.tobytes()
    msg.data = data[: len(data) - padding] if last_row_short else data
    return msg


@given(
    size=sizes, encoding=st.sampled_from(sorted(ORDER)), padding=st.integers(0, 5),
    short=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_packed_encodings_equal_their_definition(size, encoding, padding, short, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, CHANNELS[encoding]), np.uint8)
    out = image_to_rgb(padded(pixels, padding, encoding, short))
    assert out.shape == (*size, 3) and out.dtype == np.uint8 and out.flags.c_contiguous
    for row in range(size[0]):
        for col in range(size[1]):
            assert out[row, col].tolist() == [pixels[row, col, c] for c in ORDER[encoding]]


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_colours_stand_where_the_name_says(pattern):
    """A flat colour survives the mosaic exactly; a swapped pattern would swap red and blue."""
    colour = {"r": 200, "g": 90, "b": 30}
    mosaic = np.array(
        [[colour[c] for c in pattern[:2]], [colour[c] for c in pattern[2:]]], np.uint8
    )
    out = image_to_rgb(padded(np.tile(mosaic, (4, 5)), 3, f"bayer_{pattern}8"))
    assert out.shape == (8, 10, 3)
    assert (out[2:-2, 2:-2] == (200, 90, 30)).all()


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("yuv422", "UYVY"), ("uyvy", "UYVY"), ("yuv422_yuy2", "YUYV"), ("yuyv", "YUYV")],
)
def test_yuv422_follows_bt601(encoding, order):
    rng = np.random.default_rng(1)
    y, u, v = (
        rng.integers(60, 200, (3, 6)),
        rng.integers(90, 160, (3, 3)),
        rng.integers(90, 160, (3, 3)),
    )
    raw = np.zeros((3, 6, 2), np.uint8)
    luma, chroma = order.index("Y"), 1 - order.index("Y")
    raw[..., luma] = y
    raw[:, 0::2, chroma], raw[:, 1::2, chroma] = u, v
    out = image_to_rgb(padded(raw, 2, encoding)).astype(float)
    for row in range(3):
        for col in range(6):
            luminance = 1.164 * (y[row, col] - 16)
            cb, cr = u[row, col // 2] - 128.0, v[row, col // 2] - 128.0
            want = (
                luminance + 1.596 * cr,
                luminance - 0.392 * cb - 0.813 * cr,
                luminance + 2.017 * cb,
            )
            assert np.abs(out[row, col] - np.clip(want, 0, 255)).max() <= 2


@given(
    size=sizes, big=st.booleans(), padding=st.integers(0, 3), seed=st.integers(0, 99),
    encoding=st.sampled_from(["16UC1", "mono16"]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_depth_in_millimetres(size, big, padding, seed, encoding):
    depth_mm = np.random.default_rng(seed).integers(0, 2**16, size).astype(np.uint16)
    msg = padded(depth_mm.astype(">u2" if big else "<u2"), padding, encoding)
    msg.is_bigendian = int(big)
    out = depth_to_m(msg)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, depth_mm / 1000, rtol=1e-6)


def test_depth_in_metres_marks_the_invalid_as_zero():
    depth = np.array([[1.5, np.nan, np.inf], [-np.inf, -1.0, 0.0]], np.float32)
    assert depth_to_m(padded(depth, 4, "32FC1")).tolist() == [[1.5, 0, 0], [0, 0, 0]]


def broken(**changes) -> Image:
    msg = padded(np.zeros((4, 6, 3), np.uint8), 0, "rgb8")
    for name, value in changes.items():
        setattr(msg, name, value)
    return msg


@pytest.mark.parametrize(
    ("msg", "cause", "sentence"),
    [
        (broken(step=5), "malformed", "Step 5 is too small"),
        (broken(data=b"123"), "malformed", "has 3 bytes"),
        (broken(height=0), "malformed", "6x0"),
        (broken(width=0), "malformed", "0x4"),
        (broken(height=2**31), "malformed", "2147483648"),
        (broken(encoding="32FC3"), "unsupported", "rgb8, bgr8"),
        (broken(encoding=""), "unsupported", "not supported"),
        (broken(encoding="uyvy", width=5), "malformed", "even width"),
        (padded(np.zeros((1, 1), np.uint8), 0, "bayer_rggb8"), "malformed", "2x2"),
    ],
)
def test_exception_says_what_is_wrong(msg, cause, sentence):
    with pytest.raises(MessageError, match=sentence) as caught:
        image_to_rgb(msg)
    assert caught.value.cause == cause


@given(data=st.binary(max_size=60), height=st.integers(0, 9), width=st.integers(0, 9),
       step=st.integers(0, 40), encoding=st.sampled_from([*sorted(ORDER), "uyvy", "bayer_grbg8"]))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_whatever_comes_in_it_is_a_picture_or_a_message_error(data, height, width, step, encoding):
    msg = Image(height=height, width=width, step=step, encoding=encoding)
    msg.data = data
    for decode in (image_to_rgb, lambda m: depth_to_m(m) if m.encoding else None):
        try:
            decode(msg)
        except MessageError as error:
            assert error.cause in ("malformed", "unsupported")


@pytest.mark.parametrize(("extension", "tolerance"), [(".png", 0), (".jpg", 25)])
def test_compressed_pictures(extension, tolerance):
    rgb = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8), (9, 9), 5
    )
    raw = cv2.imencode(extension, rgb[..., ::-1])[1].tobytes()
    msg = CompressedImage(format=f"bgr8; {extension[1:]} compressed bgr8", data=raw)
    assert np.abs(compressed_to_rgb(msg).astype(int) - rgb).max() <= tolerance


@pytest.mark.parametrize("cut", [0, 2, 30, -40])
def test_exception_of_a_cut_compressed_picture(cut):
    jpeg = rgb_to_compressed(
        np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), Header()
    )
    jpeg.data = bytes(jpeg.data)[:cut]
    with pytest.raises(MessageError, match=r"cut short|cannot be decoded"):
        compressed_to_rgb(jpeg)


def test_exception_of_compressed_depth():
    with pytest.raises(MessageError, match="compressedDepth"):
        compressed_to_rgb(CompressedImage(format="16UC1; compressedDepth png"))


@given(size=sizes, seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_there_and_back(size, seed):
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (*size, 3), np.uint8)
    depth_m = rng.uniform(0.1, 9, size).astype(np.float32)
    header = Header(frame_id="camera")
    picture = array_to_image(rgb, "rgb8", header)
    assert (image_to_rgb(picture) == rgb).all() and picture.step == 3 * size[1]
    # Slices and flips are not contiguous; the message must not notice.
    assert (image_to_rgb(array_to_image(rgb[..., ::-1], "bgr8", header)) == rgb).all()
    assert (depth_to_m(array_to_image(depth_m, "32FC1", header)) == depth_m).all()


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_keep_every_nanosecond(stamp_ns):
    assert stamp_to_ns(ns_to_stamp(stamp_ns)) == stamp_ns
