"""Image-text and interleaved retrieval (docs/spec.md 3.5, 8): vectors of an entry, scores of images.

Two ways to an entity's vector. `CompiledPrompt.entity_embeddings` are the entity queries, ready as
soon as a prompt is compiled. `paper_query` follows the published protocol: a text entity is grounded
on a blank image, a visual one is the best proposal of its own reference image.

Letters: E entities, Q objects, D semantic width.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from find_core.model.attention_table import TokenGroup
from find_core.model.find import FindModel
from find_core.model.image_state import ImageState
from find_core.model.sampler import Legend, VisualPrompt
from find_core.prompts.compiled import CompiledPrompt, to_unit
from find_core.prompts.prompt import Prompt
from find_core.protocols import EncodedImage, Engine

ENTITY_WEIGHT = 0.5
"""Weight of the entity term in evaluation; the published album demo uses 1.0."""
BLANK_SIDE_PX = 640


@dataclass(frozen=True, eq=False)
class RetrievalQuery:
    """What an interleaved entry is searched by.

    Attributes:
        embedding: (D,) float32 unit vector of the whole entry. entities: (E, D) float32 unit.
    """

    embedding: np.ndarray
    entities: np.ndarray


def score(
    query: RetrievalQuery | CompiledPrompt,
    scene: EncodedImage,
    entity_weight: float = ENTITY_WEIGHT,
) -> float:
    """cos(entry, image) + entity_weight * mean over entities of their best object's cosine."""
    entities = query.entities if isinstance(query, RetrievalQuery) else query.entity_embeddings
    best = (entities @ scene.object_embeddings.T).max(axis=1)
    return float(query.embedding @ scene.embedding + entity_weight * best.mean())


def rank(
    query: RetrievalQuery | CompiledPrompt,
    scenes: Sequence[EncodedImage],
    entity_weight: float = ENTITY_WEIGHT,
    exclude: Collection[int] = (),
) -> np.ndarray:
    """(N,) int64 indices of `scenes`, best first, without those in `exclude`.

    The images that the query's references come from belong into `exclude`: the paper leaves them
    out, its code in effect does not (docs/spec.md 3.6-5).
    """
    members = [i for i in range(len(scenes)) if i not in exclude]
    scores = [-score(query, scenes[i], entity_weight) for i in members]
    return np.array(members, np.int64)[np.argsort(scores, kind="stable")]


@torch.inference_mode()
def paper_query(find: Engine, prompt: Prompt | str) -> RetrievalQuery:
    """The published protocol's vectors of a prompt; one pass per entity."""
    compiled = find.compile(prompt)
    legend = find.legend(compiled.prompt)
    blank = torch.zeros(1, 3, BLANK_SIDE_PX, BLANK_SIDE_PX, device=find.device)
    with find.autocast(encoding=True):
        state = find.runtime(blank)
    with find.autocast():
        rows = entity_vectors(find.model, legend, state)
    return RetrievalQuery(compiled.embedding, to_unit(rows))


def entity_vectors(model: FindModel, legend: Legend, blank: ImageState) -> Tensor:
    """(E, D) raw vectors; every entity is read from its own token rows alone.

    Args:
        blank: state of an all-zero input (fed to the encoder directly, not normalised).
    """
    prompts = {p.index: p for p in legend.prompts}
    rows = []
    for e, visual in enumerate(legend.is_visual.tolist()):
        tokens = legend.tokens[legend.entity_index == e]
        seen = _by_sight(model, tokens, prompts[e]) if visual else _by_words(model, tokens, blank)
        rows.append(seen)
    return torch.stack(rows)


def _by_words(model: FindModel, tokens_TH: Tensor, blank: ImageState) -> Tensor:
    outputs = model(blank, model.sampler.grounding([[tokens_TH]]))[-1]
    return model.heads.semantic(outputs.embeddings[TokenGroup.DESCRIPTION])[0, 0]


def _by_sight(model: FindModel, tokens_TH: Tensor, prompt: VisualPrompt) -> Tensor:
    index = torch.zeros(len(tokens_TH), dtype=torch.long, device=tokens_TH.device)
    own = VisualPrompt(prompt.image, prompt.image_index, prompt.mask, 0)
    entry = Legend(tokens_TH, index, torch.tensor([True]), [own])
    image = prompt.image[prompt.image_index]
    groups = model.sampler.interleave([entry]) | model.sampler.entity_proposals(1)
    outputs = model(image, groups)[-1]
    query = model.heads.pixel(outputs.embeddings[TokenGroup.INTERLEAVE])[0, 0]
    best = (outputs.pixel[TokenGroup.ENTITY][0] @ query).argmax()
    return model.heads.semantic(outputs.embeddings[TokenGroup.ENTITY])[0, best]
