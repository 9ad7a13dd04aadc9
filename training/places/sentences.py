"""Sentences to learn places from: `phrases.json` written out, with what they claim.

A claim is a list of (relation, first, second) over the letters a, b, c, "between" over all three, or
nothing at all. Lists named `held` are never trained on.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from find_core.places.words import blanked
from find_core.prompts.prompt import Prompt

FILE = Path(__file__).with_name("phrases.json")
SUPERLATIVES = ("closest", "farthest")
FRAMES_PER_PHRASE = 16
THREES = 1400


@dataclass(frozen=True)
class Sentence:
    """A sentence with its entities' names blanked.

    Attributes:
        text, spans: as `find_core.places.words.blanked` gives them. letters: of its entities, in
            order. claims: see the module's page. novel: which of its parts training never uses.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    letters: str
    claims: tuple[tuple[str, ...], ...]
    novel: str = ""


def load_phrases() -> dict[str, Any]:
    """The content of phrases.json."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def sentence(template: str, claims: tuple[tuple[str, ...], ...], novel: str = "") -> Sentence:
    """`template` with its {a}, {b} and {c} blanked."""
    letters = "".join(re.findall(r"\{([abc])\}", template))
    text, spans = blanked(Prompt.parse(re.sub(r"\{[abc]\}", "<x>", template)))
    return Sentence(text, tuple(spans), letters, claims, novel)


def training_sentences(rng: np.random.Generator) -> list[Sentence]:
    """Every phrase in some of the frames; all lists of `train`."""
    data, out = load_phrases(), []
    for name, words in data["relations"].items():
        claim = ((name, "a", "b"),)
        out += _framed(words["train"], data["frames"]["train"], claim, rng, FRAMES_PER_PHRASE)
        adverbs, frames = words["adverb_train"], data["adverb_frames"]["train"]
        out += _framed(adverbs, frames, claim, rng, len(frames))
    out += [sentence(t, (("between", "a", "b", "c"),)) for t in data["between"]["train"]] * 12
    neutral = data["neutral"]["train"] * 6 + data["neutral"]["three"] * 12
    out += [sentence(t, ()) for t in neutral]
    return out + _threes(data, data["three"]["train"], rng, THREES)


def _framed(phrases: list[str], frames: list[str], claim: tuple[tuple[str, ...], ...],
            rng: np.random.Generator, most: int, novel: str = "") -> list[Sentence]:  # fmt: skip
    out = []
    for phrase in phrases:
        for k in rng.permutation(len(frames))[:most]:
            out.append(sentence(frames[k].replace("{r}", phrase), claim, novel))
    return out


def _threes(data: dict[str, Any], frames: list[str], rng: np.random.Generator,
            count: int, novel: str = "") -> list[Sentence]:  # fmt: skip
    """Two relations in a sentence, or one beside a third thing that stands anywhere."""
    names = [n for n in data["relations"] if n not in SUPERLATIVES]
    out = []
    for _ in range(count):
        frame, _, kind = frames[int(rng.integers(len(frames)))].partition("|")
        first, second = (str(rng.choice(names)) for _ in range(2))
        word, other = (str(rng.choice(data["relations"][n]["train"])) for n in (first, second))
        claims: tuple[tuple[str, ...], ...] = ((first, "a", "b"),)
        if kind == "chain":
            claims += ((second, "b", "c"),)
        elif kind != "first":
            claims += ((second, "a", "c"),)
        text = frame.replace("{r2}", other).replace("{r}", word)
        out.append(sentence(text, claims, novel))
    return out


def held_sentences(rng: np.random.Generator) -> list[Sentence]:
    """Sentences of which a part is never trained on; `novel`: phrase, frame or both."""
    data, out = load_phrases(), []
    frames, adverb_frames = data["frames"], data["adverb_frames"]
    for name, words in data["relations"].items():
        claim = ((name, "a", "b"),)
        for phrases, kinds, novel in (
            ("held", "train", "phrase"), ("train", "held", "frame"), ("held", "held", "both"),
        ):  # fmt: skip
            out += _framed(words[phrases], frames[kinds], claim, rng, 4, novel)
            adverbs = words[f"adverb_{phrases}"]
            out += _framed(adverbs, adverb_frames[kinds], claim, rng, 2, novel)
    out += [sentence(t, (("between", "a", "b", "c"),), "frame") for t in data["between"]["held"]]
    out += [sentence(t, (), "frame") for t in data["neutral"]["held"]]
    return out + _threes(data, data["three"]["held"], rng, 40, "frame")
