"""From what a batch asks to the rows that the interface runs (docs/spec.md 2.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from find_core.model.attention_table import TokensByGroup
from find_core.model.find import FindModel
from find_core.model.image_state import ImageState
from find_core.model.sampler import Legend, VisualPrompt
from find_core.prompts.compiled import entity_of_tokens
from training.data.queries.config import QuerySample
from training.data.sample import Batch
from training.data.text_cache import TextCache
from training.step.targets import phrase_texts, strokes_of

if TYPE_CHECKING:
    from training.config import LossConfig


def task_groups(
    model: FindModel, texts: TextCache, batch: Batch, image: ImageState, losses: LossConfig,
    drawn: Sequence[float],
) -> TokensByGroup:  # fmt: skip
    """The rows of every task that is active in this step.

    Args:
        drawn: two numbers in [0, 1): grounding and interactive take part below their chances.
    """
    sampler = model.sampler
    texts.encode(_every_text(batch))  # one call: the parts below find them remembered
    groups: TokensByGroup = dict(sampler.segmentation(len(batch)))
    if losses.grounding.active and drawn[0] < losses.grounding_chance:
        phrases = [token_rows(model, texts, phrase_texts(a)) for a in batch.queries]
        groups |= sampler.grounding(phrases)
    if losses.interactive.active and drawn[1] < losses.interactive_chance:
        strokes = [strokes_of(a, image, b) for b, a in enumerate(batch.queries)]
        groups |= sampler.interactive(strokes, [max(1, len(s)) for s in strokes])
    if losses.interleave.active or losses.interleave_itc:
        groups |= sampler.interleave([_legend(model, texts, a, image) for a in batch.queries])
        groups |= sampler.entity_proposals(len(batch))
    if losses.retrieval:
        groups |= sampler.sentence(token_rows(model, texts, [_caption(a) for a in batch.queries]))
    return groups


def token_rows(model: FindModel, texts: TextCache, wanted: list[str]) -> list[Tensor]:
    """Per text its token states in the interface's width (T, H)."""
    return [model.lang_proj(t.states.to(model.device)) for t in texts.encode(wanted)]


def _legend(model: FindModel, texts: TextCache, ask: QuerySample, image: ImageState) -> Legend:
    tokens = texts.encode([_sentence(ask)])[0]
    prompts = [
        VisualPrompt(image, e.image_index, torch.from_numpy(e.region).to(model.device), k)
        for k, e in enumerate(ask.entities)
        if e.region is not None and e.image_index is not None
    ]
    visual = [e.is_visual for e in ask.entities] or [False]
    return Legend(
        model.lang_proj(tokens.states.to(model.device)),
        entity_of_tokens(tokens, ask.spans).to(model.device),
        torch.tensor(visual, device=model.device),
        prompts,
    )


def _every_text(batch: Batch) -> list[str]:
    asks = batch.queries
    return [t for a in asks for t in (*phrase_texts(a), _sentence(a), _caption(a))]


def _sentence(ask: QuerySample) -> str:
    return ask.sentence or "nothing"


def _caption(ask: QuerySample) -> str:
    return ask.caption or "nothing"
