"""Grounded segmentation (docs/spec.md 2.9): one object for each of several phrases."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from find_core.errors import PromptError
from find_core.model.attention_table import TokenGroup
from find_core.model.heads import unit
from find_core.prompts.compiled import to_unit
from find_core.protocols import EncodedImage
from find_core.results import Localization
from find_core.support.numbers import check_texts, check_threshold
from find_core.tasks import candidates
from find_core.tasks.proposals import PromptProposals


@torch.inference_mode()
def ground(scene: EncodedImage, phrases: Sequence[str], threshold: float | None) -> Localization:
    """See `Scene.ground`: the proposal with the largest cosine to each phrase's query."""
    phrases, threshold = check_texts(phrases, "Phrases", PromptError), check_threshold(threshold)
    find, model = scene.find, scene.find.model
    with find.autocast():
        groups = model.sampler.grounding([find.project(list(phrases))])
        outputs = model(scene.state, groups)[-1].float()
    rows = model.heads.semantic(outputs.embeddings[TokenGroup.GROUNDING])[0]
    queries = model.heads.semantic(outputs.embeddings[TokenGroup.DESCRIPTION])[0]
    cosines = unit(queries) @ unit(rows).T
    pixel_NP = outputs.pixel[TokenGroup.GROUNDING][0]
    proposals = PromptProposals(scene, pixel_NP, to_unit(rows))
    scores = find.config.relevance(cosines)
    return candidates.localization(scene, phrases, cosines, scores, proposals, threshold)
