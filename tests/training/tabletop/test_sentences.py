"""The template writer on hand-made scenes: no renderer, no assets."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("trimesh", reason="the gallery's types come with trimesh")

from training.tabletop.language.grammar import plural
from training.tabletop.language.instructions import Instruction
from training.tabletop.language.sentences import Writer
from training.tabletop.language.truth import Query, SceneObject, is_denied, matching, truth
from training.tabletop.scene.relations import Judgement
from training.truth import FALSE, TRUE, UNKNOWN


def item(number, nouns, color="", **more):
    nouns = frozenset(nouns.split("|"))
    return SceneObject(number, f"a{number}", nouns, name=min(nouns), color=color, **more)


WHITE_MUG = item(1, "mug|cup", "white", category="tableware")
BLUE_MUG = item(2, "mug|cup", "blue", category="tableware")
PLATE = item(3, "plate|dish", "yellow", category="tableware")
TABLE = item(4, "table", stuff=True, category="surface")
SCENE = [WHITE_MUG, BLUE_MUG, PLATE, TABLE]
RELATIONS = Judgement(
    frozenset(
        {
            (1, "left of", 3),
            (3, "right of", 1),
            (2, "right of", 3),
            (3, "left of", 2),
            (1, "on", 4),
            (2, "on", 4),
            (3, "on", 4),
        }
    ),
    frozenset({(1, "next to", 3)}),
)


def writer(objects=SCENE, seed=0, **more):
    return Writer(
        objects,
        RELATIONS,
        lambda q: [t.asset for t in objects if truth(t, q) is TRUE],
        np.random.default_rng(seed),
        **more,
    )


def test_truth_is_three_valued():
    carton = item(5, "carton", maybe_nouns=frozenset({"box"}), also_colors=frozenset({"red"}))
    assert truth(carton, Query("carton")) is TRUE
    assert truth(carton, Query("box")) is UNKNOWN
    assert truth(carton, Query("mug")) is FALSE
    assert truth(carton, Query("carton", color="red")) is UNKNOWN
    assert truth(carton, Query("mug", color="red")) is FALSE


def test_close_colors_are_never_denied():
    orange = item(5, "ball", "orange")
    assert truth(orange, Query("ball", color="red")) is FALSE
    assert not is_denied([orange], Query("ball", color="red"))
    assert is_denied([orange], Query("ball", color="green"))


def test_arguable_phrases_are_not_used():
    carton = item(5, "carton", maybe_nouns=frozenset({"mug"}))
    assert matching([WHITE_MUG, carton], Query("mug")) is None
    assert matching([WHITE_MUG, BLUE_MUG], Query("mug")) == [1, 2]


@pytest.mark.parametrize("seed", range(12))
def test_phrases_hold_for_exactly_their_instances(seed):
    for phrase in writer(seed=seed).phrases():
        words, ids = phrase["text"], phrase["instance_ids"]
        if phrase["type"] in ("name", "attribute"):
            noun = words.split()[-1]
            color = words.split()[0] if " " in words else ""
            expected = [
                t.id
                for t in SCENE
                if noun in t.nouns | {"object", "thing", "item"}
                and (noun in t.nouns or not t.stuff)
                and (not color or t.color == color)
            ]
            assert ids == expected, phrase
        assert phrase["matches"] is None or phrase["type"] != "relation"


@pytest.mark.parametrize("seed", range(12))
def test_a_relation_picks_one_of_the_look_alikes(seed):
    for phrase in writer(seed=seed).phrases():
        if phrase["text"] in ("mug left of the plate", "cup to the left of the plate"):
            assert phrase["instance_ids"] == [1]
        if phrase["text"].startswith(("mug right of", "mug to the right of")):
            assert phrase["instance_ids"] == [2]


@pytest.mark.parametrize("seed", range(12))
def test_sentences_mark_each_entity_once(seed):
    for sentence in writer(seed=seed).sentences():
        assert sentence["text"].count("<") == len(sentence["entities"])
        assert all(sentence["entities"])


def test_unclear_relations_are_neither_said_nor_denied():
    for seed in range(20):
        written = writer(seed=seed).write([])
        texts = [p["text"] for p in written.phrases + written.absent]
        said = [t for t in texts if "white mug next to" in t or "white mug beside" in t]
        assert not [t for t in said if "plate" in t]


def test_absent_phrases_are_true_of_nothing():
    pool = [item(-1, "mug|cup", c, category="tableware") for c in ("green", "white", "purple")]
    pool += [item(-1, "ball", "red", category="shape")]
    for seed in range(10):
        for absent in writer(seed=seed).absent(pool):
            assert absent["text"] not in ("white mug", "white cup", "mug", "cup", "plate")


def test_an_instruction_needs_all_its_things_once():
    instruction = Instruction(
        ("put the ", Query("mug", color="white"), " on the ", Query("plate"), "")
    )
    ambiguous = Instruction(("pick up the ", Query("mug"), ""))
    texts = [s["text"] for s in writer(instructions=[instruction, ambiguous]).sentences()]
    assert "put the <white mug> on the <plate>" in texts
    assert "pick up the <mug>" not in texts


@pytest.mark.parametrize(
    "one, many",
    [
        ("mug", "mugs"),
        ("box", "boxes"),
        ("shelf", "shelves"),
        ("loaf of bread", "loaves of bread"),
        ("dish", "dishes"),
        ("berry", "berries"),
        ("tray", "trays"),
    ],
)
def test_plural(one, many):
    assert plural(one) == many


def test_same_seed_same_words():
    assert writer(seed=3).write([]) == writer(seed=3).write([])
