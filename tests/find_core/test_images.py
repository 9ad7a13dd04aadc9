"""Decoding: what is claimed is measured before memory is taken, and what is not whole is refused."""

from __future__ import annotations

import base64
import os
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from find_core.errors import ImageError
from find_core.images import (
    check_image,
    decode_image,
    from_png_base64,
    measure_image,
    read_depth_image,
    read_image,
    read_labels,
)
from find_core.support.image_header import read_header

FORMATS = [".png", ".jpg", ".webp", ".bmp", ".tiff"]
RED = (220, 20, 30)


def noise(height=40, width=60, channels=3, dtype=np.uint8):
    top = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, top, (height, width, channels), dtype).squeeze()


def encoded(image, extension=".png", *parameters):
    return cv2.imencode(extension, image, parameters)[1].tobytes()


def chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data) if length is None else length) + kind + data + crc


def png(width, height, rows=b"", bits=8, colour=2, extra=b""):
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


@given(
    extension=st.sampled_from(FORMATS), height=st.integers(1, 300), width=st.integers(1, 300),
    channels=st.sampled_from([1, 3]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_headers_say_what_the_decoder_finds(extension, height, width, channels):
    data = encoded(noise(height, width, channels).reshape(height, width, channels), extension)
    header = read_header(data)
    assert (header.height, header.width) == (height, width) == decode_image(data).shape[:2]
    assert header.format == {".jpg": "jpeg"}.get(extension, extension[1:])
    assert header.bits == 8 and not header.is_float and not header.may_be_depth


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_sixteen_bits_of_one_channel_may_be_depth(extension):
    assert read_header(encoded(noise(8, 9, 1, np.uint16), extension)).may_be_depth
    assert not read_header(encoded(noise(8, 9, 3, np.uint16), extension)).may_be_depth


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("kept", [0.0, 0.05, 0.3, 0.6, 0.9, 0.99])
def test_exception_of_a_cut_file(tmp_path, extension, kept):
    data = encoded(noise(), extension)
    path = tmp_path / f"cut{extension}"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match=r"cut.*\."):
        read_image(path)


@pytest.mark.parametrize("kind", [b"IDAT", b"tEXt", b"iCCP", b"eXIf", b"acTL", b"zzZz"])
@pytest.mark.parametrize("length", [0xF0000000, 0x7FFFFFFF, 100_000])
def test_exception_of_a_chunk_longer_than_its_file(kind, length):
    """One flipped bit of a camera's PNG: OpenCV would take the claimed gigabytes."""
    lie = chunk(kind, b"1234", length)
    with pytest.raises(ImageError, match="announced"):
        decode_image(png(1, 1, b"\0\1\2\3", extra=lie))


def test_exception_of_a_segment_longer_than_its_file():
    jpeg = bytearray(encoded(noise(), ".jpg"))
    jpeg[4:6] = b"\xff\xff"
    with pytest.raises(ImageError, match="announced"):
        decode_image(bytes(jpeg))


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (16385, 1), (70000, 70000), (12000, 12000)])
def test_exception_of_a_size_beyond_the_limits(size):
    with pytest.raises(ImageError, match=r"pixels.*(each side|megapixels)"):
        decode_image(png(*size))


def test_the_limit_is_a_parameter(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(noise(100, 100)))
    assert read_image(path, max_megapixels=0.01).shape == (100, 100, 3)
    with pytest.raises(ImageError, match=r"more than 0\.009 megapixels"):
        read_image(path, max_megapixels=0.009)


@pytest.mark.parametrize("kind", [0xC0, 0xC2])
def test_exception_of_a_large_jpeg_size(kind):
    jpeg = bytearray(encoded(noise(), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, int(kind == 0xC2)))
    place = jpeg.index(bytes((0xFF, kind)))
    jpeg[place + 5 : place + 9] = struct.pack(">HH", 65000, 65000)
    with pytest.raises(ImageError, match="65000x65000"):
        decode_image(bytes(jpeg))


