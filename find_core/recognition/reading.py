"""A prompt's entities, read once for the recogniser: part of compiling it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from find_core.encoders.base import LanguageEncoder
from find_core.errors import PromptError
from find_core.model.sampler import Legend
from find_core.prompts.prompt import Prompt
from find_core.protocols import Engine
from find_core.recognition.pooling import pooled_region
from find_core.recognition.recognizer import EntityLooks, Recognizer

log = logging.getLogger(__name__)


@torch.inference_mode()
def read_looks(
    recognizer: Recognizer | None, language: LanguageEncoder, prompt: Prompt, legend: Legend
) -> EntityLooks | None:
    """Of each entity its words, or what its reference looks like; None without a recogniser, or where
    a language cache lacks the entity's words alone (which is logged).

    A reference's label is not read: what the image shows decides.
    """
    if recognizer is None:
        return None
    device = recognizer.feature_mean.device
    shown = {p.index: p for p in legend.prompts}
    rows: list[Tensor] = []
    try:
        for number, entity in enumerate(prompt.entities):
            if entity.is_visual:
                region = shown[number]
                features = pooled_region(region.mask, region.image[region.image_index])
                rows.append(recognizer.of_regions(features[None])[0])
            else:
                rows.append(_named(recognizer, language, entity.label))
    except PromptError as error:
        log.warning("Entities are not recognised by their looks: %s", error)
        return None
    own = torch.tensor([
        [not e.is_visual and name == e.label.casefold() for name in recognizer.bank_names]
        for e in prompt.entities
    ])  # fmt: skip
    visual = tuple(e.is_visual for e in prompt.entities)
    share = torch.where(
        torch.tensor(visual, device=device),
        recognizer.share_of_references,
        recognizer.share_of_words,
    )
    return EntityLooks(recognizer, torch.stack(rows), visual, own.to(device), share)


@torch.inference_mode()
def class_looks(find: Engine, recognizer: Recognizer, classes: Sequence[str | Prompt]) -> Tensor:
    """(C, V) unit vectors of classes by name, by description or by example."""
    rows: list[Tensor] = []
    for item in classes:
        if isinstance(item, str):
            rows.append(_named(recognizer, find.language, item))
        elif (looks := find.compile(item).looks) is not None:
            rows.append(looks.units_EV[0])
        else:
            rows.append(_named(recognizer, find.language, item.text))
    return torch.stack(rows)


def _named(recognizer: Recognizer, language: LanguageEncoder, name: str) -> Tensor:
    """(V,): the bank's row of a name that was learnt or taught, else its words'."""
    known = recognizer.bank_names
    if name.casefold() in known:
        return recognizer.bank_CV[known.index(name.casefold())]
    row = recognizer.read.get(name)
    if row is None:
        row = recognizer.of_words(mean_tokens(language, name).to(recognizer.token_mean.device))
        recognizer.read.put(name, row)
    return row


def mean_tokens(language: LanguageEncoder, name: str) -> Tensor:
    """(W,): the mean of a name's token states, read alone.

    Raises:
        PromptError: longer than the text encoder reads, or not in a language cache.
    """
    return language.encode([name])[0].states.float().mean(0)
