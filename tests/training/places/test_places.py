"""Learning places: what is asked is what holds, and a judge of a minute beats chance."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from find_core.encoders.base import LanguageConfig
from find_core.encoders.registry import build_language
from find_core.places.geometry import METRIC_BLOCK
from find_core.places.judge import JudgeSizes, PlaceJudge
from find_core.places.store import load_places
from find_core.places.words import BLANK
from training.places.examples import CANDIDATES, collate, question, read_sentences
from training.places.layouts import Thing, at_random, of_scene
from training.places.learning import figures, log_verdicts
from training.places.sentences import (
    held_sentences,
    load_phrases,
    sentence,
    training_sentences,
)
from training.places.train import draw_questions, grouped, main, random_views, train
from training.places.views import FALSE, RELATIONS, TRUE, Picture, draw, relations, view_of
from training.tabletop.scene.cameras import look_at

K = np.array([[120.0, 0, 79.5], [0, 120, 59.5], [0, 0, 1]])


def box(x: float, y: float, size: float = 0.1, **more) -> Thing:
    return Thing(np.array([x, y, size / 2]), np.eye(3), np.full(3, size), **more)


def picture(azimuth_deg: float = -90.0) -> Picture:
    """From the -y side, or turned about z."""
    a = np.radians(azimuth_deg)
    eye = np.array([1.2 * np.cos(a), 1.2 * np.sin(a), 0.7])
    return Picture(look_at(eye, np.zeros(3)), K, 160, 120)


def state(things, name, a, b, azimuth_deg=-90.0):
    found = relations(things, picture(azimuth_deg).T_world_camera)
    return found[RELATIONS.index(name), a, b]


def test_relations_turn_with_the_camera():
    things = [box(-0.2, 0), box(0.2, 0)]
    assert state(things, "left", 0, 1) == TRUE and state(things, "right", 0, 1) == FALSE
    assert state(things, "left", 0, 1, azimuth_deg=90) == FALSE
    assert state(things, "right", 0, 1, azimuth_deg=90) == TRUE
    assert state(things, "behind", 0, 1, azimuth_deg=0) == TRUE
    assert state(things, "far", 0, 1) == TRUE and state(things, "next", 0, 1) == FALSE


def test_resting_things():
    things = [box(0, 0, 0.2), Thing(np.array([0, 0, 0.23]), np.eye(3), np.full(3, 0.06), parent=0)]
    assert state(things, "on", 1, 0) == TRUE and state(things, "under", 0, 1) == TRUE
    assert state(things, "in", 1, 0) == FALSE and state(things, "on", 0, 1) == FALSE


def test_near_things_hide_far_ones():
    things = [box(0, 0.06), box(0, -0.06)]
    masks = draw(things, picture())
    alone = draw(things[:1], picture())[0]
    assert not (masks[0] & masks[1]).any()
    assert masks[0].sum() < alone.sum() and masks[1].sum() > masks[0].sum()


def test_views_say_where_things_are():
    """Of two equal boxes the left one's middle lies to the left in the picture and in metres."""
    view = view_of([box(-0.2, 0), box(0.2, 0)], picture(), np.random.default_rng(3))
    assert view is not None
    offset_px, offset_m = view.features_NNF[0, 1, 10], view.features_NNF[0, 1, METRIC_BLOCK][6]
    assert offset_px < 0 and (offset_m < 0 or not view.features_NNF[0, 1, -2])


def test_sentences():
    rng = np.random.default_rng(0)
    seen, held = training_sentences(rng), held_sentences(rng)
    for s in seen + held:
        assert s.text.count(BLANK) >= len(s.spans) == len(s.letters) == len(set(s.letters))
        assert not re.search("[{}|<>]", s.text), s.text
        assert set("".join(letters for _, *rest in s.claims for letters in rest)) <= set(s.letters)
    trained = {s.text for s in seen}
    assert not trained & {s.text for s in held if s.novel in ("phrase", "both") and s.claims}
    assert {c[0] for s in seen for c in s.claims} >= {*RELATIONS, "between", "closest"}


def test_no_held_phrase_is_trained_on():
    for name, words in load_phrases()["relations"].items():
        for kind in ("", "adverb_"):
            assert not set(words[f"{kind}train"]) & set(words[f"{kind}held"]), name


