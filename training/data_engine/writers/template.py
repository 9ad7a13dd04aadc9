"""The built-in writer: deterministic, offline, no model.

It marks people's captions where that is beyond doubt (`marking`) and composes the rest from class
names and from places that the masks show. It says nothing that the labels do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.data_engine.images import LabelledImage, Segment
from training.data_engine.nouns import Lexicon, spoken
from training.data_engine.writers.base import Reply, Wish
from training.data_engine.writers.marking import mark_caption

VERSION = 1
"""Of the wording: another one is another run."""
MOST_ENTITIES = 4
MOST_ENTITIES_LONG = 8
_APART = 0.6
"""Of like things, centres this far apart (in mean widths or heights) are left and right."""
_SIDES = (
    (0, ("left", "right"), ("leftmost", "rightmost")),
    (1, ("upper", "lower"), ("topmost", "lowest")),
)
_OPENINGS = ("A photo of {}.", "In this picture there is {}.", "The picture shows {}.", "Here one can see {}.")  # fmt: skip
_PLURAL_WORDS = frozenset(["skis", "stairs", "scissors"])


class TemplateWriter:
    """Captions first, those with most marks; a composed sentence where they give none.

    Args:
        lexicon: of the data set's classes. seed: of the wording.
    """

    def __init__(self, lexicon: Lexicon, seed: int = 0) -> None:
        self.lexicon, self.seed = lexicon, seed

    def write(self, image: LabelledImage, wish: Wish) -> Reply:
        rng = np.random.default_rng((self.seed, image.image_id))
        marked = [mark_caption(c, image, self.lexicon) for c in (*image.captions, *image.pseudo)]
        different = {m.casefold(): m for m in reversed(marked) if m}
        from_captions = sorted(reversed(different.values()), key=lambda m: -m.count("]<"))
        if wish.long:
            return Reply(tuple(self._paragraph(from_captions, image, rng)))
        answers = from_captions[: wish.sentences]
        if not answers:
            answers = compose(image, MOST_ENTITIES, rng)
        return Reply(tuple(answers))

    def _paragraph(
        self, marked: Sequence[str], image: LabelledImage, rng: np.random.Generator
    ) -> list[str]:
        """The best caption, then what the labels say of everything that it leaves out."""
        first = list(marked[:1])
        said = {s.id for s in image.segments for m in first if f"[{s.id}]<" in m}
        rest = compose(image, MOST_ENTITIES_LONG - len(said), rng, said)
        together = " ".join([*first, *rest])
        return [together] if together else []


def compose(
    image: LabelledImage, most: int, rng: np.random.Generator, said: set[int] | frozenset[int] = frozenset()
) -> list[str]:  # fmt: skip
    """At most one text: the largest things and surfaces that words can tell apart, and their places.

    Args:
        most: entities. said: segments to leave out.
    """
    named = [
        (s, name) for s in image.offered if s.id not in said and (name := referring_name(s, image))
    ]
    things = [pair for pair in named if pair[0].thing]
    surfaces = [pair for pair in named if not pair[0].thing]
    # Things say more than floors and skies: surfaces fill up, and take at least one place of three.
    kept = things[: max(most - min(len(surfaces), max(1, most // 3)), 0)]
    named = [*kept, *surfaces[: max(0, most - len(kept))]]
    if not named:
        return []
    marks = {s.id: f"[{s.id}]<{name}>" for s, name in named}
    first = {s.id: f"[{s.id}]<{_introduced(s, name)}>" for s, name in named}
    pairs, rest = _related([s for s, _ in named])
    parts = []
    for one, word, other in pairs:
        verb = "are" if _is_many(one) else "is"
        parts.append(f"{_capital(marks[one.id])} {verb} {word} {marks[other.id]}.")
    if rest:
        opening = str(rng.choice(_OPENINGS))
        parts.insert(0, opening.format(_listed([first[s.id] for s in rest])))
    return [" ".join(parts)]


def referring_name(segment: Segment, image: LabelledImage) -> str:
    """Words that are true of this segment alone, or "" where there are none so simple."""
    own = spoken(segment.name)
    others = [
        s for s in image.segments if s.name == segment.name and s.area_px > 0 and s != segment
    ]
    if not others:
        return f"the {own}"
    if any(s.crowd or not s.thing for s in (segment, *others)):
        return ""
    for axis, two, more in _SIDES:
        gaps = [
            (segment.center[axis] - o.center[axis]) / (_extent(segment, axis) + _extent(o, axis))
            for o in others
        ]
        for end, apart in enumerate((max(gaps) <= -_APART / 2, min(gaps) >= _APART / 2)):
            if apart:
                return f"the {(two if len(others) == 1 else more)[end]} {own}"
    return ""


def place(one: Segment, other: Segment) -> str:
    """Where `one` is beside `other` in the image, if their boxes leave no doubt; else ""."""
    names = (("to the left of", "to the right of"), ("higher up than", "lower down than"))
    for axis, words in enumerate(names):
        for k, (a, b) in enumerate(((one, other), (other, one))):
            slack = 0.1 * min(_extent(one, axis), _extent(other, axis))
            if a.box_xyxy[axis + 2] <= b.box_xyxy[axis] + slack:
                return words[k]
    return ""


def _related(
    segments: Sequence[Segment],
) -> tuple[list[tuple[Segment, str, Segment]], list[Segment]]:
    """Pairs with a place between them, each segment once; and the rest."""
    waiting, pairs, rest = list(segments), [], []
    while waiting:
        one = waiting.pop(0)
        for other in waiting if one.thing else ():  # that the sky is above the road says little
            if one.name != other.name and (word := place(one, other)):
                pairs.append((one, word, other))
                waiting.remove(other)
                break
        else:
            rest.append(one)
    return pairs, rest


def _introduced(segment: Segment, name: str) -> str:
    """With "a" where a single thing is named for the first time: "the clock" -> "a clock"."""
    own = name.removeprefix("the ")
    if not segment.thing or segment.merged or _is_many(segment) or own != spoken(segment.name):
        return name
    return f"{'an' if own[0] in 'aeiou' else 'a'} {own}"


def _extent(segment: Segment, axis: int) -> int:
    return max(1, segment.box_xyxy[axis + 2] - segment.box_xyxy[axis])


def _is_many(segment: Segment) -> bool:
    return spoken(segment.name) in _PLURAL_WORDS


def _listed(marks: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(marks[:-1]), marks[-1]]))


def _capital(mark: str) -> str:
    """ "[3]<the dog>" -> "[3]<The dog>"."""
    number, _, words = mark.partition("<")
    return f"{number}<{words[:1].upper()}{words[1:]}"
