"""Marks in captions of people: which noun phrase is which segment, where that is beyond doubt.

A noun counts where its classes have exactly one segment in the image, or where one person, dog, ...
is so much larger than the others of its class that a caption in the singular speaks of it. Nothing
else is marked: a caption without a sure phrase gives no sentence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from training.data.queries.caption_phrases import ADJECTIVES, DENYING, ENDS_A_NOUN
from training.data_engine.images import LabelledImage, Segment
from training.data_engine.nouns import Lexicon, Mention, Word, spoken, words_of

LARGER = 4.0
"""Times the next one's pixels, for the one that a caption speaks of."""
_A_NOUN_BEGINS = "a an the this that his her its their one another"
_DETERMINERS = frozenset(_A_NOUN_BEGINS.split())
_VERBS = """sit stand ride hold look play walk jump wear eat hang lie lean stare rest lay run swing carry
drive fly surf skate ski pose grab prepare wait pass cross throw hit catch lead pull talk graze"""
_VERB = re.compile(
    "[a-z]{3,}(ing|ed)|(?:"
    + "|".join(re.sub("y$", "(?:y|ie)", v) for v in _VERBS.split())
    + ")(?:e?s)?"
)
_ALSO_AFTER = (
    "can about during before near onto beneath among around top full there here where alone"
)
_NO_VERB = "dining parking swimming wedding building boarding living washing ring king red bed shed"


def mark_caption(caption: str, image: LabelledImage, lexicon: Lexicon) -> str | None:
    """The caption with marks, or None where nothing in it is sure.

    "A man rides a horse." -> "[12]<A man> rides [7]<a horse>."
    """
    caption = " ".join(caption.split()).translate(str.maketrans("", "", "[]<>{}|\\"))
    words = words_of(caption)
    chosen: list[tuple[int, int, Segment]] = []
    start = 0
    for mention in lexicon.mentions(caption):
        segment = sure_segment(mention, image)
        if segment is not None and _stands_alone(caption, words, mention):
            phrase = _noun_phrase(caption, words, mention, start)
            if not (segment.thing and phrase[0] == mention.start and _is_material(words, mention)):
                chosen.append((*phrase, segment))
        start = mention.last + 1
    numbers = [s.id for *_, s in chosen]
    chosen = [c for c in chosen if numbers.count(c[2].id) == 1]
    if not chosen:
        return None
    marked, at = "", 0
    for start, end, segment in chosen:
        marked += f"{caption[at:start]}[{segment.id}]<{caption[start:end]}>"
        at = end
    text = marked + caption[at:]
    return text if text.endswith((".", "!", "?")) else text + "."


def sure_segment(mention: Mention, image: LabelledImage) -> Segment | None:
    """The one segment that a noun can mean, or None."""
    rivals = [s for s in image.segments if s.name in mention.classes and s.area_px > 0]
    if not rivals:
        return None
    rivals.sort(key=lambda s: (-s.area_px, s.id))
    first = rivals[0]
    if not first.offered or (mention.plural and first.thing and not first.merged):
        return None
    if len(rivals) == 1:
        return first
    dominant = first.thing and first.area_px >= LARGER * rivals[1].area_px
    same = all(s.name == first.name for s in rivals)
    # A bare class name is true of all of them, whatever their size.
    return first if dominant and same and mention.noun != spoken(first.name) else None


def _stands_alone(caption: str, words: Sequence[Word], mention: Mention) -> bool:
    """Is the noun no part of a longer one ("dog house"), nor denied?"""
    if DENYING & {w.text for w in words[max(0, mention.first - 3) : mention.first]}:
        return False
    if mention.last + 1 == len(words):
        return True
    after = words[mention.last + 1]
    if set(caption[mention.end : after.start]) & set(".,;!?"):
        return True
    if caption[mention.end : after.start].strip():  # a hyphen or an apostrophe
        return False
    verb = _VERB.fullmatch(after.text) and after.text not in _NO_VERB.split()
    return after.text in ENDS_A_NOUN or after.text in _ALSO_AFTER.split() or bool(verb)


def _is_material(words: Sequence[Word], mention: Mention) -> bool:
    """Is a bare noun no object: "made of glass", "dressed in orange", "going by train", "light"?"""
    before = words[mention.first - 1].text if mention.first else ""
    return mention.noun == "light" or (before in ("of", "in", "by") and not mention.plural)


def _noun_phrase(
    caption: str, words: Sequence[Word], mention: Mention, start: int
) -> tuple[int, int]:
    """Characters of the noun with its adjectives and its article, end exclusive.

    Args:
        start: the first word that it may have; those before belong to the noun before.
    """
    for k in range(mention.first - 1, max(start - 1, mention.first - 6), -1):
        joins = (
            words[k].text == "and" and words[k + 1].text in ADJECTIVES
        )  # "a red and white train"
        if caption[words[k].end : words[k + 1].start].strip():
            break
        if words[k].text in ENDS_A_NOUN - _DETERMINERS and not joins:
            break
        if words[k].text in _DETERMINERS:
            return words[k].start, mention.end
    first = mention.first
    while first > start and words[first - 1].text in ADJECTIVES:
        first -= 1
    return words[first].start, mention.end
