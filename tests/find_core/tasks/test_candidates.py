"""The way from proposals to entities is short: nothing is computed, awaited or encoded twice."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

import find_core as fc
from find_core import masks, preprocess, results
from find_core.model.image_state import resize
from find_core.preprocess import Geometry, logits_to_original, masks_at_original
from find_core.tasks import postprocess
from find_core.testing import tiny_find
from find_core.video import StreamLocalizer

IMAGE = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
PROMPT = fc.Prompt.parse("the <mug> on the <plate> by the <cup>")


class HostSyncs(TorchDispatchMode):
    """Counts where the host reads a single value or copies a tensor: each waits for the device."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.items = self.copies = 0
        for name in ("cpu", "tolist", "numpy"):
            monkeypatch.setattr(torch.Tensor, name, self._counted(getattr(torch.Tensor, name)))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.items += func.overloadpacket is torch.ops.aten._local_scalar_dense
        return func(*args, **(kwargs or {}))

    def _counted(self, plain):
        def copy(tensor, *args, **kwargs):
            self.copies += plain.__name__ != "numpy"
            return plain(tensor, *args, **kwargs)

        return copy


@pytest.mark.parametrize("fast", [False, True])
def test_host_syncs_do_not_grow_with_the_proposals(monkeypatch, fast):
    counts = []
    for queries in (4, 40):
        find = tiny_find(num_queries=queries, single_things=True)
        scene, prompt = find.encode(IMAGE), find.compile(PROMPT)
        _ = scene.object_embeddings, scene.object_crops.area(0)  # once a scene, not a prompt
        with monkeypatch.context() as patch, HostSyncs(patch) as syncs:
            answer = scene.localize(prompt, threshold=0.0, fast=fast)
        counts.append((syncs.items, syncs.copies))
        assert len(answer.entities) == 3
    assert counts[0] == counts[1]
    assert counts[1][0] == 0 and counts[1][1] <= 4, "scores, overlaps, vectors, masks"


def test_the_counter_counts(monkeypatch):
    with monkeypatch.context() as patch, HostSyncs(patch) as syncs:
        values = torch.arange(3.0)
        assert [float(v) for v in values] == values.cpu().tolist()
    assert (syncs.items, syncs.copies) == (3, 2)


def test_a_mask_is_taken_apart_once_also_in_a_stream(monkeypatch):
    seen: list[bytes] = []
    plain = cv2.connectedComponentsWithStats

    def watched(mask, **options):
        seen.append(mask.tobytes())
        return plain(mask, **options)

    monkeypatch.setattr(masks.cv2, "connectedComponentsWithStats", watched)
    find = tiny_find(seed=3, single_things=True)  # whose best mask falls apart
    scene, prompt = find.encode(IMAGE), find.compile("<mug>")
    single = scene.localize(prompt, threshold=0.0)
    alone = len(seen)
    assert len(single.entities[0].instances) > alone == len(set(seen))
    frame = StreamLocalizer(find, prompt, threshold=0.0).update(IMAGE, 0, scene=scene)
    assert len(seen) == 2 * alone, "the stream takes nothing apart again"
    tracked = frame.localization.entities[0].instances
    expected = {i.mask.tobytes() for i in single.entities[0].instances}
    assert {i.mask.tobytes() for i in tracked} == expected


def test_what_prompts_share_is_computed_once_a_scene(monkeypatch):
    find = tiny_find(single_things=True)
    scene, calls = find.encode(IMAGE), []
    plain = find.model.masks
    monkeypatch.setattr(find.model, "masks", lambda *a: calls.append(1) or plain(*a))
    for prompt in ("mug", "plate", "cup"):
        scene.localize(prompt, fast=True)
    scene.segment(["mug", "plate"])
    assert scene.semantic_map()[0] is scene.semantic_map()[0]
    assert scene.object_masks is scene.object_masks and len(calls) == 1


