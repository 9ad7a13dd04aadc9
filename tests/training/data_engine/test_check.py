"""Every claim of a sentence is checked: each test breaks one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.data_engine.conftest import image, segment
from training.data.formats.references import parse_raw
from training.data_engine.check import RefusedError, check_sentence, parse_sentence
from training.data_engine.nouns import Lexicon
from training.data_engine.output import annotation_of

CLASSES = Lexicon(["dog", "person", "horse", "grass", "pizza", "scissors", "cup", "dining table", "table"])  # fmt: skip
PARK = image(
    segment(7, "person"), segment(12, "dog"), segment(13, "dog", (200, 0, 260, 60)),
    segment(3, "grass", (0, 200, 640, 480), thing=False), segment(9, "horse", crowd=True),
    segment(5, "pizza", area_px=0), segment(21, "scissors"),
)  # fmt: skip


def reason_of(answer) -> str:
    with pytest.raises(RefusedError) as error:
        check_sentence(answer, PARK, CLASSES)
    return error.value.reason


def test_what_holds_is_taken() -> None:
    raw = "[7]<A woman> walks  [12]<a brown dog> on [3]<the grass>, with [21]<scissors>."
    sentence = check_sentence(raw, PARK, CLASSES)
    assert sentence.plain == "A woman walks a brown dog on the grass, with scissors."
    assert [p.segment_id for p in sentence.phrases] == [7, 12, 3, 21]
    assert [sentence.plain[p.start : p.end] for p in sentence.phrases] == [
        "A woman", "a brown dog", "the grass", "scissors",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("No mark at all.", "no entity"),
        ("[7]A woman without brackets.", "form"),
        ("[7]<A woman> and [12<a dog>.", "form"),
        ("[7]<A <woman>> is here.", "form"),
        ("[7]<A woman> and [x]<a dog>.", "form"),
        ("[7]<A woman>\x07 rings.", "form"),
        ("[7]<A woman> " + "walks " * 300, "form"),
        ("[99]<A woman> walks.", "unknown id"),
        ("[9]<A horse> stands.", "crowd"),
        ("[5]<A pizza> lies there.", "no pixels"),
        ("[7]<A woman> and [7]<a friend> walk.", "twice"),
        ("[7]<It> is here.", "no noun"),
        ("[7]<> is here.", "form"),
        ("[7]<the 1> is here.", "form"),
        ("[12]<A man> walks.", "another's"),
        ("[12]<A man with a dog> walks.", "another's"),
        ("[7]<A cup> stands.", "other class"),
        ("[12]<Two dogs> run.", "several"),
        ("[12]<The dogs> run.", "several"),
        ("[12]<The dog> runs.", "ambiguous"),
    ],
)
def test_what_does_not_hold_is_refused(raw: str, reason: str) -> None:
    if raw == "[7]<the 1> is here.":
        check_sentence(raw, PARK, CLASSES)  # a number is a word: "number 1" may be a player
        return
    assert reason_of(raw) == reason


def test_offsets_that_come_along_must_match() -> None:
    answer = {"sentence_raw": "[7]<A woman> sits.", "sentence": "A woman sits.",
              "phrase": [{"annotation_id": "7", "phrase": "A woman", "_start_idx": 0, "end_idx": 7}]}  # fmt: skip
    assert check_sentence(answer, PARK, CLASSES).plain == "A woman sits."
    assert reason_of({**answer, "sentence": "A woman stands."}) == "span"
    assert reason_of({**answer, "phrase": []}) == "span"
    assert reason_of({**answer, "phrase": ["A woman"]}) == "span"
    for key, value in (
        ("annotation_id", 12),
        ("phrase", "A dog"),
        ("_start_idx", 1),
        ("end_idx", 9),
    ):
        lie = [{**answer["phrase"][0], key: value}]
        assert reason_of({**answer, "phrase": lie}) == "span", key
    assert reason_of({"sentence": "no marks"}) == "form"


def test_only_the_head_names_the_segment() -> None:
    horse = image(segment(1, "horse"), segment(2, "person"))
    assert check_sentence("[1]<the horse under the woman> runs.", horse, CLASSES)
    with pytest.raises(RefusedError, match="another's"):
        check_sentence("[1]<the woman on a horse> runs.", horse, CLASSES)


def test_a_noun_of_two_classes_is_taken_for_either() -> None:
    for name in ("table", "dining table"):
        assert check_sentence("[1]<a table> stands.", image(segment(1, name)), CLASSES)


@given(st.text(alphabet="[]<>0123456789ab dog.", max_size=60))
def test_any_text_is_taken_whole_or_refused(raw: str) -> None:
    """What is taken reads the same in the loader and has offsets that fit."""
    try:
        sentence = check_sentence(raw, PARK, CLASSES)
    except RefusedError:
        return
    annotation = annotation_of(1, sentence.raw)
    markup, ids = parse_raw(annotation["sentence_raw"], [p["phrase"] for p in annotation["phrase"]])
    assert ids == [p["annotation_id"] for p in annotation["phrase"]]
    assert markup.replace("<", "").replace(">", "") == annotation["sentence"]
    for p in annotation["phrase"]:
        assert annotation["sentence"][p["_start_idx"] : p["end_idx"]] == p["phrase"]


def test_plain_text_and_marks_are_told_apart() -> None:
    sentence = parse_sentence("In 2017 [3]<the grass> was green.")
    assert sentence.plain == "In 2017 the grass was green." and sentence.phrases[0].start == 8
