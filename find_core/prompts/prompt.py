"""Prompts: ordered mixtures of words and of pointers into pictures.

    Prompt.parse("the <white mug> left of <thing>", thing=Reference(photo, box=(40, 30, 180, 170)))

`<...>` marks an entity. An entity whose text is the name of a bound `Reference` is visual, any
other is words. A prompt without brackets is one entity and one sentence. `\\<` and `\\>` are
literal brackets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import ImageError, PromptError
from find_core.images import (
    MAX_MEGAPIXELS,
)
from find_core.prompts.reference import Reference, image_from_json, region_from_json
from find_core.support.printable import quoted, shown
from find_core.support.strict_json import check_json, check_schema

# Long enough for any instruction; the language encoder's own token limit is checked on compile.
MAX_CHARS = 2000
MAX_REFERENCES = 16
"""References of a prompt that comes as JSON; each keeps an image and a mask of its size."""
# What stands in the sentence for a visual entity (docs/spec.md 2.5).
PLACEHOLDER = "[INTERACTIVE]"
# How a class name is read, in use and in training.
CLASS_SENTENCE = "Describe the concept of {}."
JSON_VERSION = 1


@dataclass(frozen=True, eq=False)
class PromptEntity:
    """One thing the prompt speaks of.

    Attributes:
        label: the text between the brackets (a reference's name when visual).
        reference: where it is shown, for a visual entity.
    """

    label: str
    reference: Reference | None = None

    @property
    def is_visual(self) -> bool:
        return self.reference is not None


@dataclass(frozen=True, eq=False)
class Prompt:
    """A sentence whose entities are words or references, in order.

    Attributes:
        parts: connecting text (str) and `PromptEntity`s, in reading order; at least one entity.
    """

    parts: tuple[str | PromptEntity, ...]
    entities: tuple[PromptEntity, ...] = field(init=False)

    def __post_init__(self) -> None:
        entities = tuple(part for part in self.parts if isinstance(part, PromptEntity))
        if not entities:
            raise PromptError("The prompt names nothing: write what to look for, e.g. 'the <mug>'.")
        object.__setattr__(self, "entities", entities)

    @staticmethod
    def parse(text: str, /, **references: Reference) -> Prompt:
        """Read `text` with its `<...>` entities; keyword arguments bind references by name.

        Raises:
            PromptError: unbalanced or empty brackets, a reference that is never used, a text over
                `MAX_CHARS` characters, nothing to look for.
        """
        return Prompt.bind(text, references)

    @staticmethod
    def bind(text: str, references: Mapping[str, Reference]) -> Prompt:
        """`parse` with the references as a mapping (names need not be Python identifiers)."""
        prompt = Prompt.bind_known(text, references)
        if unused := sorted(set(references) - {entity.label for entity in prompt.entities}):
            raise PromptError(
                f"Reference {quoted(unused[0])} is never used: write <{shown(unused[0])}> for it."
            )
        return prompt

    @staticmethod
    def bind_known(text: str, references: Mapping[str, Reference]) -> Prompt:
        """`bind` that leaves references aside which `text` does not name.

        Raises:
            PromptError: as `parse`, but for references that are never used.
        """
        if not isinstance(text, str):
            raise PromptError(f"A prompt is a string, got {type(text).__name__}.")
        if len(text) > MAX_CHARS:
            raise PromptError(f"The prompt has {len(text)} characters: at most {MAX_CHARS}.")
        check_json(text, "The prompt", PromptError)
        for name, reference in references.items():
            if not isinstance(reference, Reference):
                raise PromptError(
                    f"{shown(name)}= must be a find_core.Reference, got {quoted(reference)}."
                )
        pieces = _split(text)
        if not any(is_entity for _, is_entity in pieces):
            pieces = [("".join(t for t, _ in pieces).strip(), True)]
        parts = [PromptEntity(t, references.get(t)) if e else t for t, e in pieces if t or e]
        if any(isinstance(p, PromptEntity) and not p.label for p in parts):
            raise PromptError("An entity is empty: write what to look for, e.g. 'the <mug>'.")
        return Prompt(tuple(parts))

    @property
    def text(self) -> str:
        """The plain sentence, references by their names, without brackets."""
        return "".join(p.label if isinstance(p, PromptEntity) else p for p in self.parts)

    @property
    def markup(self) -> str:
        """The form `parse` reads."""
        return "".join(
            f"<{_escape(p.label)}>" if isinstance(p, PromptEntity) else _escape(p)
            for p in self.parts
        )

    def sentence(self, placeholder: str = PLACEHOLDER) -> tuple[str, list[tuple[int, int]]]:
        """The sentence the language model reads, and each entity's (start, end) characters in it.

        Visual entities are replaced by `placeholder`.
        """
        text, spans = "", []
        for part in self.parts:
            if isinstance(part, PromptEntity):
                word = placeholder if part.is_visual else part.label
                spans.append((len(text), len(text) + len(word)))
                text += word
            else:
                text += part
        return text, spans

    def to_json(self) -> dict[str, Any]:
        """As {"version", "prompt", "references": {name: {...}}} (see schemas/prompt.schema.json)."""
        references = {e.label: e.reference.to_json() for e in self.entities if e.reference}
        return {"version": JSON_VERSION, "prompt": self.markup, "references": references}

    @staticmethod
    def from_json(
        data: Any,
        base_dir: str | Path | None = None,
        images: Mapping[str, np.ndarray] | None = None,
    ) -> Prompt:
        """Read the form of `to_json`.

        Args:
            data: the decoded JSON object.
            base_dir: folder that image paths start from; None refuses paths, for prompts from
                elsewhere.
            images: images known by name ({"image": {"name": ...}}), (H, W, 3) uint8 RGB.

        Raises:
            PromptError, ImageError: with a sentence that says what was wrong.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("prompt"), str):
            raise PromptError('A prompt in JSON is {"version": 1, "prompt": "the <mug>"}.')
        check_json(data, "The prompt", PromptError)
        check_schema(data, "prompt", "The prompt", PromptError)
        references = data.get("references", {})
        if len(references) > MAX_REFERENCES:
            raise PromptError(
                f"The prompt has {len(references)} references: at most {MAX_REFERENCES}."
            )
        # The sentence first: an image that it does not name is not decoded.
        labels = {entity.label for entity in Prompt.bind_known(data["prompt"], {}).entities}
        if unused := sorted(set(references) - labels):
            raise PromptError(
                f"Reference {quoted(unused[0])} is never used: write <{shown(unused[0])}> for it."
            )
        bound, megapixels = {}, MAX_MEGAPIXELS  # of all references together
        for name, ref in references.items():
            try:
                image = image_from_json(ref["image"], base_dir, images or {}, megapixels)
                bound[name] = Reference(image, region_from_json(ref["region"]))
            except (PromptError, ImageError) as error:
                raise type(error)(f"Reference {quoted(name)}: {error}") from None
            if "name" not in ref["image"]:
                megapixels -= image.shape[0] * image.shape[1] / 1e6
        return Prompt.bind(data["prompt"], bound)


def as_prompt(prompt: Prompt | str) -> Prompt:
    """A `Prompt` as it is, a string parsed."""
    return prompt if isinstance(prompt, Prompt) else Prompt.parse(prompt)


_TOKEN = re.compile(r"\\[<>\\]|[<>]")


def _escape(text: str) -> str:
    return re.sub(r"([<>\\])", r"\\\1", text)


def _split(text: str) -> list[tuple[str, bool]]:
    """Cut into (text, is_entity) pieces; entities are stripped of outer spaces."""
    pieces: list[tuple[str, bool]] = []
    piece, inside, end = "", False, 0
    for match in _TOKEN.finditer(text):
        piece += text[end : match.start()]
        end = match.end()
        token = match.group()
        if len(token) == 2:
            piece += token[1]
        elif (token == "<") == inside:
            raise PromptError(
                f"Unbalanced {token!r} at character {match.start()} of {quoted(text, 60)}: "
                r"write <entity>, or \< for a literal bracket."
            )
        else:
            pieces.append((piece.strip() if inside else piece, inside))
            piece, inside = "", token == "<"
    if inside:
        raise PromptError(f"A '<' is never closed in {quoted(text, 60)}: write <entity>.")
    pieces.append((piece + text[end:], False))
    return pieces
