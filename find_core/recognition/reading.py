"""A prompt's entities, read once for the recogniser: part of compiling it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from find_core.encoders.base import LanguageEncoder
from find_core.model.sampler import Legend
from find_core.prompts.prompt import Prompt
from find_core.protocols import Engine
from find_core.recognition.pooling import pooled_region
from find_core.recognition.recognizer import EntityLooks, Recognizer

_ARTICLE = re.compile(r"^(the|a|an)\s+")


@torch.inference_mode()
def read_looks(recognizer: Recognizer | None, prompt: Prompt, legend: Legend) -> EntityLooks | None:
    """Of each entity the bank's row of its name, or what its reference looks like.

    None where there is nothing to compare: no recogniser, or neither references nor names of its bank.
    A reference's label is not read: what the image shows decides.
    """
    if recognizer is None:
        return None
    shown = {p.index: p for p in legend.prompts}
    zero = torch.zeros_like(recognizer.share_of_names)
    rows, shares = [], []
    own = torch.zeros(len(prompt.entities), len(recognizer.bank_names), dtype=torch.bool)
    for number, entity in enumerate(prompt.entities):
        name = name_in(entity.label)
        if entity.is_visual:
            region = shown[number]
            features = pooled_region(region.mask, region.image[region.image_index])
            rows.append(recognizer.of_regions(features[None])[0])
            shares.append(recognizer.share_of_references)
        elif name in recognizer.bank_names:
            row = recognizer.bank_names.index(name)
            own[number, row] = True
            rows.append(recognizer.bank_CV[row])
            shares.append(recognizer.share_of_names)
        else:
            rows.append(torch.zeros_like(recognizer.bank_CV[0]))
            shares.append(zero)
    share_E = torch.stack(shares)
    if not any(e.is_visual for e in prompt.entities) and not own.any():
        return None
    visual = tuple(e.is_visual for e in prompt.entities)
    own = own.to(share_E.device)
    return EntityLooks(recognizer, torch.stack(rows), visual, own, share_E)


def name_in(words: str) -> str:
    """What the bank calls it: "The Mug" is "mug"."""
    return _ARTICLE.sub("", words.strip().casefold())


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
    if (known := name_in(name)) in recognizer.bank_names:
        return recognizer.bank_CV[recognizer.bank_names.index(known)]
    row = recognizer.word_rows.get(name)
    if row is None:
        row = recognizer.of_words(mean_tokens(language, name).to(recognizer.token_mean.device))
        recognizer.word_rows.put(name, row)
    return row


def mean_tokens(language: LanguageEncoder, name: str) -> Tensor:
    """(W,): the mean of a name's token states, read alone.

    Raises:
        PromptError: longer than the text encoder reads, or not in a language cache.
    """
    return language.encode([name])[0].states.float().mean(0)
