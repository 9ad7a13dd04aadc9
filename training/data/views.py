"""Views of records by number, and as the frozen encoder wants them."""

from __future__ import annotations

import zlib

import numpy as np

from training.data.augment import View, ViewConfig, make_view
from training.data.formats.records import Record

PLAIN = 0
"""Variant 0 is the plain view; higher numbers are random ones."""


def view_of(record: Record, variant: int, config: ViewConfig) -> View:
    """The variant's view; its randomness depends on the record and the variant alone."""
    image, numbers = record.read()
    seed = (zlib.crc32(record.key.encode()), variant)
    rng = None if variant == PLAIN else np.random.default_rng(seed)
    return make_view(image, numbers, config, rng)
