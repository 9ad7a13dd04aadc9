"""The built-in writer says what labels and captions say, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.data_engine.conftest import image, segment
from training.data_engine.check import check_sentence
from training.data_engine.nouns import Lexicon, head_of, nouns_of, plural_of
from training.data_engine.writers.base import Wish
from training.data_engine.writers.marking import mark_caption
from training.data_engine.writers.template import TemplateWriter, compose, place, referring_name

NAMES = ["person", "dog", "horse", "stove", "oven", "refrigerator", "microwave", "bicycle", "train", "car",
         "grass", "tree", "playingfield", "wall-brick", "wall", "sheep", "orange", "dining table"]  # fmt: skip
LEXICON = Lexicon(NAMES)
RIDER = image(segment(1, "person"), segment(2, "bicycle"), segment(3, "train"), segment(4, "grass", thing=False))  # fmt: skip


def marks(caption: str, picture=RIDER) -> str | None:
    return mark_caption(caption, picture, LEXICON)


@pytest.mark.parametrize(
    ("caption", "marked"),
    [
        ("A man on a bicycle", "[1]<A man> on [2]<a bicycle>."),
        ("a guy riding his old bike.", "[1]<a guy> riding [2]<his old bike>."),
        ("There is a red and white train here", "There is [3]<a red and white train> here."),
        ("Grass, bike and train.", "[4]<Grass>, [2]<bike> and [3]<train>."),
        ("Two men on a bike", "Two men on [2]<a bike>."),  # several: not marked
        ("People near a train station", None),  # part of a longer noun
        ("There is no bicycle.", None),
        ("a man and a woman", None),  # one person is labelled: which of them?
        ("The sky is blue", None),
        ("A trip by train", None),
        ("Some [odd] <text> with a bike", "Some odd text with [2]<a bike>."),
    ],
)
def test_marks_in_captions(caption: str, marked: str | None) -> None:
    assert marks(caption) == marked


def test_of_several_only_one_that_is_much_larger() -> None:
    large, small = segment(1, "person", (0, 0, 100, 100)), segment(2, "person", (0, 0, 20, 20))
    like = segment(3, "person", (0, 0, 60, 60))
    assert marks("A man waits.", image(large, small)) == "[1]<A man> waits."
    assert marks("A man waits.", image(large, like)) is None
    assert marks("A person waits.", image(large, small)) is None, "true of the small one too"
    crowd = segment(4, "person", (0, 0, 90, 90), crowd=True)
    assert marks("A man waits.", image(large, crowd)) is None
    assert marks("A man waits.", image(segment(1, "person", (0, 0, 9, 9)))) is None, "too small"


def test_a_noun_of_two_classes_that_are_both_there_is_not_marked() -> None:
    walls = [segment(1, "wall-brick", thing=False), segment(2, "wall", thing=False)]
    assert marks("A brick wall.", image(*walls)) == "[1]<A brick wall>."
    assert marks("A wall.", image(*walls)) is None
    assert marks("A wall.", image(walls[0])) == "[1]<A wall>."


def test_plural_of_a_merged_region_is_marked() -> None:
    dogs = segment(1, "dog", merged=True)
    assert marks("Two dogs run.", image(dogs)) == "Two [1]<dogs> run."
    assert marks("Two dogs run.", image(segment(1, "dog"))) is None


def test_composed_sentences_are_true_by_the_boxes() -> None:
    left, right = segment(1, "dog", (0, 0, 50, 50)), segment(2, "car", (300, 0, 400, 80))
    assert place(left, right) == "to the left of" and place(right, left) == "to the right of"
    above, below = segment(1, "dog", (0, 0, 50, 50)), segment(2, "car", (10, 200, 60, 300))
    assert place(above, below) == "higher up than" and place(below, above) == "lower down than"
    assert place(segment(1, "dog", (0, 0, 50, 50)), segment(2, "car", (20, 20, 90, 90))) == ""
    (text,) = compose(image(left, right), 4, np.random.default_rng(0))
    assert text == "[2]<The car> is to the right of [1]<the dog>."


def test_like_things_are_told_apart_by_their_place_or_left_out() -> None:
    a, b = segment(1, "dog", (0, 0, 50, 50)), segment(2, "dog", (300, 0, 350, 50))
    c = segment(3, "dog", (0, 200, 50, 250))
    assert referring_name(a, image(a, b)) == "the left dog"
    assert referring_name(b, image(a, b)) == "the right dog"
    assert referring_name(c, image(a, c)) == "the lower dog"
    assert referring_name(a, image(a, b, c)) == ""
    near = segment(4, "dog", (10, 0, 60, 50))
    assert referring_name(a, image(a, near)) == ""
    assert compose(image(a, near), 4, np.random.default_rng(0)) == []


def test_writes_the_same_again_and_passes_the_checks() -> None:
    picture = image(*RIDER.segments, segment(9, "dog", (300, 300, 360, 360)),
                    captions=("A man on a bike.", "a man on a bike.", "A train passes a man on a bike"))  # fmt: skip
    for long in (False, True):
        answers = TemplateWriter(LEXICON).write(picture, Wish(long=long)).answers
        assert answers == TemplateWriter(LEXICON).write(picture, Wish(long=long)).answers
        for answer in answers:
            check_sentence(answer, picture, LEXICON)
    short = TemplateWriter(LEXICON).write(picture, Wish()).answers
    assert short == ("[3]<A train> passes [1]<a man> on [2]<a bike>.", "[1]<A man> on [2]<a bike>.")
    (paragraph,) = TemplateWriter(LEXICON).write(picture, Wish(long=True)).answers
    assert paragraph.startswith(short[0]) and "[9]<" in paragraph and "[4]<" in paragraph


def test_nouns() -> None:
    assert [plural_of(n) for n in ("wine glass", "man", "baby", "key", "knife")] == [
        "wine glasses", "men", "babies", "keys", "knives"]  # fmt: skip
    assert nouns_of("playingfield")[0] == "playing field"
    assert nouns_of("red coffee mug") == ("red coffee mug", "mug")
    assert head_of("the man on a horse") == "the man" and head_of("the red car") == "the red car"
    (mention,) = LEXICON.mentions("Three sheep.")
    assert mention.plural and mention.classes == {"sheep"}
