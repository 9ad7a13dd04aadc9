"""What a writer of sentences is, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from find_core.errors import FindError
from training.data_engine.images import LabelledImage
from training.data_engine.nouns import Lexicon


class WriterError(FindError):
    """The writer as a whole cannot go on: a wrong key, address or model."""


@dataclass(frozen=True)
class Usage:
    """Tokens of one request."""

    asked: int = 0
    answered: int = 0


class NoAnswerError(FindError):
    """This one answer did not come; another try may help.

    Attributes:
        wait_s: how long the other side asks to be left alone.
        used: tokens that it cost all the same.
    """

    def __init__(self, sentence: str, wait_s: float = 0.0, used: Usage | None = None) -> None:
        super().__init__(sentence)
        self.wait_s, self.used = wait_s, used or Usage()


@dataclass(frozen=True)
class Reply:
    """Sentences as they came, unchecked: marked strings, or objects as FIND-Bench's annotations."""

    answers: tuple[str | dict[str, Any], ...]
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Wish:
    """How much is wanted of one image.

    Attributes:
        sentences: at most so many. long: one paragraph about as much as possible (COCO-Paragraph).
        refused: what was wrong with earlier answers about this image.
        attempt: 0 for the first.
    """

    sentences: int = 3
    long: bool = False
    refused: tuple[str, ...] = ()
    attempt: int = 0


class Writer(Protocol):
    """Writes about one image at a time.

    Raises:
        NoAnswerError: no sentence this time. WriterError: there will be none for any image.
    """

    def write(self, image: LabelledImage, wish: Wish) -> Reply: ...


class WriterSource(Protocol):
    """Says who writes, and opens it; it travels to other processes, a writer need not.

    Attributes:
        identity: which sentences come out: a run is not continued by another one.
        paid: held to the limits on requests, rate and cost. repeats: another attempt may differ.
    """

    @property
    def identity(self) -> str: ...
    @property
    def paid(self) -> bool: ...
    @property
    def repeats(self) -> bool: ...

    def open(self, lexicon: Lexicon) -> Writer: ...

    def most_usage(self, image: LabelledImage, wish: Wish) -> Usage:
        """The tokens that a request may cost at most."""
