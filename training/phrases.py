"""Many short phrases against all objects of the batch: what is there, what only looks like it.

An entity query does not depend on the target picture (find-spec 2.7), so a phrase alone costs a
handful of token rows. Each picture gives some phrases that are true of it and some that are known
to be false (other colours of what is there, other kinds); every phrase is then scored against every
object of every picture, wherever the truth is known. Ours: the paper's losses never say "not here".

Dimension letters: T phrases, B pictures, Q proposals, H width.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from find_core.compiled import entity_of_tokens
from find_core.model.find import FindModel
from find_core.model.sampler import Legend
from find_core.model.tasks import Var
from training.data.asks import EntityAsk, as_seen, visible_phrases
from training.data.batches import Batch
from training.data.facts import Facts
from training.data.texts import TextCache
from training.losses import cosine_logits, multi_positive_nce, presence_bce
from training.presence import Presence, image_truth, spread_truth, truths


def choose_phrases(batch: Batch, count: int, rng: np.random.Generator) -> list[str]:
    """Up to `count` true and `count` false phrases of every picture, each once. No relations."""
    chosen: dict[str, None] = {}
    for picture in batch.pictures:
        true = [p.text for p in visible_phrases(picture) if not p.referring]
        false = [as_seen(text, picture) for text in picture.record.absent]
        for texts in (true, false):
            for k in rng.permutation(len(texts))[:count]:
                chosen[texts[k]] = None
    return list(chosen)


def phrase_rows(model: FindModel, texts: TextCache, phrases: list[str]) -> Tensor:
    """(T, H) semantic rows of prompts that consist of one phrase each."""
    legends = [
        Legend(
            model.lang_proj(tokens.states.to(model.device)),
            entity_of_tokens(tokens, [(0, len(phrase))]).to(model.device),
            torch.tensor([False], device=model.device),
            [],
        )
        for phrase, tokens in zip(phrases, texts.encode(phrases), strict=True)
    ]
    outputs = model(None, model.sampler.interleave(legends))[-1]
    return model.heads.semantic(outputs.embeddings[Var.INTERLEAVE][:, 0].float())


def phrase_losses(
    presence: Presence, phrases: list[str], rows_TH: Tensor, objects_BQH: Tensor,
    matched_BM: Tensor, batch: Batch, facts: Facts, scale: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(presence, alignment): is it there at all, and which of all the batch's objects are it.

    Args:
        matched_BM: the proposal of each visible instance, -1 for padding.
    """
    truth_TBM = truths([EntityAsk(p, ()) for p in phrases], batch, facts).to(rows_TH.device)
    cosine_TBQ = cosine_logits(rows_TH, objects_BQH.flatten(0, 1)).unflatten(
        1, objects_BQH.shape[:2]
    )
    truth_TBQ = spread_truth(truth_TBM, matched_BM, objects_BQH.shape[1])
    seen_TB = image_truth(truth_TBM, batch).to(rows_TH.device)
    here = presence_bce(presence(cosine_TBQ.amax(2)), seen_TB)
    each = presence_bce(presence(cosine_TBQ), truth_TBQ)
    alignment = multi_positive_nce(scale * cosine_TBQ.flatten(1), truth_TBQ.flatten(1))
    return here + each, alignment
