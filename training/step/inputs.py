"""From what a batch asks to the rows that the interface runs (docs/spec.md 2.5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from find_core.encoders.base import TextTokens
from find_core.model.attention_table import TokenGroup, TokensByGroup
from find_core.model.find import FindModel
from find_core.model.image_state import ImageState
from find_core.model.sampler import Legend, VisualPrompt
from find_core.prompts.compiled import entity_of_tokens
from training.config import LossConfig
from training.data.queries.config import QuerySample
from training.data.queries.paraphrase import Paraphrase
from training.data.sample import Batch
from training.data.text_cache import TextCache
from training.step.targets import phrase_texts, strokes_of


def task_groups(
    model: FindModel, texts: TextCache, batch: Batch, image: ImageState, losses: LossConfig,
    drawn: Sequence[float], references: ImageState | None = None,
) -> TokensByGroup:  # fmt: skip
    """The rows of every task that is active in this step.

    Args:
        drawn: two numbers in [0, 1): grounding and interactive take part below their chances.
        references: the batch's reference images, encoded.
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
        groups |= sampler.interleave(
            [_legend(model, texts, a, image, references) for a in batch.queries]
        )
        groups |= sampler.entity_proposals(len(batch))
    if losses.retrieval:
        groups |= sampler.sentence(caption_rows(model, texts, batch))
    return groups


def token_rows(model: FindModel, texts: TextCache, wanted: list[str]) -> list[Tensor]:
    """Per text its token states in the interface's width (T, H)."""
    return [model.lang_proj(t.states.to(model.device)) for t in texts.encode(wanted)]


def caption_rows(model: FindModel, texts: TextCache, batch: Batch) -> list[Tensor]:
    """Per image the token states of its caption (T, H)."""
    return token_rows(model, texts, [_caption(query) for query in batch.queries])


def phrase_rows(model: FindModel, texts: TextCache, said: Sequence[Paraphrase]) -> Tensor:
    """(T, H) semantic embeddings of all entities, sentence after sentence; no image takes part."""
    sentences = texts.encode([s.sentence for s in said])
    legends = [
        legend_of(model, tokens, s.spans, [False] * len(s.spans))
        for s, tokens in zip(said, sentences, strict=True)
    ]
    outputs = model(None, model.sampler.interleave(legends))
    rows_SEH = outputs[-1].embeddings[TokenGroup.INTERLEAVE]
    counts = torch.tensor([len(s.spans) for s in said], device=rows_SEH.device)
    real = torch.arange(rows_SEH.shape[1], device=rows_SEH.device) < counts[:, None]
    return model.heads.semantic(rows_SEH[real].float())


def legend_of(
    model: FindModel, tokens: TextTokens, spans: Sequence[tuple[int, int]],
    is_visual: Sequence[bool], prompts: Sequence[VisualPrompt] = (),
) -> Legend:  # fmt: skip
    """An interleaved sentence as the sampler takes it.

    Args:
        spans: start and end characters of each entity. is_visual: of each entity.
        prompts: regions of the visual ones.
    """
    return Legend(
        model.lang_proj(tokens.states.to(model.device)),
        entity_of_tokens(tokens, spans).to(model.device),
        torch.tensor(is_visual, device=model.device),
        prompts,
    )


def _legend(
    model: FindModel, texts: TextCache, query: QuerySample, image: ImageState,
    references: ImageState | None,
) -> Legend:  # fmt: skip
    prompts = []
    for k, entity in enumerate(query.entities):
        if entity.region is None or entity.image_index is None:
            continue
        region = torch.from_numpy(entity.region).to(model.device)
        own = entity.image_index < image.batch
        if own or references is None:
            prompts.append(VisualPrompt(image, entity.image_index, region, k))
        else:
            prompts.append(VisualPrompt(references, entity.image_index - image.batch, region, k))
    visual = [e.is_visual for e in query.entities] or [False]
    return legend_of(model, texts.encode([_sentence(query)])[0], query.spans, visual, prompts)


def _every_text(batch: Batch) -> list[str]:
    asks = batch.queries
    return [t for a in asks for t in (*phrase_texts(a), _sentence(a), _caption(a))]


def _sentence(query: QuerySample) -> str:
    return query.sentence or "nothing"


def _caption(query: QuerySample) -> str:
    return query.caption or "nothing"
