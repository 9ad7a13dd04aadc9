"""Thresholds and lists of words from callers: one check in every door."""

from __future__ import annotations

import numpy as np
import pytest

import find_core as fc
from find_core.errors import FieldError, FindError
from find_core.testing import tiny_find
from find_field.field.query import QueryConfig
from find_field.lift import LiftConfig

BAD_THRESHOLDS = [3, -0.1, float("nan"), float("inf"), "0.5", True, [0.5], 10**400]


@pytest.fixture(scope="module")
def scene():
    return tiny_find(seed=0).encode(np.zeros((48, 64, 3), np.uint8))


@pytest.mark.parametrize("threshold", BAD_THRESHOLDS, ids=lambda v: str(v)[:8])
def test_thresholds_lie_between_0_and_1(scene, threshold):
    doors = [
        lambda: scene.localize("the <mug>", threshold=threshold),
        lambda: scene.localize("the <mug>", threshold=threshold, fast=True),
        lambda: scene.ground(["the mug"], threshold=threshold),
        lambda: scene.segment(["mug"], score_threshold=threshold),
        lambda: scene.segment(["mug"], "instance", score_threshold=threshold),
        lambda: scene.segment(["mug"], overlap_threshold=threshold),
        lambda: fc.StreamLocalizer(scene.find, ["<mug>"], threshold=threshold),
        lambda: QueryConfig(threshold=threshold),
    ]
    for door in doors:
        with pytest.raises(FindError, match=r"hreshold lies between 0 and 1"):
            door()


@pytest.mark.parametrize("texts", ["mug", [], [""], ["mug", 3], [None], ["mug", "  "]])
def test_lists_of_words_are_lists_of_words(scene, texts):
    for door in (scene.segment, scene.ground):
        with pytest.raises(fc.PromptError):
            door(texts)


@pytest.mark.parametrize(
    "option",
    [{"voxel_size_m": 0}, {"voxel_size_m": float("nan")}, {"voxel_size_m": -1}, {"rank": 0}, {"rank": -5},
     {"max_depth_m": -1}, {"up_world": (0, 0, 0)}, {"up_world": (float("nan"), 0, 0)}, {"min_cosine": 2}],
    ids=str,
)  # fmt: skip
def test_options_of_lifting_have_ranges(option):
    with pytest.raises(FieldError):
        LiftConfig(**option)


@pytest.mark.parametrize(
    "option", [{"max_hits": -3}, {"refine_relevancy": 2}, {"temperature": "a"}], ids=str
)
def test_options_of_queries_have_ranges(option):
    with pytest.raises(FieldError):
        QueryConfig(**option)
