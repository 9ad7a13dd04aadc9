"""One image, one answer, checked: what a worker does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from find_core.errors import ImageError
from training.data_engine.check import RefusedError, check_sentence
from training.data_engine.images import Item
from training.data_engine.nouns import Lexicon
from training.data_engine.writers.base import NoAnswerError, Usage, Wish, WriterSource


@dataclass(frozen=True)
class Refusal:
    """Why a sentence was not taken; `text` is the sentence, shortened."""

    reason: str
    detail: str
    text: str = ""


@dataclass(frozen=True)
class Answered:
    """What came of one request: marked sentences that hold, the others, and what it cost."""

    accepted: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    usage: Usage = field(default_factory=Usage)
    wait_s: float = 0.0


class Asker:
    """Asks the writer about an image and checks every sentence.

    Args:
        names: classes of the data set. least: phrases that a sentence must have.
    """

    def __init__(self, source: WriterSource, names: Iterable[str], least: int = 1) -> None:
        self._lexicon = Lexicon(names)
        self._writer = source.open(self._lexicon)
        self._least = least

    def __call__(self, item: Item, wish: Wish) -> Answered:
        try:
            image = item.read()
        except ImageError as error:
            return Answered((), (Refusal("no image", str(error)[:300]),))
        try:
            reply = self._writer.write(image, wish)
        except NoAnswerError as error:
            refused = Refusal("no answer", str(error)[:300])
            return Answered((), (refused,), error.used, error.wait_s)
        accepted: dict[str, None] = {}
        bad: list[Refusal] = []
        for answer in reply.answers:
            try:
                accepted[check_sentence(answer, image, self._lexicon, self._least).raw] = None
            except RefusedError as error:
                bad.append(Refusal(error.reason, error.detail[:300], _text(answer)))
        most = 1 if wish.long else wish.sentences
        return Answered(tuple(accepted)[:most], tuple(bad), reply.usage)


def _text(answer: Any) -> str:
    raw = answer if isinstance(answer, str) else answer.get("sentence_raw")
    return raw[:300] if isinstance(raw, str) else ""


def asker(source: WriterSource, names: Iterable[str], least: int) -> Callable[[], Asker]:
    """A function without arguments that travels to workers and makes an `Asker` there."""
    return functools.partial(Asker, source, tuple(names), least)
