"""Answers decided at the resized size against their slow twins, decided at the original size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import find_core as fc
from find_core.crops import ObjectCrops, crops_of
from find_core.images import read_image
from find_core.masks import box_of_mask, mask_iou
from find_core.preprocess import Geometry, logits_to_original
from find_core.tasks import candidates, postprocess, segment
from find_core.testing import tiny_find
from tests.find_core.tasks import full_size

SAME, SMALLER, LARGER = (64, 96), (40, 60), (150, 220)  # as the tiny model's input, or not
PROMPTS = ("the <mug> on the <plate>", "the <cup>", "<spoon> by the <fork>")
SAMPLES = Path(fc.__file__).parent / "share" / "samples" / "tabletop"
IOU = 0.995  # least, where sizes differ: a part may join another by a corner at one size alone


def image(size, seed=0):
    """Smooth noise, so that the random model's masks have some shape."""
    noise = np.random.default_rng(seed).integers(0, 255, (6, 9, 3), dtype=np.uint8)
    return cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)


def at_full_size(monkeypatch, scene, prompts, **options):
    with monkeypatch.context() as patch:
        patch.setattr(candidates, "localization", full_size.localization)
        return scene.localize_many(prompts, **options)


def entities_of(answers):
    return [entity for answer in answers for entity in answer.entities]


def assert_same(fast, slow, least_iou):
    for x, y in zip(entities_of(fast), entities_of(slow), strict=True):
        assert (x.found, len(x.instances)) == (y.found, len(y.instances))
        for p, q in zip([x, *x.instances], [y, *y.instances], strict=True):
            assert p.score == q.score and np.array_equal(p.embedding, q.embedding)
            assert np.array_equal(p.box_xyxy, box_of_mask(p.mask))
            assert mask_iou(p.mask, q.mask) >= least_iou


def share_of_twins(fast, slow):
    """Of the instances, those that have a twin of the same score and an IoU of `IOU`."""
    twins = []
    for x, y in zip(entities_of(fast), entities_of(slow), strict=True):
        assert (x.found, x.score) == (y.found, y.score)
        for p in x.instances:
            assert np.array_equal(p.box_xyxy, box_of_mask(p.mask))
            twins.append(
                any(p.score == q.score and mask_iou(p.mask, q.mask) >= IOU for q in y.instances)
            )
    return np.mean(twins)


def both_ways(monkeypatch, size, **changes):
    """Answers of six random models, and their slow twins."""
    for seed in range(6):
        scene = tiny_find(seed, num_queries=12, **changes).encode(image(size, seed))
        assert (scene.geometry.resized == size) == (size == SAME)
        for fast in (False, True):
            options = {"threshold": 0.0, "fast": fast}
            slow = at_full_size(monkeypatch, scene, PROMPTS, **options)
            yield scene.localize_many(PROMPTS, **options), slow


@pytest.mark.parametrize("size, least_iou", [(SAME, 1.0), (SMALLER, IOU), (LARGER, IOU)])
def test_whole_masks(monkeypatch, size, least_iou):
    for fast, slow in both_ways(monkeypatch, size, single_things=False):
        assert_same(fast, slow, least_iou)


def test_parts_are_equal_where_sizes_are(monkeypatch):
    count = 0
    for fast, slow in both_ways(monkeypatch, SAME, single_things=True):
        assert_same(fast, slow, 1.0)
        count += sum(len(e.instances) - 1 for e in entities_of(fast) if e.found)
    assert count > 20


@pytest.mark.parametrize("size", [SMALLER, LARGER])
def test_parts_of_noise_mostly_agree_between_sizes(monkeypatch, size):
    """Parts of a few pixels are at the limits of what is a fragment, and of what lies apart."""
    shares = [share_of_twins(*b) for b in both_ways(monkeypatch, size, single_things=True)]
    assert np.mean(shares) > 0.85


@pytest.fixture(scope="module")
def packaged():
    return fc.load(device="cpu", runtime="torch", places=False)


@pytest.mark.parametrize("size", [(480, 640), (720, 1280)])
def test_the_packaged_model(monkeypatch, packaged, size):
    words = ("the <mug>", "the <plate> by the <bottle>", "the <fork>", "the <apple>", "the <can>")
    shares = []
    for path in sorted((SAMPLES / "rgb").glob("*.jpg"))[::24]:
        shown = cv2.resize(read_image(path), size[::-1], interpolation=cv2.INTER_AREA)
        scene = packaged.encode(shown)
        for options in ({}, {"threshold": 0.3}, {"fast": True}):
            slow = at_full_size(monkeypatch, scene, words, **options)
            shares.append(share_of_twins(scene.localize_many(words, **options), slow))
    assert len(shares) == 6 and np.mean(shares) > 0.98


