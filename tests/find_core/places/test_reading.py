"""A judge beside a model: when it is asked, and that nothing changes where it is not."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
import torch

from find_core.encoders.precompute import texts_of
from find_core.errors import CheckpointError, PromptError
from find_core.places.judge import JudgeSizes, PlaceJudge
from find_core.places.reading import read_places
from find_core.places.store import load_places, save_places
from find_core.places.words import BLANK, blanked
from find_core.prompts.prompt import Prompt, Reference
from find_core.testing import tiny_find

IMAGE = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)


def judge_for(find, seed=0):
    torch.manual_seed(seed)
    return PlaceJudge(JudgeSizes(token_width=find.language.width)).eval()


@pytest.fixture
def judged():
    find = tiny_find(single_things=True, selection="score")
    find.places = judge_for(find)
    return find


def test_names_are_blanked():
    shown = Reference(IMAGE, box=(0, 0, 9, 9))
    text, spans = blanked(Prompt.parse("the <white mug> left of <it>!", it=shown))
    assert text == f"the {BLANK} left of {BLANK}!"
    assert [text[a:b] for a, b in spans] == [BLANK, BLANK]


def test_the_words_do_not_know_what_things_are(judged):
    one = read_places(judged.places, judged.language, Prompt.parse("the <mug> by the <red plate>"))
    two = read_places(judged.places, judged.language, Prompt.parse("the <cat> by the <sofa>"))
    assert torch.equal(one.contexts_EEC, two.contexts_EEC)


@pytest.mark.parametrize("text", ["the <mug>", "mug left of the plate"])
def test_one_entity_is_not_judged(judged, text):
    assert judged.compile(text).places is None
    plain = tiny_find(single_things=True, selection="score")
    a, b = judged.encode(IMAGE).localize(text), plain.encode(IMAGE).localize(text)
    assert a.place_score is None and a.to_json() == b.to_json()


def test_several_entities_are_judged(judged):
    scene, text = judged.encode(IMAGE), "the <mug> left of the <plate>"
    compiled = judged.compile(text)
    answer = scene.localize(compiled)
    assert 0 <= answer.place_score <= 1
    assert answer.to_json()["place_score"] == round(answer.place_score, 4)
    alone = scene.localize(dataclasses.replace(compiled, places=None))
    assert alone.place_score is None and "place_score" not in alone.to_json()
    fast = scene.localize(compiled, fast=True)
    assert fast.place_score is not None


def test_places_choose_and_scores_find(judged):
    """Whichever candidate comes first: whether one is found, and how surely, is as before."""
    scene, text = judged.encode(IMAGE), "the <mug> left of the <plate>"
    compiled = judged.compile(text)
    for threshold in (0.0, None, 1.0):
        answer = scene.localize(compiled, threshold=threshold)
        alone = scene.localize(dataclasses.replace(compiled, places=None), threshold=threshold)
        assert answer.relevance == alone.relevance
        for mine, theirs in zip(answer.entities, alone.entities, strict=True):
            assert (mine.found, mine.score) == (theirs.found, theirs.score)
            assert not mine.found or mine.instances[0].mask is mine.mask


def test_a_cache_without_the_blanked_sentence_is_no_error(judged, caplog):
    class Forgetful:
        def encode(self, texts):
            raise PromptError("not in the language cache")

    prompt = Prompt.parse("the <mug> by the <plate>")
    with caplog.at_level(logging.WARNING):
        assert read_places(judged.places, Forgetful(), prompt) is None
    assert "Places are not judged" in caplog.text
    assert blanked(prompt)[0] in texts_of([prompt])
    assert not any(BLANK in text for text in texts_of([Prompt.parse("a <mug>")]))


def test_store_round_trip(judged, tmp_path):
    path = save_places(tmp_path / "places.safetensors", judged.places, judged.config.language)
    again = load_places(path, judged.config.language)
    for name, tensor in judged.places.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, atol=2e-3, rtol=2e-3)


def test_store_refuses(judged, tmp_path):
    path = save_places(tmp_path / "places.safetensors", judged.places, judged.config.language)
    other = dataclasses.replace(judged.config.language, name="minilm")
    with pytest.raises(CheckpointError, match="made for the language model 'tiny_text'"):
        load_places(path, other)
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x40
    (tmp_path / "damaged.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        load_places(tmp_path / "damaged.safetensors", judged.config.language)
    (tmp_path / "short.safetensors").write_bytes(data[:100])
    with pytest.raises(CheckpointError, match="truncated"):
        load_places(tmp_path / "short.safetensors", judged.config.language)
