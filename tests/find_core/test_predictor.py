"""What the names of the public interface promise, on a tiny random model."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import torch

import find_core as fc
from find_core.predictor import Find
from find_core.results import box_of_mask, rle_to_mask
from find_core.tasks import retrieve as retrieval
from find_core.tasks.localize import answers
from find_core.testing import tiny_find

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 255, (120, 160, 3), dtype=np.uint8)
OTHER = RNG.integers(0, 255, (90, 100, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def find():
    return tiny_find()


@pytest.fixture(scope="module")
def scene(find):
    return find.encode(IMAGE)


def prompts() -> dict[str, fc.Prompt]:
    reference = fc.Reference(OTHER, box=(10, 10, 60, 60))
    return {
        "text": fc.Prompt.parse("the <mug> on the <plate>"),
        "visual": fc.Prompt.parse("<thing>", thing=reference),
        "interleaved": fc.Prompt.parse("the <white mug> left of <thing>", thing=reference),
    }


@pytest.mark.parametrize("kind", ["text", "visual", "interleaved"])
def test_smoke_localize(scene, kind):
    prompt = prompts()[kind]
    result = scene.localize(prompt, threshold=0.0)
    assert [e.label for e in result.entities] == [e.label for e in prompt.entities]
    assert 0 <= result.relevance <= 1
    assert result.relevance == pytest.approx(min(e.score for e in result.entities))
    for entity in result.entities:
        assert entity.mask.shape == (120, 160) and entity.mask.dtype == np.bool_
        assert np.array_equal(entity.box_xyxy, box_of_mask(entity.mask))
        assert np.linalg.norm(entity.embedding) == pytest.approx(1, abs=1e-4)
        assert entity.found == bool(entity.mask.any())
        if entity.found:
            scores = [i.score for i in entity.instances]
            assert scores == sorted(scores, reverse=True)
            assert any(np.array_equal(i.mask, entity.mask) for i in entity.instances)


def test_best_candidate_is_there_when_nothing_passes(scene):
    entity = scene.localize("mug", threshold=1.0).entities[0]
    assert not entity.found and entity.instances == ()
    assert entity.mask.shape == (120, 160)


@pytest.mark.parametrize("kind", ["text", "visual", "interleaved"])
def test_compiled_equals_uncached(find, kind):
    """The fast path against its slow twin: everything in one run, nothing cached."""
    prompt = prompts()[kind]
    fast = find.encode(IMAGE).localize(find.compile(prompt))
    model, fresh = find.model, find.encode(IMAGE)
    with torch.no_grad():
        legend = find.legend(prompt)
        groups = model.sampler.interleave([legend], find.generator())
        whole = groups | model.sampler.entity_proposals(1) | model.sampler.segmentation(1)
        outputs = model(fresh.state, whole)[-1]
    compiled = find.compile(prompt)
    semantic = model.heads.semantic(outputs.embeddings[fc_var("INTERLEAVE")])[0]
    assert torch.allclose(compiled.semantic, semantic, atol=1e-5)
    entity = fc_var("ENTITY")
    rows = outputs.embeddings[entity], outputs.pixel[entity]
    (slow,) = answers(fresh, [compiled], *rows, threshold=None)
    for a, b in zip(fast.entities, slow.entities, strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-5)
        assert np.array_equal(a.mask, b.mask)


def fc_var(name: str):
    from find_core.model import TokenGroup

    return TokenGroup[name]


def test_many_prompts_equal_one_by_one(scene):
    kinds = list(prompts().values())
    together = scene.localize_many(kinds)
    for prompt, many in zip(kinds, together, strict=True):
        one = scene.localize(prompt)
        for a, b in zip(one.entities, many.entities, strict=True):
            assert a.score == pytest.approx(b.score, abs=1e-5)
            assert np.array_equal(a.mask, b.mask)


def test_batch_of_images_equals_one_by_one(find):
    images = [IMAGE, OTHER, IMAGE[::-1].copy(), RNG.integers(0, 255, (64, 300, 3), dtype=np.uint8)]
    for image, scene in zip(images, find.encode(images), strict=True):
        alone = find.encode(image)
        assert (scene.height, scene.width) == image.shape[:2]
        assert np.allclose(scene.embedding, alone.embedding, atol=1e-5)
        assert np.allclose(scene.object_mask_logits, alone.object_mask_logits, atol=1e-4)


def test_prompt_is_compiled_once(find):
    prompt = prompts()["interleaved"]
    assert find.compile(prompt) is find.compile(prompt)
    again = prompts()["interleaved"]  # other objects, same content
    assert find.compile(again) is find.compile(prompt)
    changed = fc.Prompt.parse(prompt.markup, thing=fc.Reference(OTHER, box=(10, 10, 61, 60)))
    assert find.compile(changed) is not find.compile(prompt)


def test_compile_is_deterministic(find):
    mask = np.ones(OTHER.shape[:2], bool)  # more pixels than points may be drawn
    prompt = fc.Prompt.parse("<it>", it=fc.Reference(OTHER, mask=mask))
    a, b = find._compile(prompt), find._compile(prompt)
    assert np.array_equal(a.entity_embeddings, b.entity_embeddings)


def test_scene_arrays(find, scene):
    d, p = find.embedding_dim, find.pixel_dim
    assert scene.embedding.shape == (d,) and find.embed("mug").shape == (d,)
    assert np.linalg.norm(scene.embedding) == pytest.approx(1, abs=1e-4)
    probabilities, objects = scene.semantic_map()
    h, w = scene.geometry.cropped_quarter
    assert probabilities.shape == (6, h, w) and objects.shape == (6, d)
    assert np.allclose(probabilities.sum(0), 1, atol=1e-5)
    assert scene.pixel_features().shape == (p, h, w)
    assert scene.object_mask_logits.shape == (6, h, w)


def test_relevance_is_the_fast_answer(scene):
    fast = scene.localize("mug", fast=True)
    assert 0 <= scene.relevance("mug") <= 1
    assert scene.relevance("mug") >= fast.entities[0].score - 1e-6


def test_segment(scene):
    classes = ["mug", fc.Prompt.parse("a flat thing to eat from"), prompts()["visual"]]
    panoptic = scene.segment(classes, score_threshold=0.0, overlap_threshold=0.0)
    assert panoptic.id_map.shape == (120, 160) and panoptic.id_map.dtype == np.int32
    assert set(np.unique(panoptic.id_map)) - {0} == {s.id for s in panoptic.segments}
    instance = scene.segment(classes, "instance", score_threshold=0.0)
    scores = [s.score for s in instance.segments]
    assert scores == sorted(scores, reverse=True) and scores
    semantic = scene.segment(classes, "semantic")
    assert semantic.class_map.max() < 3 and semantic.labels[0] == "mug"


def test_stuff_is_merged(scene):
    found = scene.segment(["table"], score_threshold=0.0, overlap_threshold=0.0, stuff=["table"])
    assert len(found.segments) <= 1 and not any(s.is_thing for s in found.segments)


def test_interact_and_refine(scene):
    click = fc.Region.point(30, 30)
    first = scene.interact(click)
    assert first.masks.shape == (1, 120, 160) and first.mask.dtype == np.bool_
    refined = scene.interact(click, fc.Region.point(90, 90, positive=False), previous=first)
    assert refined.masks.shape == (1, 120, 160)
    two = scene.interact([click], [fc.Region.box(50, 50, 90, 90)])
    assert two.masks.shape == (2, 120, 160)
    again = scene.interact([click], [fc.Region.box(50, 50, 90, 90)], previous=two)
    assert again.masks.shape == (2, 120, 160)


def test_interact_prompts_see_each_other_only_through_queries(scene):
    """Each prompt's tokens carry its own index: swapping prompts swaps answers."""
    a, b = [fc.Region.point(20, 20)], [fc.Region.point(90, 80)]
    ab, ba = scene.interact(a, b), scene.interact(b, a)
    assert np.array_equal(ab.masks, ba.masks[::-1])


