"""The question that language models are asked about an image, and how their answer is read.

Inputs are those of the paper's data engine (3.1.2): captions, a model's own captions, and the labelled
segments by id, class and box. Our wording, and an example as in its in-context learning.
"""

from __future__ import annotations

import re
from typing import Any

from find_core.errors import FindError
from find_core.support.json_text import json_text
from find_core.support.strict_json import parse_json
from training.data_engine.images import LabelledImage
from training.data_engine.nouns import spoken
from training.data_engine.writers.base import NoAnswerError, Wish

MOST_SEGMENTS = 30
"""Told of an image; the largest ones."""
MOST_REPLY_CHARS = 20_000
CHARS_A_TOKEN = 3
"""Fewer than any tokenizer of English needs on the average: counts of tokens are on the safe side."""
VERSION = 1
"""Of the question: another wording is another run."""

RULES = """You write captions of a photograph in which parts of the photograph are marked.
You get captions of it and a list of its segments: id, class, box (left, top, right, bottom in pixels).
Write {count}. Mark a noun phrase that names one segment of the list as [id]<phrase>, for example \
[12]<the brown dog>.
Rules: only ids of the list; each id at most once in a caption; a phrase names its own segment and no other; \
never mark a phrase that speaks of several objects; say nothing that captions and segments do not show.
Answer with JSON alone: {{"sentences": ["...", ...]}}"""
EXAMPLE_QUESTION = """captions:
- A boy throws a ball to his dog in the park.
segments:
12: dog, box 310 200 420 330
7: person, box 80 90 200 400
9: sports ball, box 250 180 270 200
3: grass, box 0 240 640 480"""
EXAMPLE_ANSWER = json_text(
    {"sentences": ["[7]<A boy> throws [9]<a ball> to [12]<his dog> on [3]<the grass>."]}
)


def messages(image: LabelledImage, wish: Wish) -> list[dict[str, str]]:
    """The conversation, in the form of chat servers and chat templates."""
    count = (
        "one paragraph of two to four sentences that names as many segments as it can"
        if wish.long
        else f"{wish.sentences} different captions of one sentence, each naming two to six segments"
    )
    question = describe(image)
    if wish.refused:
        wrong = "\n".join(f"- {r}" for r in wish.refused[:5])
        question += f"\nyour last answer was refused:\n{wrong}"
    return [
        {"role": "system", "content": RULES.format(count=count)},
        {"role": "user", "content": EXAMPLE_QUESTION},
        {"role": "assistant", "content": EXAMPLE_ANSWER},
        {"role": "user", "content": question},
    ]


def describe(image: LabelledImage) -> str:
    """The image in words: captions and segments."""
    lines = []
    for title, texts in (("captions", image.captions), ("a model's captions", image.pseudo)):
        if texts:
            lines += [f"{title}:", *(f"- {' '.join(t.split())[:300]}" for t in texts[:6])]
    lines.append("segments:")
    for s in image.offered[:MOST_SEGMENTS]:
        lines.append(f"{s.id}: {spoken(s.name)}, box {' '.join(map(str, s.box_xyxy))}")
    return "\n".join(lines)


def most_tokens(conversation: list[dict[str, str]]) -> int:
    """At least so many tokens as the question has."""
    return sum(len(m["content"]) // CHARS_A_TOKEN + 8 for m in conversation)


_FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.S)


def read_answers(text: str) -> tuple[str | dict[str, Any], ...]:
    """The sentences of an answer: its JSON, or every line that has a mark.

    Raises:
        NoAnswerError: there is none, or too much.
    """
    if len(text) > MOST_REPLY_CHARS:
        raise NoAnswerError(f"The answer has {len(text)} characters.")
    inner = match[1] if (match := _FENCE.search(text)) else text
    if inner.lstrip().startswith(("{", "[{", '["')):
        try:
            data = parse_json(inner.strip(), "An answer", FindError, max_chars=MOST_REPLY_CHARS)
        except FindError as error:
            raise NoAnswerError(str(error)) from None
        found = data.get("sentences", ()) if isinstance(data, dict) else data
        if isinstance(found, list):
            answers = tuple(x for x in found if isinstance(x, str | dict))[:20]
            if answers:
                return answers
        raise NoAnswerError("The answer is JSON without sentences.")
    lines = tuple(x.strip(" -*\t") for x in text.splitlines() if "]<" in x)[:20]
    if not lines:
        raise NoAnswerError(f"The answer has no marked sentence: {text[:80]!r}.")
    return lines
