"""A prompt's words about places, read once: part of compiling it."""

from __future__ import annotations

import logging

import torch

from find_core.encoders.base import LanguageEncoder
from find_core.errors import PromptError
from find_core.places.choice import PlaceWords
from find_core.places.judge import PlaceJudge
from find_core.places.words import blanked, is_judged
from find_core.prompts.compiled import entity_of_tokens
from find_core.prompts.prompt import Prompt

log = logging.getLogger(__name__)


@torch.inference_mode()
def read_places(
    judge: PlaceJudge | None, language: LanguageEncoder, prompt: Prompt
) -> PlaceWords | None:
    """What the sentence says of places; None of one entity, without a judge, or where a language
    cache made by an earlier version lacks the blanked sentence (which is logged)."""
    if judge is None or not is_judged(prompt):
        return None
    text, spans = blanked(prompt)
    try:
        tokens = language.encode([text])[0]
    except PromptError as error:
        log.warning("Places are not judged: %s", error)
        return None
    device = judge.feature_mean.device
    entity = entity_of_tokens(tokens, spans).to(device)
    states = tokens.states.to(device).float()
    return PlaceWords(judge, judge.contexts(states, entity, len(prompt.entities)))
