"""Messages to arrays and back; what the pixels mean is tested with `find_core`'s table."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sensor_msgs", reason="ROS messages are not installed (pip install .[ros])")

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from find_core.video.sources.image_encodings import ImageMessageError
from find_ros.messages.images import (
    array_to_image,
    compressed_to_rgb,
    depth_to_m,
    image_to_rgb,
    ns_to_stamp,
    rgb_to_compressed,
    stamp_to_ns,
)

sizes = st.tuples(st.integers(1, 6), st.integers(1, 7))


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


def test_depth_of_either_byte_order():
    depth_mm = np.array([[1000, 2], [0, 65535]], np.uint16)
    for order, big in (("<", 0), (">", 1)):
        msg = Image(height=2, width=2, step=4, encoding="16UC1", is_bigendian=big)
        msg.data = depth_mm.astype(f"{order}u2").tobytes()
        np.testing.assert_allclose(depth_to_m(msg), depth_mm / 1000, rtol=1e-6)


@pytest.mark.parametrize(("extension", "tolerance"), [(".png", 0), (".jpg", 25)])
def test_compressed_images(extension, tolerance):
    rgb = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8), (9, 9), 5
    )
    raw = cv2.imencode(extension, rgb[..., ::-1])[1].tobytes()
    msg = CompressedImage(format=f"bgr8; {extension[1:]} compressed bgr8", data=raw)
    assert np.abs(compressed_to_rgb(msg).astype(int) - rgb).max() <= tolerance
    ours = rgb_to_compressed(rgb, Header(), 95)
    assert np.abs(compressed_to_rgb(ours).astype(int) - rgb).max() <= 25


def test_exception_says_under_which_cause_it_counts():
    wrong = Image(height=1, width=1, step=2**32 - 1, encoding="rgb8", data=b"123")
    assert image_to_rgb(wrong).tolist() == [[[49, 50, 51]]], "padding of the last row is not needed"
    for decode, msg, cause in (
        (image_to_rgb, Image(height=2, width=1, step=2**32 - 1, encoding="rgb8"), "malformed"),
        (image_to_rgb, Image(height=1, width=1, step=3, encoding="32FC3"), "unsupported"),
        (depth_to_m, Image(height=1, width=1, step=3, encoding="rgb8"), "unsupported"),
        (compressed_to_rgb, CompressedImage(format="16UC1; compressedDepth png"), "unsupported"),
        (compressed_to_rgb, CompressedImage(format="jpeg", data=b"\xff\xd8"), "malformed"),
    ):
        with pytest.raises(ImageMessageError) as caught:
            decode(msg)
        assert caught.value.cause == cause
