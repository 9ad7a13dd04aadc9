"""Images in few bytes, with nothing but NumPy: the transform and tables of JPEG, packed by LZMA.

JPEG needs a decoder, which a machine with NumPy alone has not. Blocks of 8x8 are transformed and
quantised as in JPEG (ITU-T T.81, annexes A and K), colours at half the resolution; LZMA stands in for
its entropy coding. Sides must be divisible by 16. Where OpenCV will be at hand, WebP takes two thirds
of the bytes and a third of the time.
"""

from __future__ import annotations

import functools
import lzma
import struct
import zlib

import cv2
import numpy as np

from training.config import RecipeError

_LUMA = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 "
    "100 103 99"
)
_CHROMA = "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99"
_TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6}]


def encode_image(image: np.ndarray, quality: int = 85) -> bytes:
    """(H, W, 3) uint8 RGB, sides divisible by 16, as bytes; `quality` as JPEG's, 1 to 100."""
    height, width = image.shape[:2]
    planes = (image.astype(np.float32) - 128.0) @ _TO_YCC.T
    parts = []
    for n in range(3):
        plane = planes[..., n]
        if n:
            plane = plane.reshape(height // 2, 2, width // 2, 2).mean((1, 3))
        coefficients = _blocks(plane) @ _dct2() / _table(n > 0, quality)
        rounded = np.round(coefficients).clip(-32768, 32767).astype(np.int16)
        rounded[1:, 0] -= rounded[:-1, 0].copy()  # neighbouring blocks are alike in brightness
        parts.append(np.ascontiguousarray(rounded[:, _zigzag()].T))
    flat = np.concatenate([p.ravel() for p in parts])
    small = flat.clip(-127, 127).astype(np.int8)
    large = np.flatnonzero(small != flat)
    body = lzma.compress(small.tobytes(), lzma.FORMAT_RAW, filters=_FILTERS)
    exact = large.astype(np.uint32).tobytes() + flat[large].tobytes()
    return struct.pack("<HHBI", height, width, quality, len(large)) + exact + body


def encode_webp(image: np.ndarray, quality: int = 76) -> bytes:
    """(H, W, 3) uint8 RGB as a WebP file, for machines with OpenCV."""
    done, data = cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise RecipeError("This OpenCV writes no WebP: leave out --webp.")
    return data.tobytes()


def decode_image(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8 RGB of `encode_image` or `encode_webp`."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return np.ascontiguousarray(bgr[..., ::-1])
    height, width, quality, count = struct.unpack_from("<HHBI", data)
    at = struct.calcsize("<HHBI")
    large = np.frombuffer(data, np.uint32, count, at)
    exact = np.frombuffer(data, np.int16, count, at + 4 * count)
    body = lzma.decompress(data[at + 6 * count :], lzma.FORMAT_RAW, filters=_FILTERS)
    flat = np.frombuffer(body, np.int8).astype(np.int16)
    flat[large] = exact
    planes, start = [], 0
    for n in range(3):
        h, w = (height, width) if n == 0 else (height // 2, width // 2)
        part = flat[start : start + h * w].reshape(64, -1).T
        start += h * w
        rounded = np.empty_like(part)
        rounded[:, _zigzag()] = part
        rounded[:, 0] = np.cumsum(rounded[:, 0])
        values = (rounded * _table(n > 0, quality)) @ _dct2().T
        plane = values.reshape(h // 8, w // 8, 8, 8).transpose(0, 2, 1, 3).reshape(h, w)
        planes.append(plane if n == 0 else _doubled(_doubled(plane).T).T)
    rgb = np.stack(planes, -1).astype(np.float32) @ np.linalg.inv(_TO_YCC).T.astype(np.float32)
    return np.round(rgb + 128.0).clip(0, 255).astype(np.uint8)


def encode_numbers(numbers: np.ndarray) -> bytes:
    """(H, W) uint8 instance numbers, exactly: rows as differences to the row above."""
    change = numbers.copy()
    change[1:] -= numbers[:-1]
    return struct.pack("<HH", *numbers.shape) + zlib.compress(change.tobytes(), 9)


def decode_numbers(data: bytes) -> np.ndarray:
    """(H, W) uint8 of `encode_numbers`."""
    height, width = struct.unpack_from("<HH", data)
    change = np.frombuffer(zlib.decompress(data[4:]), np.uint8).reshape(height, width)
    return np.cumsum(change, 0, dtype=np.uint8)


def _doubled(plane: np.ndarray) -> np.ndarray:
    """(2H, W) of (H, W): in between linearly, as JPEG decoders enlarge colours."""
    padded = np.concatenate([plane[:1], plane, plane[-1:]])
    above, below = padded[:-2], padded[2:]
    rows = np.stack([0.75 * plane + 0.25 * above, 0.75 * plane + 0.25 * below], 1)
    return rows.reshape(-1, plane.shape[1])


def _blocks(plane: np.ndarray) -> np.ndarray:
    """(N, 64): the 8x8 blocks of an (H, W) plane."""
    height, width = plane.shape
    cut = plane.reshape(height // 8, 8, width // 8, 8).transpose(0, 2, 1, 3)
    return cut.reshape(-1, 64)


@functools.cache
def _dct2() -> np.ndarray:
    """(64, 64): a block as a row times this is its two-dimensional DCT; it is orthonormal."""
    k, x = np.meshgrid(np.arange(8), np.arange(8), indexing="ij")
    one = np.cos((2 * x + 1) * k * np.pi / 16) * np.where(k == 0, np.sqrt(1 / 8), 0.5)
    return np.kron(one, one).T.astype(np.float32)


@functools.cache
def _table(chroma: bool, quality: int) -> np.ndarray:
    """(64,) quantisation steps of JPEG at that quality."""
    base = np.array((_CHROMA + " 99" * 32 if chroma else _LUMA).split(), np.float32)
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    return np.floor((base * scale + 50) / 100).clip(1, 255).astype(np.float32)


@functools.cache
def _zigzag() -> np.ndarray:
    """(64,) coefficients from coarse to fine."""
    order = sorted(range(64), key=lambda n: (n // 8 + n % 8, n))
    return np.array(order)
