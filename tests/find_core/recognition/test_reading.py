"""A recogniser beside a model: what it changes, and that nothing changes without it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from find_core.errors import CheckpointError
from find_core.model.attention_table import TokenGroup
from find_core.prompts.prompt import Prompt, Reference
from find_core.recognition.pooling import pooled_proposals
from find_core.recognition.reading import class_looks, mean_tokens
from find_core.recognition.store import carry_recognizer, load_recognizer, save_recognizer
from find_core.tasks import segment
from find_core.testing import tiny_find
from tests.find_core.recognition.test_recognizer import IMAGE, recognizer_for

SHOWN = Reference(IMAGE, box=(10, 10, 40, 40))


@pytest.fixture(scope="module")
def recognising():
    find = tiny_find(selection="score")
    find.recognizer = recognizer_for(find)
    return find


def test_scores_are_the_combined_ones(recognising):
    plain = tiny_find(selection="score")
    scene, twin = recognising.encode(IMAGE), plain.encode(IMAGE)
    prompt = Prompt.parse("the <mug> by <it>", it=SHOWN)
    compiled = recognising.compile(prompt)
    assert compiled.looks is not None and plain.compile(prompt).looks is None
    assert [e.score for e in scene.localize(prompt).entities] != [
        e.score for e in twin.localize(prompt).entities
    ]
    assert scene.relevance(prompt) != twin.relevance(prompt)
    batched = scene.localize_many(["<plate>", prompt])[1]
    assert batched.to_json() == scene.localize(prompt).to_json()


def test_without_a_share_the_ranking_is_the_interfaces(recognising):
    find = tiny_find(selection="score")
    find.recognizer = recognizer_for(find)
    for name in ("share_of_names", "share_of_references"):
        setattr(find.recognizer, name, torch.tensor(0.0))
    find.recognizer.relevance_scale = torch.tensor(find.config.relevance_scale)
    find.recognizer.relevance_bias = torch.tensor(find.config.relevance_bias)
    a = find.encode(IMAGE).localize("the <mug> on the <plate>")
    b = tiny_find(selection="score").encode(IMAGE).localize("the <mug> on the <plate>")
    assert a.to_json() == b.to_json()


def test_a_references_words_are_not_read(recognising):
    one = recognising.compile(Prompt.parse("the <mug>", mug=SHOWN)).looks
    two = recognising.compile(Prompt.parse("the <carton>", carton=SHOWN)).looks
    assert torch.equal(one.units_EV, two.units_EV) and not one.own_EC.any()


def test_learnt_names_are_rows_of_the_bank(recognising):
    looks = recognising.compile("the <Red Cup> and the <sofa>").looks
    assert torch.equal(looks.units_EV[0], recognising.recognizer.bank_CV[2])
    assert looks.own_EC.tolist() == [[False, False, True], [False, False, False]]
    assert looks.share_E.tolist() == pytest.approx([0.3, 0.0])
    assert recognising.compile("the mug").looks is not None  # without brackets, with an article


def test_words_that_are_no_name_of_the_bank_are_the_interfaces(recognising):
    assert recognising.compile("the <sofa>").looks is None
    plain, prompt = tiny_find(selection="score"), "the <mug> and the <sofa>"
    mixed = recognising.encode(IMAGE).localize(prompt).entities
    alone = plain.encode(IMAGE).localize(prompt).entities
    assert mixed[1].score == alone[1].score and mixed[0].score != alone[0].score


def test_saved_and_loaded(recognising, tmp_path):
    config = recognising.config
    path = save_recognizer(
        tmp_path / "recognizer.safetensors", recognising.recognizer, config.vision, config.language
    )
    again = load_recognizer(path, config.vision, config.language)
    assert again.bank_names == recognising.recognizer.bank_names
    assert torch.allclose(again.bank_CV, recognising.recognizer.bank_CV, atol=1e-3)
    assert float(again.likeness) == 2.0
    (tmp_path / "other").mkdir()
    assert carry_recognizer(tmp_path, tmp_path / "other", config.vision, config.language)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        load_recognizer(path, config.vision, config.language)
    assert not carry_recognizer(tmp_path, tmp_path, config.vision, config.language)


def test_other_encoders_are_refused(recognising, tmp_path):
    import dataclasses

    config = recognising.config
    path = save_recognizer(
        tmp_path / "r.safetensors", recognising.recognizer, config.vision, config.language
    )
    larger = dataclasses.replace(config.vision, short_side_px=999)
    load_recognizer(path, larger, config.language)
    with pytest.raises(CheckpointError, match="was made for the encoders"):
        load_recognizer(path, dataclasses.replace(config.vision, name="focal"), config.language)


def test_a_bank_without_names_is_refused(recognising, tmp_path):
    config = recognising.config
    made = recognizer_for(recognising)
    made.bank_names = ("mug",)
    path = save_recognizer(tmp_path / "r.safetensors", made, config.vision, config.language)
    with pytest.raises(CheckpointError, match="does not name each row"):
        load_recognizer(path, config.vision, config.language)


def test_a_scene_of_a_runtime_without_maps_is_asked_the_old_way(recognising):
    scene = recognising.encode(IMAGE)
    scene.state.frozen = []
    plain = tiny_find(selection="score").encode(IMAGE)
    assert scene.localize("the <mug>").to_json() == plain.localize("the <mug>").to_json()
    assert np.isclose(scene.relevance("the <mug>"), plain.relevance("the <mug>"))


def test_classes_are_the_geometric_mean_of_both(recognising):
    scene, names = recognising.encode(IMAGE), ["mug", "sofa", Prompt.parse("the <it>", it=SHOWN)]
    mixed = segment._class_logits(scene, names).softmax(-1)
    plain = segment._class_logits(tiny_find(selection="score").encode(IMAGE), names).softmax(-1)
    assert torch.allclose(mixed[:, -1], plain[:, -1], atol=1e-5)  # background is the interface's
    made = recognising.recognizer
    looks = class_looks(recognising, made, names)
    pixel_QP = scene.objects.pixel[TokenGroup.OBJECT][0]
    units = made.of_regions(pooled_proposals(pixel_QP, scene.state, scene.geometry))
    seen = (made.log_scale.exp() * units @ looks.T).softmax(-1)
    mean = (plain[:, :-1] * seen).sqrt()
    wanted = mean / mean.sum(1, keepdim=True) * (1 - plain[:, -1:])
    assert torch.allclose(mixed[:, :-1], wanted, atol=1e-4)
    assert scene.segment(names[:2], "semantic").class_map.shape == IMAGE.shape[:2]


def test_classes_are_known_by_bank_words_or_example(recognising):
    made = recognising.recognizer
    shown = Prompt.parse("the <it>", it=SHOWN)
    rows = class_looks(recognising, made, ["the Mug", "sofa", shown, Prompt.parse("a soft seat")])
    assert torch.equal(rows[0], made.bank_CV[0])
    assert torch.allclose(rows[1], made.of_words(mean_tokens(recognising.language, "sofa")))
    assert torch.equal(rows[2], recognising.compile(shown).looks.units_EV[0])
    assert torch.allclose(rows[3], made.of_words(mean_tokens(recognising.language, "a soft seat")))
