"""The three writers by what the command line says, as plain values that travel to other processes."""

from __future__ import annotations

from dataclasses import dataclass

from training.data_engine.images import LabelledImage
from training.data_engine.nouns import Lexicon
from training.data_engine.writers.asking import VERSION, messages, most_tokens
from training.data_engine.writers.base import Usage, Wish, Writer
from training.data_engine.writers.server import ServerSettings, ServerWriter
from training.data_engine.writers.template import VERSION as TEMPLATE_VERSION
from training.data_engine.writers.template import TemplateWriter


@dataclass(frozen=True)
class TemplateSource:
    """The built-in writer."""

    seed: int = 0
    paid = False
    repeats = False

    @property
    def identity(self) -> str:
        return f"the built-in templates {TEMPLATE_VERSION}, seed {self.seed}"

    def open(self, lexicon: Lexicon) -> Writer:
        return TemplateWriter(lexicon, self.seed)

    def most_usage(self, image: LabelledImage, wish: Wish) -> Usage:
        return Usage()


@dataclass(frozen=True)
class ServerSource:
    """A server that speaks OpenAI's chat form."""

    settings: ServerSettings
    paid = True
    repeats = True

    @property
    def identity(self) -> str:
        s = self.settings
        return (
            f"{s.model} at {s.url}, question {VERSION}, temperature {s.temperature}, seed {s.seed}"
        )

    def open(self, lexicon: Lexicon) -> Writer:
        return ServerWriter(self.settings)

    def most_usage(self, image: LabelledImage, wish: Wish) -> Usage:
        return Usage(most_tokens(messages(image, wish)), self.settings.answer_tokens)


@dataclass(frozen=True)
class CausalLMSource:
    """A causal language model of transformers; `model` is a folder or a hub name."""

    model: str
    gguf_file: str | None = None
    answer_tokens: int = 400
    paid = False
    repeats = True
    """What was refused is told, and makes another answer."""

    @property
    def identity(self) -> str:
        name = self.gguf_file or self.model.rstrip("/").rsplit("/", 1)[-1]
        return f"{name}, greedy, question {VERSION}"

    def open(self, lexicon: Lexicon) -> Writer:
        from training.data_engine.writers.causal_lm import CausalLMWriter  # imports transformers

        return CausalLMWriter(self.model, self.gguf_file, self.answer_tokens)

    def most_usage(self, image: LabelledImage, wish: Wish) -> Usage:
        return Usage(most_tokens(messages(image, wish)), self.answer_tokens)