def test_exception_of_a_jpeg_with_endless_scans():
    jpeg = encoded(noise(), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    with pytest.raises(ImageError, match="scans"):
        decode_image(jpeg[:-2] + jpeg[jpeg.rindex(b"\xff\xda") : -2] * 200 + jpeg[-2:])


def test_exception_of_tiles_larger_than_their_image():
    tags = {256: 4, 257: 4, 258: 8, 262: 1, 277: 1, 322: 1 << 24, 323: 1 << 24}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    with pytest.raises(ImageError, match="16777216x16777216"):
        decode_image(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exception_of_floating_point_images(tmp_path, dtype):
    """OpenCV scales them by what is in them: grey of 127 came out as 179."""
    cv2.imwrite(str(tmp_path / "f.tiff"), np.full((8, 8, 3), 0.5, dtype))
    with pytest.raises(ImageError, match="range is unknown"):
        read_image(tmp_path / "f.tiff")


@pytest.mark.parametrize(
    "text", ["<html>404</html>", "GIF89a" + "x" * 40, "P6 9 9 255\n" + "x" * 243]
)
def test_exception_of_other_formats(text):
    with pytest.raises(ImageError, match="PNG, JPEG, WebP, BMP or TIFF"):
        decode_image(text.encode())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_by_name(orientation):
    """Red in the stored image's top left corner: upright it stands where EXIF says."""
    stored = np.full((32, 48, 3), 90, np.uint8)
    stored[:16, :16] = RED
    jpeg = with_orientation(encoded(stored[..., ::-1], ".jpg"), orientation)
    as_stored, upright = decode_image(jpeg, upright=False), decode_image(jpeg)
    assert as_stored.shape == (32, 48, 3) and abs(int(as_stored[5, 5, 0]) - RED[0]) < 12
    corner = {
        1: (0, 0),
        2: (0, 1),
        3: (1, 1),
        4: (1, 0),
        5: (0, 0),
        6: (0, 1),
        7: (1, 1),
        8: (1, 0),
    }
    row, column = corner[orientation]
    assert upright.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3))
    assert abs(int(upright[-5 if row else 5, -5 if column else 5, 0]) - RED[0]) < 12


@pytest.mark.parametrize(
    "image", [noise(6, 7, 1), noise(6, 7, 3), noise(6, 7, 3, np.uint16), noise(6, 7, 4, np.uint16)]
)
def test_exception_of_depth_that_is_none(tmp_path, image):
    cv2.imwrite(str(tmp_path / "d.png"), image)
    with pytest.raises(ImageError, match="no depth image"):
        read_depth_image(tmp_path / "d.png")


@pytest.mark.parametrize("order", ["C", "F"])
def test_depth_arrays(tmp_path, order):
    depth = np.asarray(np.arange(12, dtype=np.float32).reshape(3, 4), order=order)
    np.save(tmp_path / "d.npy", depth)
    assert np.array_equal(read_depth_image(tmp_path / "d.npy"), depth)
    cv2.imwrite(str(tmp_path / "d.png"), depth.astype(np.uint16))
    assert np.array_equal(read_depth_image(tmp_path / "d.png"), depth.astype(np.uint16))


def _npy(shape, dtype="<f4", data=b""):
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + data


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x93NUMPY", _npy((10**6, 10**6)), _npy((2, 3), data=b"\0" * 20), _npy((0, 3)),
        _npy((2,), data=b"\0" * 8), _npy((2, 2), "|O", b"\x80\x04N." * 4), _npy((-1, 2)),
        _npy((2, 2), "|u1", b"\0" * 4), _npy((2, 2), "<U1", b"\0" * 16), b"\x93NUMPY\1\0\x09\0{{{{{{{{{",
    ],
)  # fmt: skip
def test_exception_of_damaged_depth_arrays(tmp_path, data):
    (tmp_path / "d.npy").write_bytes(data)
    with pytest.raises(ImageError, match=r"d\.npy"):
        read_depth_image(tmp_path / "d.npy")


def test_exception_of_labels_as_floats(tmp_path):
    cv2.imwrite(str(tmp_path / "l.tiff"), np.zeros((4, 4), np.float32))
    with pytest.raises(ImageError, match="labels"):
        read_labels(tmp_path / "l.tiff")


def test_exception_of_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")  # would be waited for
    large = tmp_path / "sparse.png"
    with large.open("wb") as file:
        file.truncate(3 << 30)
    for path, why in [
        (tmp_path, "No image file"), (tmp_path / "pipe.png", "No image file"),
        (tmp_path / "none.png", "No image file"), ("a\0b.png", "No image|cannot be read"), ("/\ud800.png", "No image file"),
        (tmp_path / ("x" * 300), "No image|cannot be read"), (large, "more than"),
    ]:  # fmt: skip
        with pytest.raises(ImageError, match=why) as caught:
            read_image(path)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 400


MEMORY = """
import resource, sys, numpy as np
from find_core.images import decode_image, from_png_base64
from find_core.errors import ImageError
data = open(sys.argv[1], "rb").read()
decode_image(open(sys.argv[2], "rb").read())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    size = decode_image(data).nbytes
except ImageError:
    size = 0
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, size / 2**20)
"""


