"""The sentence as the judge of places reads it: entities' names blanked."""

from __future__ import annotations

from find_core.prompts.prompt import Prompt, PromptEntity

BLANK = "thing"
MOST_ENTITIES = 8
"""Of a sentence that is judged: so many things stand in no relation that anybody says."""


def is_judged(prompt: Prompt) -> bool:
    """Whether places matter at all: one entity stands in no relation to another."""
    return 2 <= len(prompt.entities) <= MOST_ENTITIES


def blanked(prompt: Prompt) -> tuple[str, list[tuple[int, int]]]:
    """The sentence without its entities' names, and each entity's (start, end) characters in it."""
    text, spans = "", []
    for part in prompt.parts:
        word = BLANK if isinstance(part, PromptEntity) else part
        if isinstance(part, PromptEntity):
            spans.append((len(text), len(text) + len(word)))
        text += word
    return text, spans
