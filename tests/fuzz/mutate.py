"""Mutations of bytes: what disks, networks and people do to files, and what an attacker tries."""

from __future__ import annotations

import random
import re

NUMBERS = (b"0", b"-1", b"1e999", b"NaN", b"9" * 25, b"2147483648", b"-0.0", b"true", b"null", b'"7"',
           b"1e-320", b"65536")  # fmt: skip
PIECES = (b"{", b"}", b"[", b"]", b'"', b",", b":", b"<", b">", b"\\", b"\\ud800", b"\0", b"\xff", b"\n",
          b'"path":', b"..", b"=", b"@", b"\xef\xbb\xbf", b"[" * 40, b'{"a":' * 40)  # fmt: skip
WORDS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xF0000000, 0xFFFFFFFF)


def mutated(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """`data` after one to four random changes; `others` are spliced in now and then."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        data = rng.choice(CHANGES)(data, others, rng)
    return data[:200_000]


def _flip(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    if not data:
        return b"\0"
    out, at = bytearray(data), rng.randrange(len(data))
    out[at] ^= 1 << rng.randrange(8)
    return bytes(out)


def _cut(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _drop(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.randrange(1, 20) :]


def _repeat(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at : at + rng.randrange(1, 40)] * rng.choice((1, 2, 9)) + data[at:]


def _insert(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(PIECES) + data[at:]


def _zeros(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    at, length = rng.randrange(len(data) + 1), rng.randrange(1, 60)
    return data[:at] + bytes([rng.choice((0, 255))]) * length + data[at + length :]


def _word(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    size, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    at = rng.randrange(len(data) + 1)
    word = (rng.choice(WORDS) % (1 << 8 * size)).to_bytes(size, order)
    return data[:at] + word + data[at + size :]


def _number(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data[:20_000]))
    if not found:
        return _insert(data, others, rng)
    match = rng.choice(found)
    return data[: match.start()] + rng.choice(NUMBERS) + data[match.end() :]


def _splice(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    other = rng.choice(others)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


CHANGES = (_flip, _flip, _cut, _drop, _repeat, _insert, _zeros, _word, _number, _number, _splice)