def test_the_best_mask_is_encoded_once(monkeypatch):
    localization = tiny_find().encode(IMAGE).localize("<mug>", threshold=0.0)
    entity = localization.entities[0]
    plain, encoded = results.mask_to_rle, []
    monkeypatch.setattr(results, "mask_to_rle", lambda m: encoded.append(1) or plain(m))
    data = localization.to_json()["entities"][0]
    assert len(encoded) == len(entity.instances) > 0
    for instance, written in zip(entity.instances, data["instances"], strict=True):
        assert written["mask_rle"] == plain(instance.mask)
    assert data["mask_rle"] == plain(entity.mask)


blobs = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 9), st.integers(0, 8), st.integers(0, 8)),
    min_size=1,
    max_size=7,
)


@given(blobs, st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_distinct_equals_its_slow_twin(boxes, random):
    drawn = torch.zeros(len(boxes), 16, 20, dtype=torch.bool)
    for mask, (x, y, w, h) in zip(drawn, boxes):
        mask[y : y + h, x : x + w] = True
    order = list(range(len(boxes)))
    random.shuffle(order)
    chosen: list[int] = []
    for n in order:
        area = int(drawn[n].sum())
        if not area:
            continue
        shared = [int((drawn[n] & drawn[m]).sum()) / min(area, int(drawn[m].sum())) for m in chosen]
        if all(s <= 0.5 for s in shared):
            chosen.append(n)
    assert postprocess.distinct(postprocess.shared_areas(drawn).numpy(), order) == chosen


def drawn(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    masks = torch.zeros(len(boxes), 20, 20, dtype=torch.bool)
    for mask, (x, y, w, h) in zip(masks, boxes, strict=True):
        mask[y : y + h, x : x + w] = True
    return postprocess.shared_areas(masks).numpy()


LEGS, ELBOW, PERSON = (5, 12, 6, 7), (5, 4, 2, 2), (4, 1, 8, 18)


@pytest.mark.parametrize(
    ("scores", "answer"),
    [
        ((0.9, 0.6, 0.85), [2]),  # the person before her legs, and then no elbow either
        ((0.9, 0.6, 0.7), [0, 1]),  # a whole that scores far lower is another thing
        ((0.7, 0.6, 0.9), [2]),
    ],
)
def test_a_whole_comes_before_its_parts(scores, answer):
    shared = drawn(LEGS, ELBOW, PERSON)
    order = sorted(range(3), key=lambda n: -scores[n])
    rows = postprocess.wholes_first(shared, order, np.array(scores))
    assert postprocess.distinct(shared, rows) == answer


def test_two_side_by_side_are_no_parts_of_what_holds_both():
    shared = drawn((2, 5, 6, 8), (9, 5, 6, 8), (2, 5, 13, 8))
    rows = postprocess.wholes_first(shared, [0, 1, 2], np.array([0.9, 0.88, 0.86]))
    assert postprocess.distinct(shared, rows) == [0, 1]


def test_a_mask_that_fills_the_whole_is_a_rival_of_it():
    shared = drawn((2, 2, 10, 9), (2, 2, 10, 10))
    assert postprocess.wholes_first(shared, [0, 1], np.array([0.9, 0.89])) == [0, 1]


@pytest.mark.parametrize("resized", [(30, 44), (60, 90)])
def test_masks_at_full_size_in_parts_equal_all_at_once(monkeypatch, resized):
    geometry = Geometry((60, 90), resized, (64, 96))
    logits = torch.randn(7, 16, 24, generator=torch.Generator().manual_seed(0))
    full = resize(logits[None], geometry.padded)[..., : resized[0], : resized[1]]
    slow = resize(full, geometry.original)[0]
    assert torch.equal(logits_to_original(logits, geometry), slow)
    for pixels in (1, 2 * 60 * 90, 10**9):
        monkeypatch.setattr(preprocess, "UPSAMPLED_PX", pixels)
        assert np.array_equal(masks_at_original(logits, geometry), (slow > 0).numpy())
    assert masks_at_original(logits[:0], geometry).shape == (0, 60, 90)
