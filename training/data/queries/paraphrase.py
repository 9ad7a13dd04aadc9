"""Phrases as people say them: within a sentence, beside other phrases, with another word for an object.

A phrase learnt alone is another prompt than the same phrase in "find the ..., the ... and ...": the
language model reads its words in another light. Truth stays that of the phrase as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.tabletop.assets.colors import WORDS as COLORS

ALONE = 0.35
"""Share of the phrases that stay bare; they are what a texts cache remembers best."""
OTHER_WORD = 0.15
"""Chance that a plain noun is said otherwise, where `OTHER_WORDS` knows how."""
MAX_WORDS = 40
"""Of a sentence with several phrases: language encoders read 77 tokens."""
STARTS = ("the ", "a ", "find the ", "pick up the ", "where is the ")
JOINTS = (" and the ", ", the ", ", ", " and ", " and then the ", " with the ")

OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "bottle": ("glass bottle", "plastic bottle", "water bottle", "oil bottle", "bottle of juice"),
    "box": ("cardboard box", "paper box", "food package"),
    "book": ("paperback", "hardcover book", "textbook"),
    "bowl": ("soup bowl", "kitchen bowl", "mixing bowl"),
    "cabinet": ("cupboard", "kitchen cabinet"),
    "can": ("tin can", "soda can", "food can"),
    "carton": ("drink carton", "paper carton"),
    "cup": ("coffee cup", "tea cup", "plastic cup", "drinking cup"),
    "jar": ("glass jar", "kitchen jar"),
    "kettle": ("coffee kettle", "stovetop kettle", "coffee pot"),
    "mug": ("tea mug", "ceramic mug", "drinking mug"),
    "pan": ("steel pan", "kitchen pan", "cooking pan"),
    "pitcher": ("water jug", "water pitcher"),
    "plate": ("dinner plate", "serving plate"),
    "pot": ("stock pot", "steel pot", "kitchen pot"),
    "stove": ("cooktop", "kitchen stove"),
    "teapot": ("tea pot", "coffee pot"),
    "tray": ("serving tray",),
    "vase": ("flower vase",),
}
"""Nouns of the known kinds, and what else people call such an object. A modifier that was never read
must not hide the noun behind it. No name of a held-out kind (a test scans them)."""
PHOTO_WORDS: dict[str, tuple[str, ...]] = {
    "adjustable spanner": ("adjustable wrench", "spanner"),
    "airplane": ("plane", "aeroplane", "jet"),
    "aubergine": ("eggplant",),
    "bicycle": ("bike",),
    "cell phone": ("mobile phone", "smartphone", "phone"),
    "couch": ("sofa",),
    "cutting pliers": ("wire cutter", "side cutters"),
    "dining table": ("dinner table", "kitchen table"),
    "donut": ("doughnut",),
    "hair drier": ("hair dryer", "blow dryer"),
    "handbag": ("purse",),
    "handsaw": ("hand saw", "wood saw"),
    "motorcycle": ("motorbike",),
    "oven": ("baking oven",),
    "person": ("human", "somebody"),
    "pillow": ("cushion",),
    "pliers": ("pair of pliers",),
    "potted plant": ("houseplant", "plant in a pot"),
    "refrigerator": ("fridge",),
    "remote": ("remote control",),
    "scissors": ("pair of scissors",),
    "sports ball": ("ball",),
    "suitcase": ("travel bag", "luggage"),
    "tape measure": ("measuring tape",),
    "truck": ("lorry", "pickup truck"),
    "tv": ("television", "tv screen", "monitor"),
    "utility knife": ("box cutter", "cutter knife"),
    "zucchini": ("courgette",),
}
"""Class names of photographs, and what else people call such an object."""
_EVERY = {**OTHER_WORDS, **PHOTO_WORDS}

_PLAIN = re.compile(r"^((?:\w+ )?)(" + "|".join(_EVERY) + r")$")


@dataclass(frozen=True)
class Paraphrase:
    """A prompt and the (start, end) characters of each phrase in it."""

    sentence: str
    spans: tuple[tuple[int, int], ...]


def paraphrase(phrases: Sequence[str], rng: np.random.Generator) -> list[Paraphrase]:
    """All phrases in their order, one to three a sentence, fewer where they are long."""
    paraphrases, at = [], 0
    while at < len(phrases):
        if rng.random() < ALONE:
            paraphrases.append(joined_phrases(phrases[at : at + 1], ("",), rng))
            at += 1
            continue
        count = int(rng.integers(1, 4))
        while count > 1 and len(" ".join(phrases[at : at + count]).split()) > MAX_WORDS:
            count -= 1
        words = [reworded(p, rng) for p in phrases[at : at + count]]
        paraphrases.append(joined_phrases(words, STARTS, rng))
        at += count
    return paraphrases


def joined_phrases(
    phrases: Sequence[str], starts: Sequence[str], rng: np.random.Generator
) -> Paraphrase:
    """Phrases side by side in one sentence."""
    sentence, spans = "", []
    for n, phrase in enumerate(phrases):
        sentence += str(rng.choice(JOINTS if n else starts))
        spans.append((len(sentence), len(sentence) + len(phrase)))
        sentence += phrase
    return Paraphrase(sentence, tuple(spans))


def reworded(phrase: str, rng: np.random.Generator) -> str:
    """The phrase, at times with another word for its noun: "red cup" -> "red tea cup".

    Only a noun alone or after a colour: "ketchup bottle" stays.
    """
    found = _PLAIN.match(phrase)
    if found is None or rng.random() >= OTHER_WORD:
        return phrase
    first, noun = found.groups()
    if first and first.strip() not in COLORS:
        return phrase
    return first + str(rng.choice(_EVERY[noun]))
