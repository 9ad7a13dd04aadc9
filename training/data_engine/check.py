"""What comes back from a writer is believed in nothing: every sentence is checked against the image.

A sentence names segments as `[<segment id>]<phrase>`. It is refused, with a reason out of `REASONS`,
where an id does not exist, its segment has no pixels, a phrase names another's segment, or offsets
that came along do not match.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from find_core.errors import FindError, PromptError
from find_core.prompts.prompt import Prompt
from training.data.formats.references import parse_raw
from training.data_engine.images import LabelledImage, Segment
from training.data_engine.nouns import Lexicon, Mention, head_of, spoken, words_of

MOST_CHARS = 1200
MOST_PHRASE_WORDS = 16
REASONS = {
    "form": "no sentence with [<id>]<phrase> marks, or stray brackets, or too long",
    "no entity": "too few marked phrases",
    "unknown id": "a segment that the image does not have",
    "crowd": "a segment that is a crowd",
    "no pixels": "a segment without pixels in the label image",
    "twice": "one segment marked twice",
    "span": "offsets, phrases or a plain sentence that do not match the marks",
    "no noun": "a phrase without a noun: a pronoun, or no words",
    "another's": "a phrase that names another segment of the image",
    "other class": "a phrase that names a class which its segment is not of",
    "several": "a phrase of several things for a segment of one",
    "ambiguous": "a bare class name that several segments have",
    "no image": "the label image cannot be read",
    "no answer": "the writer did not answer",
}
_MARK = re.compile(r"\[(\d{1,9})\]<([^<>\[\]]*)>")
_PRONOUNS = "it he she they them him her this that these those its their one"
_ARTICLES = frozenset(["a", "an", "the"])


class RefusedError(FindError):
    """A sentence that is not taken; `reason` is one of `REASONS`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Phrase:
    """A marked phrase; start and end are characters of the plain sentence, end exclusive."""

    segment_id: int
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Sentence:
    """A sentence that holds: as it was marked, and plain."""

    raw: str
    plain: str
    phrases: tuple[Phrase, ...]


def check_sentence(
    answer: str | Mapping[str, Any], image: LabelledImage, lexicon: Lexicon, least: int = 1
) -> Sentence:
    """The sentence, if all of it holds.

    Args:
        answer: the marked sentence, or an object with `sentence_raw` and perhaps `sentence` and
            `phrase` as FIND-Bench's, which must then agree with it.
        least: so many phrases at least.

    Raises:
        RefusedError: it does not hold.
    """
    raw = answer if isinstance(answer, str) else answer.get("sentence_raw")
    if not isinstance(raw, str):
        raise RefusedError("form", "no text")
    sentence = parse_sentence(raw)
    if len(sentence.phrases) < least:
        raise RefusedError("no entity", f"{len(sentence.phrases)} marks in {sentence.plain[:80]!r}")
    if not isinstance(answer, str):
        _check_spans(answer, sentence)
    seen: set[int] = set()
    for phrase in sentence.phrases:
        segment = _segment_of(phrase, image)
        if segment.id in seen:
            raise RefusedError("twice", f"segment {segment.id}")
        seen.add(segment.id)
        check_phrase(phrase.text, segment, image, lexicon)
    return sentence


def parse_sentence(raw: str) -> Sentence:
    """The marks and the plain text.

    Raises:
        RefusedError: brackets that are no marks, characters that are no text, or too long.
    """
    if len(raw) > MOST_CHARS or any(unicodedata.category(c)[0] == "C" for c in raw):
        raise RefusedError("form", f"{len(raw)} characters, or some that cannot be printed")
    raw = " ".join(raw.split())
    plain, at, phrases = "", 0, []
    for match in _MARK.finditer(raw):
        plain += raw[at : match.start()]
        words = match[2]
        phrases.append(Phrase(int(match[1]), words, len(plain), len(plain) + len(words)))
        plain, at = plain + words, match.end()
    plain += raw[at:]
    if set(plain) & set("[]<>{}|\\"):
        raise RefusedError("form", f"stray brackets in {plain[:80]!r}")
    _check_readable(raw, phrases)
    return Sentence(raw, plain, tuple(phrases))


