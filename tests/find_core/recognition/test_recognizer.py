"""The recogniser by itself: pooling against a loop, evidence against its definition, taught names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from find_core.model.attention_table import TokenGroup
from find_core.preprocess import mask_to_input
from find_core.recognition.pooling import pooled_proposals, pooled_region
from find_core.recognition.recognizer import EntityLooks, Recognizer, RecognizerSizes
from find_core.testing import tiny_find

IMAGE = np.random.default_rng(0).integers(0, 255, (50, 80, 3), np.uint8)


def recognizer_for(find, names=("mug", "plate", "red cup"), seed=0) -> Recognizer:
    features = sum(m.shape[1] for m in find.encode(IMAGE).state.frozen)
    torch.manual_seed(seed)
    made = Recognizer(RecognizerSizes(features, find.language.width, 16, len(names)), tuple(names))
    made.bank_CV = torch.nn.functional.normalize(torch.randn(len(names), 16), dim=-1)
    for name, value in (("share_of_names", 0.3), ("share_of_references", 0.5), ("likeness", 2.0),
                        ("relevance_scale", 5.0)):  # fmt: skip
        setattr(made, name, torch.tensor(value))
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def scene():
    return tiny_find().encode(IMAGE)


def test_proposals_are_pooled_by_their_probability(scene):
    pixel_NP = scene.objects.pixel[TokenGroup.OBJECT][0]
    got = pooled_proposals(pixel_NP, scene.state, scene.geometry)
    wanted = []
    for maps, level in zip(scene.state.frozen, (1, 0), strict=True):
        _, channels, height, width = maps.shape
        rows, columns = (-(-r * s // p) for r, s, p in zip(
            scene.geometry.resized, (height, width), scene.geometry.padded, strict=True))  # fmt: skip
        probability = (pixel_NP @ scene.state.level_masks[level][0]).sigmoid()
        probability = probability.reshape(-1, height, width)
        out = torch.zeros(len(pixel_NP), channels)
        for n in range(len(pixel_NP)):
            total = sum(float(probability[n, y, x]) for y in range(rows) for x in range(columns))
            for y in range(rows):
                for x in range(columns):
                    out[n] += probability[n, y, x] * maps[0, :, y, x] / (total + 1e-4)
        wanted.append(out)
    assert torch.allclose(got, torch.cat(wanted, 1), atol=1e-4)


def test_a_region_is_pooled_under_its_mask_alone(scene):
    height, width = scene.height, scene.width
    mask = np.zeros((height, width), bool)
    mask[:, : width // 2] = True
    there = pooled_region(mask_to_input(mask, scene.geometry), scene.state, scene.geometry)
    changed = tiny_find().encode(IMAGE).state
    changed.frozen = [maps.clone() for maps in changed.frozen]
    for maps in changed.frozen:
        maps[..., -(-maps.shape[-1] // 2) + 1 :] += 100.0
    again = pooled_region(mask_to_input(mask, scene.geometry), changed, scene.geometry)
    assert torch.allclose(there, again, atol=1e-3)


def test_padding_is_not_pooled():
    wide = np.ascontiguousarray(IMAGE[:33])  # its last row of cells is padding alone
    scene, changed = tiny_find().encode(wide), tiny_find().encode(wide).state
    rows = -(-scene.geometry.resized[0] // 16)
    assert rows < changed.frozen[0].shape[-2]
    changed.frozen = [maps.clone() for maps in changed.frozen]
    changed.frozen[0][..., rows:, :] += 100.0
    pixel_NP = scene.objects.pixel[TokenGroup.OBJECT][0]
    a = pooled_proposals(pixel_NP, scene.state, scene.geometry)
    assert torch.allclose(a, pooled_proposals(pixel_NP, changed, scene.geometry), atol=1e-5)


def test_evidence_is_a_log_probability_and_a_cosine():
    find = tiny_find()
    made = recognizer_for(find)
    units = torch.nn.functional.normalize(torch.randn(4, 16), dim=-1)
    entities = torch.nn.functional.normalize(torch.randn(2, 16), dim=-1)
    own = torch.tensor([[True, False, False], [False, False, False]])
    looks = EntityLooks(made, entities, (False, True), own, torch.tensor([0.3, 0.5]))
    got = made.evidence(looks, units)
    scale = float(made.log_scale.exp())
    for n in range(4):
        logits = scale * units[n] @ made.bank_CV.T
        mine = scale * units[n] @ entities[0]
        p = mine.exp() / (mine.exp() + logits[1:].exp().sum())
        assert got[0, n] == pytest.approx(float(p.log() + 2 * units[n] @ entities[0]), abs=1e-4)
        both = (logits.softmax(0) * (scale * entities[1] @ made.bank_CV.T).softmax(0)).sum()
        assert got[1, n] == pytest.approx(float(both.log() + 2 * units[n] @ entities[1]), abs=1e-4)
    combined = made.combined(looks, torch.zeros(2, 4), got)
    assert torch.allclose(combined, torch.tensor([[0.3], [0.5]]) * got)


def test_a_taught_name_is_known_by_its_looks():
    find = tiny_find()
    made = recognizer_for(find)
    looks = torch.randn(3, made.sizes.features)
    taught = made.with_names({"My Tin": looks, "mug": looks})
    assert taught.bank_names == ("mug", "plate", "red cup", "my tin")
    assert torch.allclose(taught.bank_CV[0], taught.bank_CV[3])
    assert torch.equal(taught.bank_CV[1:3], made.bank_CV[1:3])
    mean = torch.nn.functional.normalize(made.of_regions(looks).mean(0), dim=0)
    assert torch.allclose(taught.bank_CV[3], mean, atol=1e-6)
    assert made.bank_names == ("mug", "plate", "red cup")