@pytest.mark.parametrize("size", [SAME, SMALLER, LARGER])
@pytest.mark.parametrize("single", [False, True])
def test_clicks(size, single):
    same = []
    for seed in range(8):
        scene = tiny_find(seed, single_things=single).encode(image(size, seed))
        points = [fc.Region.point(x * size[1], y * size[0]) for x, y in ((0.3, 0.3), (0.7, 0.6))]
        answer = scene.interact(*([p] for p in points))
        marks = [p.to_mask(*size) for p in points]
        masks, scores = full_size.clicked(scene, answer.memory.logits[0], marks)
        assert np.allclose(answer.scores, scores, atol=1e-5) and answer.scores.dtype == np.float32
        same += [mask_iou(a, b) >= IOU for a, b in zip(answer.masks, masks, strict=True)]
    assert np.mean(same) >= (1 if size == SAME or not single else 0.8)


@pytest.mark.parametrize("size", [SAME, SMALLER, LARGER])
@pytest.mark.parametrize("masks_together", [1, 2**26])
def test_segmentation_is_the_same(monkeypatch, size, masks_together):
    monkeypatch.setattr(segment, "UPSAMPLED_PX", masks_together)
    classes, things = ["mug", "wall", "plate", "table"], [True, False, True, False]
    stuff, found = ["wall", "table"], 0
    for seed in range(4):
        scene = tiny_find(seed, num_queries=12).encode(image(size, seed))
        logits = segment._class_logits(scene, classes)
        semantic = scene.segment(classes, "semantic")
        assert np.array_equal(semantic.class_map, full_size.class_map(scene, logits))
        options = {"score_threshold": 0.2, "overlap_threshold": 0.3}
        panoptic = scene.segment(classes, stuff=stuff, **options)
        slow = full_size.id_map(scene, logits, things, 0.2, 0.3)
        assert np.array_equal(panoptic.id_map, slow)
        instances = scene.segment(classes, "instance", stuff=stuff, score_threshold=0.1).segments
        rows = full_size.scored_masks(scene, logits, things, 0.1)
        found += len(rows) + len(panoptic.segments)
        for made, (score, label, mask) in zip(instances, rows, strict=True):
            assert made.score == pytest.approx(score, abs=1e-6) and made.class_index == label
            assert np.array_equal(made.mask, mask)
            assert np.array_equal(made.box_xyxy, box_of_mask(mask))
    assert found > 10


sizes = st.tuples(st.integers(9, 90), st.integers(9, 90))


@given(sizes, sizes, st.integers(0, 999), st.floats(-2, 1))
@example((9, 9), (9, 9), 9, -2.0)  # a mask in the padding alone
@settings(max_examples=80, deadline=None)
def test_crops_have_all_of_a_mask(original, resized, seed, offset):
    """At both sizes, with its box and score; so have the objects' counts in any window."""
    padded = tuple(-(-side // 32) * 32 for side in resized)
    geometry = Geometry(original, resized, padded)
    rng = np.random.default_rng(seed)
    cells = rng.normal(offset, 1, (3, padded[0] // 4, padded[1] // 4)).astype(np.float32)
    cells[:, rng.integers(1, 20) :] -= 9  # some have little room
    logits = torch.from_numpy(cells)
    full = logits_to_original(logits, geometry)
    at_resized = logits_to_original(logits, Geometry(resized, resized, padded)).numpy() > 0
    crops = crops_of(cells, geometry)
    scores = postprocess.mask_scores(full).tolist()
    for crop, wanted, small, score in zip(crops, full > 0, at_resized, scores, strict=True):
        mask, box = crop.original()
        assert np.array_equal(mask, wanted.numpy()) and np.array_equal(box, box_of_mask(mask))
        assert np.array_equal(crop.resized_mask(), small)
        assert crop.score() == pytest.approx(score, abs=1e-5)
    objects, slow = ObjectCrops(lambda: cells, geometry), full_size.ArrayObjects(lambda: at_resized)
    top, left = rng.integers(0, resized[0]), rng.integers(0, resized[1])
    part = rng.random(
        (rng.integers(1, resized[0] - top + 1), rng.integers(1, resized[1] - left + 1))
    )
    window = int(top), int(left), part > 0.3
    assert objects.covered(*window).tolist() == slow.covered(*window).tolist()
    assert [objects.area(n) for n in range(3)] == [slow.area(n) for n in range(3)]


@given(sizes, st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_parts_of_a_crop_share_no_pixel_at_any_size(original, seed):
    geometry = Geometry(original, (60, 80), (64, 96))
    cells = np.random.default_rng(seed).normal(-0.5, 1, (1, 16, 24)).astype(np.float32)
    (crop,) = crops_of(cells, geometry)
    count, labels = cv2.connectedComponents(crop.resized_mask().astype(np.uint8), connectivity=8)
    parts = [crop.only(labels == n).original()[0] for n in range(1, count)]
    assert (np.sum(parts, axis=0) == crop.original()[0]).all()
