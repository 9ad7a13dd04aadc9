"""Phrases in sentences: every span holds its phrase, other words keep colour and sense."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data.queries import paraphrase as wording
from training.data.queries.name_groups import group_of
from training.tabletop.assets.kinds import SHAPES, held_out_names_in

PHRASES = st.lists(
    st.sampled_from(["red bowl", "mug", "ketchup bottle", "white cup left of the plate", "kettle"]),
    max_size=12,
)


@given(PHRASES, st.integers(0, 2**32 - 1))
def test_every_phrase_is_said_once_in_order(phrases: list[str], seed: int) -> None:
    said = wording.paraphrase(phrases, np.random.default_rng(seed))
    words = [s.sentence[lo:hi] for s in said for lo, hi in s.spans]
    assert len(words) == len(phrases)
    for phrase, spoken in zip(phrases, words, strict=True):
        first, last = phrase.split()[0], phrase.split()[-1]
        assert spoken == phrase or spoken in [
            phrase.removesuffix(last) + other for other in wording.OTHER_WORDS[last]
        ]
        assert spoken.startswith(first) or first == last


def test_all_forms_come_up() -> None:
    rng = np.random.default_rng(0)
    said = wording.paraphrase(["red cup"] * 400, rng)
    assert any(s.sentence == "red cup" for s in said)
    assert any(s.sentence == "find the red cup" for s in said)
    assert any("red tea cup" in s.sentence for s in said)
    assert {len(s.spans) for s in said} == {1, 2, 3}


def test_long_phrases_are_said_one_by_one() -> None:
    """Three of them would not fit what a language encoder reads."""
    long = "mug " + "with a handle " * 10
    said = wording.paraphrase([long] * 60, np.random.default_rng(0))
    assert all(len(s.spans) == 1 for s in said) and len(said) == 60


def test_only_plain_nouns_are_said_otherwise() -> None:
    rng = np.random.default_rng(0)
    for phrase in ("ketchup bottle", "bottle left of the box", "striped cup", "spoon"):
        assert all(wording.reworded(phrase, rng) == phrase for _ in range(100))


def test_other_words_name_known_kinds_and_no_held_out_one() -> None:
    known = {name for kind in SHAPES.values() for name in kind.names}
    libero = {"carton", "cabinet", "stove"}
    assert set(wording.OTHER_WORDS) <= known | libero
    for noun, words in wording.OTHER_WORDS.items():
        assert not [w for w in (noun, *words) if held_out_names_in(w)]


def test_other_words_of_photographs_are_of_the_same_group() -> None:
    for noun, words in wording.PHOTO_WORDS.items():
        group = group_of(noun)
        assert group is not None and noun not in wording.OTHER_WORDS
        assert {group_of(w) for w in words} <= {group, None}