def test_ground(scene):
    result = scene.ground(["a mug", "the plate"])
    assert [e.label for e in result.entities] == ["a mug", "the plate"]


def test_retrieval(find, scene):
    scenes = [scene, find.encode(OTHER)]
    query = find.compile(prompts()["interleaved"])
    order = retrieval.rank(query, scenes)
    scores = [retrieval.score(query, s) for s in scenes]
    assert scores[order[0]] >= scores[order[1]]
    assert retrieval.rank(query, scenes, exclude=[int(order[0])]).tolist() == [int(order[1])]
    paper = retrieval.paper_query(find, prompts()["interleaved"])
    assert paper.entities.shape == (2, find.embedding_dim)
    assert np.allclose(np.linalg.norm(paper.entities, axis=1), 1, atol=1e-4)
    assert find.embed_caption("a mug on a table").shape == (find.embedding_dim,)


def test_json(scene):
    data = json.loads(json.dumps(scene.localize(prompts()["text"], threshold=0.0).to_json()))
    entity = data["entities"][0]
    assert set(entity) == {
        "label", "score", "found", "box_xyxy", "mask_rle", "track_id", "instances",
    }  # fmt: skip
    assert isinstance(entity["mask_rle"]["counts"], str)
    assert rle_to_mask(entity["mask_rle"]).shape == (120, 160)