def _check_readable(raw: str, phrases: list[Phrase]) -> None:
    """What reads the file must find what was checked: the loader's parser, and a prompt's."""
    if not phrases:
        return
    markup, ids = parse_raw(raw)
    try:
        labels = [e.label for e in Prompt.parse(markup).entities]
    except PromptError as error:
        raise RefusedError("form", str(error)) from None
    wanted = [" ".join(p.text.split()) for p in phrases]
    if ids != [p.segment_id for p in phrases] or [" ".join(x.split()) for x in labels] != wanted:
        raise RefusedError("form", f"marks read differently in {raw[:80]!r}")


def _check_spans(answer: Mapping[str, Any], sentence: Sentence) -> None:
    plain, listed = answer.get("sentence"), answer.get("phrase")
    if plain is not None and plain != sentence.plain:
        raise RefusedError("span", "the plain sentence differs from the marked one")
    if listed is None:
        return
    if not isinstance(listed, list) or len(listed) != len(sentence.phrases):
        raise RefusedError("span", "phrases and marks differ in number")
    for told, phrase in zip(listed, sentence.phrases, strict=True):
        known = {"annotation_id": phrase.segment_id, "phrase": phrase.text,
                 "_start_idx": phrase.start, "end_idx": phrase.end}  # fmt: skip
        if not isinstance(told, Mapping):
            raise RefusedError("span", f"the phrase {phrase.text!r} is no object")
        for key, value in known.items():
            if key in told and str(told[key]) != str(value):
                raise RefusedError(
                    "span", f"{key} of {phrase.text!r} is {value}, not {told[key]!r:.40}"
                )


def _segment_of(phrase: Phrase, image: LabelledImage) -> Segment:
    segment = image.segment(phrase.segment_id)
    if segment is None:
        raise RefusedError("unknown id", f"{phrase.segment_id} for {phrase.text!r}")
    if segment.crowd:
        raise RefusedError("crowd", f"{phrase.segment_id} for {phrase.text!r}")
    if segment.area_px < 1:
        raise RefusedError("no pixels", f"{phrase.segment_id} for {phrase.text!r}")
    return segment


def check_phrase(text: str, segment: Segment, image: LabelledImage, lexicon: Lexicon) -> None:
    """Does the phrase's head name its own segment, as far as its nouns are known?

    A head without a known noun ("the goalie's helmet") is taken: nothing is known against it.

    Raises:
        RefusedError: it names something else, several things, or nothing at all.
    """
    words = [w.text for w in words_of(text) if w.text not in _ARTICLES]
    if not words or set(words) <= set(_PRONOUNS.split()) or len(words) > MOST_PHRASE_WORDS:
        raise RefusedError("no noun", repr(text[:80]))
    head = head_mention(text, lexicon)
    if head is None:
        return
    if segment.name not in head.classes:
        others = sorted(head.classes & {s.name for s in image.segments})
        if others:
            raise RefusedError("another's", f"{text!r} for a {segment.name}, beside a {others[0]}")
        raise RefusedError("other class", f"{text!r} for a {segment.name}")
    if head.plural and segment.thing and not segment.merged:
        raise RefusedError("several", f"{text!r} for one {segment.name}")
    alike = [s for s in image.segments if s.name == segment.name and s.area_px > 0]
    if len(alike) > 1 and " ".join(words) == spoken(segment.name):
        raise RefusedError("ambiguous", f"{text!r}, of which there are {len(alike)}")


def head_mention(text: str, lexicon: Lexicon) -> Mention | None:
    """The last known noun that begins in the head of a noun phrase."""
    end = len(head_of(text))
    inside = [m for m in lexicon.mentions(text) if m.start < end]
    return inside[-1] if inside else None