def test_questions_follow_the_order_of_the_sentence():
    """ "the b with the a on its left": the first entity is b."""
    rng, language = np.random.default_rng(0), build_language(LanguageConfig("tiny_text"))
    turned = sentence("the {b} with the {a} on its left", (("left", "a", "b"),))
    (read,) = read_sentences([turned], language)
    view = view_of([box(-0.3, 0), box(0, 0), box(0.3, 0)], picture(), rng)
    for _ in range(20):
        asked = question(read, view, rng)
        if asked is None:
            continue
        left = view.truth_RNN[RELATIONS.index("left")]
        for index in np.ndindex(asked.truth.shape):
            b, a = (asked.rows[e][k] for e, k in enumerate(index))
            assert asked.truth[index] == left[a, b]


def test_batched_verdicts_equal_those_of_one_scene():
    rng, language = np.random.default_rng(1), build_language(LanguageConfig("tiny_text"))
    reads = read_sentences(
        [sentence("the {a} left of the {b}", (("left", "a", "b"),)),
         sentence("between the {b} and the {c}: the {a}", (("between", "a", "b", "c"),))],
        language,
    )  # fmt: skip
    torch.manual_seed(0)
    judge = PlaceJudge(JudgeSizes(token_width=language.width)).eval()
    views = random_views(12, rng)
    for read in reads:
        questions = draw_questions([[read]], views, 3, rng)
        batch = collate(questions, rng, "image")
        with torch.inference_mode():
            many = log_verdicts(judge, batch)
        count = len(read.sentence.letters)
        for n, q in enumerate(questions):
            contexts = judge.contexts(read.states.float(), read.entity, count)
            rows = np.unique(q.rows)
            features = torch.from_numpy(q.view.features_NNF[np.ix_(rows, rows)].astype(np.float32))
            if (features[0, 1, -4] == 1).all():
                features[..., METRIC_BLOCK], features[..., -3:] = 0, 0
            lists = [np.searchsorted(rows, row[: q.truth.shape[e]]) for e, row in enumerate(q.rows)]
            log_p, grid = judge(contexts, features, lists)
            for p, cell in zip(log_p, grid, strict=True):
                torch.testing.assert_close(p, many[(n, *cell)], atol=1e-4, rtol=1e-4)
        assert batch.features.shape[3] == CANDIDATES[count]


def test_scenes_of_files():
    scene = {
        "instances": [
            {"id": 4, "stuff": False, "kind": "mug", "center_world_m": [0, 0, 0.05],
             "extent_m": [0.1, 0.1, 0.1], "T_world_object": np.eye(4).tolist()},
            {"id": 2, "stuff": False, "kind": "plate", "center_world_m": [0, 0, -0.01],
             "extent_m": [0.2, 0.2, 0.02], "T_world_object": np.eye(4).tolist()},
            {"id": 7, "stuff": True, "kind": "table", "center_world_m": [0, 0, -0.04],
             "extent_m": [1, 1, 0.04], "T_world_object": np.eye(4).tolist()},
        ],
        "relations": [[4, "on", 2], [2, "on", 7]],
    }  # fmt: skip
    things = of_scene(scene, np.random.default_rng(0))
    by_number = {t.number: t for t in things}
    mug, plate = by_number[4], by_number[2]
    assert things[mug.parent] is plate and not mug.inside
    assert plate.parent is None and by_number[7].is_ground


def test_a_judge_of_few_steps_beats_chance():
    rng, language = np.random.default_rng(0), build_language(LanguageConfig("tiny_text"))
    templates = ("the {a} left of the {b}", "the {a} right of the {b}")
    names = ("left", "right")
    reads = read_sentences(
        [sentence(t, ((n, "a", "b"),)) for t, n in zip(templates, names, strict=True)], language
    )
    views = random_views(70, rng)
    torch.manual_seed(0)
    judge = PlaceJudge(JudgeSizes(token_width=language.width))
    train(judge, reads, views[20:], steps=60, seed=0, progress=False)
    questions = draw_questions(grouped(reads), views[:20], 150, rng)
    got = figures(judge, questions, "image")
    assert got["right"] > got["chance"] + 0.15 and got["auc"] > 0.7


def test_command(tmp_path, capsys):
    out = tmp_path / "places.safetensors"
    main(["--out", str(out), "--language", "tiny_text", "--layouts", "40", "--steps", "2",
          "--questions", "30", "--json", str(tmp_path / "figures.json")])  # fmt: skip
    judge = load_places(out, LanguageConfig("tiny_text"))
    assert isinstance(judge, PlaceJudge)
    written = json.loads((tmp_path / "figures.json").read_text())
    assert 0 <= written["figures"]["words of training"]["image"]["auc"] <= 1
    assert at_random(np.random.default_rng(0))


def test_command_refuses(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path / "x.safetensors"), "--language", "no such model"])
    assert "Traceback" not in capsys.readouterr().err