def test_threads_share_one_find(find):
    expected = find.encode(IMAGE).localize("the <mug>").relevance
    results: list[float] = []

    def work() -> None:
        for _ in range(3):
            results.append(find.encode(IMAGE).localize("the <mug>").relevance)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == pytest.approx([expected] * 12)


def test_frozen(find):
    for module in (find.model, find.vision, find.language):
        assert not any(p.requires_grad for p in module.parameters())
        assert not module.training


def test_fingerprint_tells_spaces_apart(find, scene):
    other = tiny_find(seed=1)
    assert other.fingerprint != find.fingerprint == tiny_find().fingerprint
    with pytest.raises(fc.FindError, match="another model"):
        scene.localize(other.compile("mug"))


BAD_INPUT = [
    (lambda f, s: f.encode(np.zeros((10, 10), np.uint8)), fc.ImageError, "shape"),
    (lambda f, s: f.encode(np.zeros((0, 10, 3), np.uint8)), fc.ImageError, "pixels"),
    (lambda f, s: f.encode([IMAGE, IMAGE / 255.0]), fc.ImageError, "Image 1 has dtype"),
    (lambda f, s: f.encode(None), fc.ImageError, "shape"),
    (lambda f, s: s.localize(""), fc.PromptError, "empty"),
    (lambda f, s: s.localize("word " * 150), fc.PromptError, "tokens"),
    (lambda f, s: s.segment([]), fc.PromptError, "class names"),
    (lambda f, s: s.segment("mug"), fc.PromptError, "class names"),
    (lambda f, s: s.segment(["mug"], "depth"), fc.FindError, "Unknown mode"),
    (lambda f, s: s.ground([]), fc.PromptError, "Phrases"),
    (lambda f, s: s.ground(["a", " "]), fc.PromptError, "Phrases"),
    (lambda f, s: s.interact(), fc.PromptError, "Point at something"),
    (lambda f, s: s.interact(fc.Region.point(5, 5, positive=False)), fc.PromptError, "positive"),
    (lambda f, s: s.interact(fc.Region.point(500, 5)), fc.PromptError, "outside"),
    (
        lambda f, s: s.interact(fc.Region.point(5, 5), previous=f.encode(IMAGE).interact(
            fc.Region.point(5, 5))),
        fc.PromptError, "same scene",
    ),
    (
        lambda f, s: s.interact([fc.Region.point(5, 5)], [fc.Region.point(9, 9)],
                                previous=s.interact(fc.Region.point(5, 5))),
        fc.PromptError, "1 objects but 2",
    ),
    (lambda f, s: fc.load("no-such-model"),
     fc.CheckpointError, "no-such-model"),
    (lambda f, s: Find(f.model, f.vision, f.language, device="tpu9"), fc.FindError, "device"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(BAD_INPUT)))
def test_exception(find, scene, case):
    call, error, says = BAD_INPUT[case]
    with pytest.raises(error, match=says):
        call(find, scene)


def test_half_precision_encoder_stays_close(find):
    half = Find(find.model, find.vision, find.language, device="cpu", dtype=torch.bfloat16)
    exact, rough = find.encode(IMAGE), half.encode(IMAGE)
    assert rough.state.mask_features.dtype == torch.float32
    assert rough.embedding @ exact.embedding > 0.99


