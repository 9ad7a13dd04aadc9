"""Image messages as plain fields: every encoding against its definition, every lie refused."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from find_core.video.sources.image_encodings import (
    DEPTH_ENCODINGS,
    RGB_ENCODINGS,
    ImageMessageError,
    decode_compressed,
    decode_depth_m,
    decode_rgb,
)

ORDER = {
    "rgb8": (0, 1, 2), "rgba8": (0, 1, 2), "bgr8": (2, 1, 0), "bgra8": (2, 1, 0), "8UC3": (2, 1, 0),
    "mono8": (0, 0, 0), "8UC1": (0, 0, 0),
}  # fmt: skip
CHANNELS = {"rgb8": 3, "rgba8": 4, "bgr8": 3, "bgra8": 4, "8UC3": 3, "mono8": 1, "8UC1": 1}
sizes = st.tuples(st.integers(1, 6), st.integers(1, 7))


def fields(pixels, padding=0, last_row_short=False):
    """height, width, step, data with rubbish at the end of each row, as aligned drivers send."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(height, -1).view(np.uint8)
    wide = np.full((height, rows.shape[1] + padding), 171, np.uint8)
    wide[:, : rows.shape[1]] = rows
    data = wide.tobytes()
    return height, width, wide.shape[1], data[: len(data) - padding] if last_row_short else data


@given(
    size=sizes, encoding=st.sampled_from(sorted(ORDER)), padding=st.integers(0, 5),
    short=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_packed_encodings_equal_their_definition(size, encoding, padding, short, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, CHANNELS[encoding]), np.uint8)
    out = decode_rgb(encoding, *fields(pixels, padding, short))
    assert out.dtype == np.uint8 and out.flags.c_contiguous
    assert np.array_equal(out, pixels[..., list(ORDER[encoding])])


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_colours_stand_where_the_name_says(pattern):
    """A flat colour survives the mosaic exactly; a swapped pattern would swap red and blue."""
    colour = {"r": 200, "g": 90, "b": 30}
    cells = [[colour[c] for c in pattern[:2]], [colour[c] for c in pattern[2:]]]
    mosaic = np.tile(np.array(cells, np.uint8), (4, 5))
    out = decode_rgb(f"bayer_{pattern}8", *fields(mosaic, 3))
    assert (out[2:-2, 2:-2] == (200, 90, 30)).all()


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("yuv422", "UYVY"), ("uyvy", "UYVY"), ("yuv422_yuy2", "YUYV"), ("yuyv", "YUYV")],
)
def test_yuv422_keeps_the_order_of_its_bytes(encoding, order):
    grey, red_chroma = 128, 200
    pair = {"Y": grey, "U": 128, "V": red_chroma}
    raw = np.array([[[pair[order[0]], pair[order[1]]], [pair[order[2]], pair[order[3]]]]], np.uint8)
    out = decode_rgb(encoding, *fields(np.tile(raw, (2, 3, 1)), 2)).astype(float)
    luminance, cr = 1.164 * (grey - 16), red_chroma - 128.0  # BT.601
    want = np.clip([luminance + 1.596 * cr, luminance - 0.813 * cr, luminance], 0, 255)
    assert np.abs(out - want).max() <= 2


@given(
    size=sizes, big=st.booleans(), padding=st.integers(0, 3), seed=st.integers(0, 99),
    encoding=st.sampled_from(["16UC1", "mono16"]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_depth_in_millimetres(size, big, padding, seed, encoding):
    depth_mm = np.random.default_rng(seed).integers(0, 2**16, size).astype(np.uint16)
    stored = fields(depth_mm.astype(">u2" if big else "<u2"), padding)
    out = decode_depth_m(encoding, *stored, is_bigendian=big)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, depth_mm / 1000, rtol=1e-6)


def test_depth_in_metres_marks_the_invalid_as_zero():
    depth = np.array([[1.5, np.nan, np.inf], [-np.inf, -1.0, 0.0]], np.float32)
    assert decode_depth_m("32FC1", *fields(depth, 4)).tolist() == [[1.5, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("given_fields", "cause", "sentence"),
    [
        (("rgb8", 4, 6, 5, bytes(72)), "malformed", "Step 5 is too small"),
        (("rgb8", 4, 6, 18, b"123"), "malformed", "has 3 bytes"),
        (("rgb8", 0, 6, 18, bytes(72)), "malformed", "6x0"),
        (("rgb8", 2**31, 6, 18, bytes(72)), "malformed", "2147483648"),
        (("32FC3", 4, 6, 72, bytes(288)), "unsupported", "rgb8, bgr8"),
        (("x" * 10**6, 4, 6, 72, bytes(288)), "unsupported", "not supported"),
        (("uyvy", 4, 5, 10, bytes(40)), "malformed", "even width"),
        (("bayer_rggb8", 1, 1, 1, b"1"), "malformed", "2x2"),
    ],
)
def test_exception_says_what_is_wrong(given_fields, cause, sentence):
    with pytest.raises(ImageMessageError, match=sentence) as caught:
        decode_rgb(*given_fields)
    assert caught.value.cause == cause and len(str(caught.value)) < 400


@pytest.mark.parametrize("decode, encoding", [(decode_rgb, "mono8"), (decode_depth_m, "16UC1")])
def test_a_step_of_gigabytes_takes_no_memory(decode, encoding):
    tracemalloc.start()
    out = decode(encoding, 1, 1, 2**32 - 1, b"\x07\x00\x00")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert out.shape[:2] == (1, 1) and peak < 1e6
    with pytest.raises(ImageMessageError, match="announced"):
        decode(encoding, 2, 1, 2**32 - 1, b"\x07\x00\x00")


@given(data=st.binary(max_size=60), height=st.integers(0, 9), width=st.integers(0, 9),
       step=st.integers(0, 40), encoding=st.sampled_from([*RGB_ENCODINGS, *DEPTH_ENCODINGS]))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_whatever_comes_in_it_is_an_image_or_one_error(data, height, width, step, encoding):
    for decode in (decode_rgb, decode_depth_m):
        try:
            assert decode(encoding, height, width, step, data).shape[:2] == (height, width)
        except ImageMessageError as error:
            assert error.cause in ("malformed", "unsupported")


@pytest.mark.parametrize(("extension", "tolerance"), [(".png", 0), (".jpg", 25)])
def test_compressed_images(extension, tolerance):
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    rgb = cv2.GaussianBlur(noise, (9, 9), 5)
    raw = cv2.imencode(extension, rgb[..., ::-1])[1].tobytes()
    assert np.abs(decode_compressed("bgr8; compressed", raw).astype(int) - rgb).max() <= tolerance


@pytest.mark.parametrize("cut", [0, 2, 30, -40])
def test_exception_of_a_cut_jpeg(cut):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    raw = cv2.imencode(".jpg", noise)[1].tobytes()[:cut]
    with pytest.raises(ImageMessageError, match=r"cut short|Cannot decode"):
        decode_compressed("jpeg", raw)


def test_exception_of_compressed_depth():
    with pytest.raises(ImageMessageError, match="compressedDepth"):
        decode_compressed("16UC1; compressedDepth png", b"")
