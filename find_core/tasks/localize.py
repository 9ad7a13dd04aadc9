"""Where is what a prompt speaks of? Entity proposals of a scene, matched with a compiled prompt.

Letters: N proposals (Q object queries), E entities, D semantic width, P pixel width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from find_core.embedding_space import same_space
from find_core.errors import FindError
from find_core.model.attention_table import TokenGroup
from find_core.model.heads import unit
from find_core.prompts.compiled import CompiledPrompt, stack_states, to_unit
from find_core.prompts.prompt import Prompt
from find_core.protocols import EncodedImage, Engine
from find_core.results import Localization
from find_core.support.numbers import check_threshold
from find_core.tasks import candidates, postprocess

AnyPrompt = Prompt | str | CompiledPrompt


@torch.inference_mode()
def localize(
    scene: EncodedImage, prompts: Sequence[AnyPrompt], threshold: float | None, fast: bool
) -> list[Localization]:
    """See `Scene.localize_many`."""
    threshold = check_threshold(threshold)
    compiled = [compiled_for(scene.find, prompt) for prompt in prompts]
    if not compiled:
        return []
    if fast:
        return [_by_objects(scene, prompt, threshold) for prompt in compiled]
    rows = scene.find.in_batches(compiled, lambda part: _entity_rows(scene, part))
    return [
        answer(scene, prompt, embeddings, pixel, threshold)
        for prompt, (embeddings, pixel) in zip(compiled, rows, strict=True)
    ]


def _entity_rows(
    scene: EncodedImage, compiled: Sequence[CompiledPrompt]
) -> list[tuple[Tensor, Tensor]]:
    """Of each prompt its proposals' normed rows (N, H) and pixel embeddings (N, P)."""
    model = scene.find.model
    with scene.find.autocast():
        cached = {TokenGroup.LEGEND_TOKENS: stack_states([c.legend for c in compiled])}
        groups = model.sampler.entity_proposals(len(compiled))
        outputs = model.resume(scene.state, groups, cached).float()
    rows = outputs.embeddings[TokenGroup.ENTITY], outputs.pixel[TokenGroup.ENTITY]
    return list(zip(*rows, strict=True))


@torch.inference_mode()
def relevance(scene: EncodedImage, prompt: AnyPrompt) -> float:
    """See `Scene.relevance`."""
    compiled = compiled_for(scene.find, prompt)
    best = (unit(compiled.semantic) @ unit(scene.object_rows).T).max(-1).values
    return float(scene.find.config.relevance(best).min())


def compiled_for(find: Engine, prompt: AnyPrompt) -> CompiledPrompt:
    """The prompt as `find` compiles it.

    Raises:
        FindError: it was compiled by a model of another embedding space.
    """
    compiled = prompt if isinstance(prompt, CompiledPrompt) else find.compile(prompt)
    if not same_space(compiled.fingerprint, find.fingerprint):
        raise FindError(
            "This prompt was compiled by another model: compile it again with this one, "
            "find.compile(prompt.prompt)."
        )
    return compiled


def answer(
    scene: EncodedImage,
    compiled: CompiledPrompt,
    embeddings_NH: Tensor,
    pixel_NP: Tensor,
    threshold: float | None,
) -> Localization:
    """The prompt's own proposals, matched with its entities.

    Args:
        embeddings_NH: normed rows of the proposals. pixel_NP: their pixel embeddings.
    """
    model = scene.find.model
    semantic_ND = model.heads.semantic(embeddings_NH)
    logits_Nhw = model.masks(pixel_NP.unsqueeze(0), scene.state)[0]
    proposals = candidates.Proposals(logits_Nhw, to_unit(semantic_ND))
    return _matched(scene, compiled, semantic_ND, pixel_NP, proposals, threshold)


def _by_objects(
    scene: EncodedImage, compiled: CompiledPrompt, threshold: float | None
) -> Localization:
    """The scene's object proposals instead: computed once for all prompts."""
    proposals = candidates.Proposals(scene.object_logits, scene.object_embeddings)
    pixel_QP = scene.objects.pixel[TokenGroup.OBJECT][0]
    return _matched(scene, compiled, scene.object_rows, pixel_QP, proposals, threshold)


def _matched(
    scene: EncodedImage,
    compiled: CompiledPrompt,
    semantic_ND: Tensor,
    pixel_NP: Tensor,
    proposals: candidates.Proposals,
    threshold: float | None,
) -> Localization:
    cosines = unit(compiled.semantic) @ unit(semantic_ND).T
    choice = cosines
    if scene.find.config.selection == "paper":
        choice = postprocess.interleave_similarity(
            semantic_ND,
            pixel_NP,
            compiled.semantic,
            compiled.pixel,
            torch.from_numpy(compiled.entity_is_visual),
        )
    return candidates.localization(scene, compiled.labels, choice, cosines, proposals, threshold)