def test_selection_by_score_takes_the_best_score():
    find = tiny_find(selection="score")
    scene = find.encode(IMAGE)
    entity = scene.localize(prompts()["visual"], threshold=0.0).entities[0]
    assert entity.score == pytest.approx(max(i.score for i in entity.instances))
    assert scene.localize("mug").relevance == pytest.approx(
        find.encode(IMAGE).localize("mug", threshold=0.0).entities[0].score
    )
    with pytest.raises(fc.CheckpointError, match="selection"):
        type(find.config).from_dict(find.config.to_dict() | {"selection": "magic"})


def test_single_things_take_masks_apart():
    plain, apart = tiny_find(), tiny_find(single_things=True)
    assert plain.fingerprint == apart.fingerprint
    for prompt in ("mug", "plate"):
        whole = plain.encode(IMAGE).localize(prompt, threshold=0.0).entities[0]
        part = apart.encode(IMAGE).localize(prompt, threshold=0.0).entities[0]
        assert part.score == pytest.approx(whole.score)
        assert part.mask.any() and not (part.mask & ~whole.mask).any()
        assert any(np.array_equal(part.mask, i.mask) for i in part.instances)


def test_single_things_keep_what_a_click_touches():
    """Network outputs of random weights are blobs all over the picture: some fall apart."""
    plain, apart = (tiny_find(single_things=x).encode(IMAGE) for x in (False, True))
    smaller = 0
    for x in range(10, 150, 20):
        click = fc.Region.point(x, 60)
        whole, part = plain.interact(click), apart.interact(click)
        assert not (part.mask & ~whole.mask).any() and part.mask.any() == whole.mask.any()
        assert bool(part.mask[60, x]) == bool(whole.mask[60, x])
        assert part.scores[0] == pytest.approx(whole.scores[0])
        smaller += part.mask.sum() < whole.mask.sum()
    assert smaller > 0


@pytest.mark.parametrize("apart", [True, False])
def test_saved_settings_survive(tmp_path, apart):
    from find_core import checkpoint

    find = tiny_find(single_things=apart)
    checkpoint.save(tmp_path / "m", find.model, find.vision, find.language)
    again = fc.load(str(tmp_path / "m"), device="cpu")
    assert again.config.single_things is apart
    assert again.fingerprint == find.fingerprint


def test_another_input_size_is_another_look_in_the_same_space(find: Find):
    parts = find.model, find.vision, find.language
    small = Find(*parts, device="cpu", input_px=32)
    image = np.random.default_rng(0).integers(0, 255, (128, 192, 3), dtype=np.uint8)
    shapes = [f.encode(image).object_mask_logits.shape[1:] for f in (find, small)]
    assert shapes == [(16, 24), (8, 12)]
    assert small.fingerprint == find.fingerprint
    answer = small.encode(image).localize(find.compile("the <mug>"))
    assert answer.entities[0].mask.shape == (128, 192)
    with pytest.raises(fc.FindError, match="at least 32"):
        Find(*parts, device="cpu", input_px=16)


def test_a_model_at_another_input_size_shares_its_weights(find: Find):
    image = np.random.default_rng(0).integers(0, 255, (128, 192, 3), dtype=np.uint8)
    small = find.at_input_px(32)
    assert small.model is find.model and small.runtime is find.runtime
    made = Find(find.model, find.vision, find.language, device="cpu", input_px=32)
    logits = [f.encode(image).object_mask_logits for f in (small, made, small.at_input_px(None))]
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-5)
    assert np.array_equal(logits[2], find.encode(image).object_mask_logits), "its own size again"
    shown = fc.Prompt.parse("the <thing>", thing=fc.Reference(image, box=(20, 20, 90, 90)))
    ours, theirs = small.compile(shown), find.compile(shown)
    assert not np.allclose(ours.entity_embeddings, theirs.entity_embeddings), "seen at its own size"
    assert small.encode(image).localize(theirs).entities[0].mask.shape == (128, 192)
    with pytest.raises(fc.FindError, match="at least 32"):
        find.at_input_px(16)