@pytest.mark.parametrize(
    "kind",
    ["bomb", "chunk", "plain", "progressive", "interlaced", "palette", "deep", "webp", "turned"],
)
def test_memory_stays_below_four_times_the_image(tmp_path, kind):
    rows = 3000
    big = np.full((rows, 4000, 3), 7, np.uint8)
    line = b"\0" + bytes(4000)
    data = {
        "bomb": lambda: png(32000, 32000, bytes(1000)),
        "chunk": lambda: png(1, 1, b"\0\1\2\3", extra=chunk(b"IDAT", b"", 0xF0000000)),
        "plain": lambda: encoded(big),
        "progressive": lambda: encoded(
            big, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        "interlaced": lambda: png(4000, rows, line * rows, colour=0),
        "palette": lambda: png(4000, rows, line * rows, colour=3, extra=chunk(b"PLTE", b"\1\2\3")),
        "deep": lambda: encoded(big.astype(np.uint16)),
        "webp": lambda: encoded(big, ".webp"),
        "turned": lambda: with_orientation(encoded(big, ".jpg"), 6),
    }[kind]()  # fmt: skip
    (tmp_path / "image").write_bytes(data)
    (tmp_path / "warm.png").write_bytes(encoded(noise()))
    run = [sys.executable, "-c", MEMORY, str(tmp_path / "image"), str(tmp_path / "warm.png")]
    out = subprocess.run(run, capture_output=True, text=True, check=True, timeout=120).stdout
    peak_mb, image_mb = map(float, out.split())
    assert (image_mb > 30) == (kind not in ("bomb", "chunk"))
    assert peak_mb < 4 * image_mb + 50


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["webp", "tiff"])
def test_orientation_of_formats_that_opencv_reads_its_own_way(tmp_path, kind, orientation):
    """Pillow is the oracle: OpenCV turns no WebP file, and every TIFF file."""
    path, stored, exif = tmp_path / f"a.{kind}", Image.fromarray(noise()), Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True, "exif": exif.tobytes()} if kind == "webp" else {"tiffinfo": exif}
    stored.save(path, **options)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert np.array_equal(read_image(path), upright)
    if kind == "webp" or orientation == 1:
        assert np.array_equal(read_image(path, upright=False), noise())
        return
    for read in (lambda p: read_image(p, upright=False), read_labels):
        with pytest.raises(ImageError, match="save it as PNG"):
            read(path)
    Image.fromarray(noise(channels=1, dtype=np.uint16)).save(path, tiffinfo=exif)
    with pytest.raises(ImageError, match="save it as PNG"):
        read_depth_image(path)


@pytest.mark.parametrize(
    "damage", [b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff"]
)
def test_a_damaged_exif_costs_nothing_but_itself(damage):
    good = encoded(noise(), ".webp")
    chunk = b"EXIF" + struct.pack("<I", len(damage)) + damage + b"\0" * (len(damage) % 2)
    riff = b"WEBP" + good[12:] + chunk
    turned = b"RIFF" + struct.pack("<I", len(riff)) + riff
    assert np.array_equal(decode_image(turned), decode_image(good))


def test_exception_of_colours_that_are_read_wrongly(tmp_path):
    Image.fromarray(noise()).convert("LAB").save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="save it as RGB"):
        read_image(tmp_path / "a.tif")


def test_inline_images():
    data = encoded(noise()[..., ::-1])
    assert np.array_equal(from_png_base64(base64.b64encode(data).decode()), noise())
    for text in ("!!!", "", "ä", base64.b64encode(data[:-30]).decode(), "\ud800"):
        with pytest.raises(ImageError):
            from_png_base64(text)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"BM",
    b"RIFF\x20\0\0\0WEBPVP8X", b"RIFF\x20\0\0\0WEBPVP8L", b"RIFF\x20\0\0\0WEBPVP8 ", b"II*\0", b"MM\0*"]))  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_an_image_or_an_image_error(data, start):
    try:
        assert decode_image(start + data).ndim == 3
    except ImageError as error:
        assert str(error).isprintable()


def test_sizes_are_measured_without_decoding():
    header = measure_image(png(640, 480))
    assert (header.width, header.height, header.channels) == (640, 480, 3)


def test_a_tensor_with_a_gradient_is_refused_in_words():
    with pytest.raises(ImageError, match="no array of numbers"):
        check_image(torch.zeros(4, 4, 3, requires_grad=True))
