"""A scene goes with its last reference. In a cycle it would stay, 20 MB of it, until Python looks for
cycles; a node that holds half a million objects does so once in many frames."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import find_core as fc
from find_core.testing import tiny_find
from find_core.video.stream import StreamLocalizer

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
ASKED = {
    "localize": lambda scene: scene.localize("the <mug> on the <table>", threshold=0.0),
    "fast": lambda scene: scene.localize("the <mug>", threshold=0.0, fast=True),
    "ground": lambda scene: scene.ground(["a mug"], threshold=0.0),
    "panoptic": lambda scene: scene.segment(["mug", "table"], score_threshold=0.0),
    "instance": lambda scene: scene.segment(["mug"], "instance", score_threshold=0.0),
    "semantic": lambda scene: scene.segment(["mug"], "semantic"),
    "interact": lambda scene: scene.interact(fc.Region.point(40, 30)),
    "relevance": lambda scene: scene.relevance("a mug"),
    "crops": lambda scene: scene.object_crops.crops([0, 1]),
    "map": lambda scene: scene.semantic_map(),
}


@pytest.fixture(scope="module")
def find():
    return tiny_find()


@pytest.fixture(autouse=True)
def no_looking_for_cycles():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("asked", sorted(ASKED))
def test_freed_after(find, asked):
    scene = find.encode(IMAGE)
    seen = weakref.ref(scene), weakref.ref(scene.state)
    answer = ASKED[asked](scene)
    del scene
    if asked == "interact":  # that answer can be refined, and so knows its scene
        assert seen[0]() is not None
        del answer
    assert [ref() for ref in seen] == [None, None]


def test_crops_outlive_their_scene(find):
    crops = find.encode(IMAGE).object_crops
    assert crops.area(0) == find.encode(IMAGE).object_crops.area(0)


def test_freed_in_a_stream(find):
    stream, seen = StreamLocalizer(find, "the <mug>", threshold=0.0), []
    for stamp_ns in range(3):
        scene = find.encode(IMAGE)
        seen.append(weakref.ref(scene))
        frame = stream.update(IMAGE, stamp_ns, scene=scene)
        assert frame.localization.entities[0].found
        del scene
    assert [ref() for ref in seen] == [None] * 3


def test_compiling_a_reference_frees_its_scene(find, monkeypatch):
    seen, encode = [], find.encode

    def noted(image):
        scene = encode(image)
        seen.append(weakref.ref(scene.state))
        return scene

    monkeypatch.setattr(find, "encode", noted)
    compiled = find.compile(fc.Prompt.parse("the <x>", x=fc.Reference(IMAGE, box=(9, 9, 40, 40))))
    assert len(seen) == 1 and seen[0]() is None
    del compiled
