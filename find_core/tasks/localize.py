"""Where is what a prompt speaks of? Entity proposals of a scene, matched with a compiled prompt.

Letters: N proposals (Q object queries), E entities, D semantic width, P pixel width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from find_core.embedding_space import same_space
from find_core.errors import FindError
from find_core.model.attention_table import TokenGroup
from find_core.model.heads import unit
from find_core.prompts.compiled import CompiledPrompt, stack_states, to_unit
from find_core.prompts.prompt import Prompt
from find_core.protocols import EncodedImage, Engine
from find_core.recognition.pooling import pooled_proposals
from find_core.results import Localization
from find_core.support.numbers import check_threshold
from find_core.tasks import candidates, postprocess
from find_core.tasks.proposals import ObjectProposals, PromptProposals, Proposals

AnyPrompt = Prompt | str | CompiledPrompt


@dataclass(frozen=True, eq=False)
class Rows:
    """Proposals as prompts are matched with them, on the model's device; `units_ND` of length 1."""

    semantic_ND: Tensor
    units_ND: Tensor
    pixel_NP: Tensor


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
        return _by_objects(scene, compiled, threshold)
    return scene.find.in_batches(compiled, lambda part: _by_entities(scene, part, threshold))


def _by_entities(
    scene: EncodedImage, compiled: Sequence[CompiledPrompt], threshold: float | None
) -> list[Localization]:
    """Proposals of the prompts' own, in one pass of the interface."""
    return answers(scene, compiled, *entity_rows(scene, compiled), threshold)


def entity_rows(scene: EncodedImage, compiled: Sequence[CompiledPrompt]) -> tuple[Tensor, Tensor]:
    """Each prompt's proposals: normed rows (B, N, H) and pixel embeddings (B, N, P), float32.

    Waits for nothing: all of it is under way on a GPU when this returns.
    """
    model = scene.find.model
    with scene.find.autocast():
        cached = {TokenGroup.LEGEND_TOKENS: stack_states([c.legend for c in compiled])}
        groups = model.sampler.entity_proposals(len(compiled))
        outputs = model.resume(scene.state, groups, cached).float()
    return outputs.embeddings[TokenGroup.ENTITY], outputs.pixel[TokenGroup.ENTITY]


@torch.inference_mode()
def relevance(scene: EncodedImage, prompt: AnyPrompt) -> float:
    """See `Scene.relevance`."""
    compiled = compiled_for(scene.find, prompt)
    cosines = unit(compiled.semantic) @ scene.object_units.T
    pixel_QP = scene.objects.pixel[TokenGroup.OBJECT][0]
    return float(scored(scene, compiled, cosines, pixel_QP)[1].max(-1).values.min())


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


def answers(
    scene: EncodedImage,
    compiled: Sequence[CompiledPrompt],
    embeddings_BNH: Tensor,
    pixel_BNP: Tensor,
    threshold: float | None,
) -> list[Localization]:
    """Each prompt's own proposals, matched with its entities.

    Args:
        embeddings_BNH: normed rows of the proposals. pixel_BNP: their pixel embeddings.
    """
    semantic_BND = scene.find.model.heads.semantic(embeddings_BNH)
    units_BND, vectors_BND = unit(semantic_BND), to_unit(semantic_BND)
    return [
        _matched(
            scene,
            prompt,
            Rows(semantic_BND[b], units_BND[b], pixel_BNP[b]),
            PromptProposals(scene, pixel_BNP[b], vectors_BND[b]),
            threshold,
        )
        for b, prompt in enumerate(compiled)
    ]


def _by_objects(
    scene: EncodedImage, compiled: Sequence[CompiledPrompt], threshold: float | None
) -> list[Localization]:
    """The scene's object proposals instead: computed once for all prompts."""
    pixel_QP = scene.objects.pixel[TokenGroup.OBJECT][0]
    rows = Rows(scene.object_rows, scene.object_units, pixel_QP)
    return [_matched(scene, c, rows, ObjectProposals(scene), threshold) for c in compiled]


def _matched(
    scene: EncodedImage,
    compiled: CompiledPrompt,
    rows: Rows,
    proposals: Proposals,
    threshold: float | None,
) -> Localization:
    cosines = unit(compiled.semantic) @ rows.units_ND.T
    choice, scores = scored(scene, compiled, cosines, rows.pixel_NP)
    if scene.find.config.selection == "paper":
        choice = postprocess.interleave_similarity(
            rows.semantic_ND,
            rows.pixel_NP,
            compiled.semantic,
            compiled.pixel,
            torch.from_numpy(compiled.entity_is_visual),
        )
    return candidates.localization(
        scene, compiled.labels, choice, scores, proposals, threshold, compiled.places
    )


def scored(
    scene: EncodedImage, compiled: CompiledPrompt, cosines_EN: Tensor, pixel_NP: Tensor
) -> tuple[Tensor, Tensor]:
    """What proposals are ranked by, and their relevance in [0, 1], both (E, N): the interface's cosines,
    with what the recogniser sees under the masks where the model has one."""
    looks, plain = compiled.looks, scene.find.config.relevance(cosines_EN)
    if looks is None or not scene.state.frozen:
        return cosines_EN, plain
    recognizer = looks.recognizer
    features_NF = pooled_proposals(pixel_NP, scene.state, scene.geometry)
    evidence = recognizer.evidence(looks, recognizer.of_regions(features_NF))
    combined = recognizer.combined(looks, cosines_EN, evidence)
    known_E1 = looks.share_E[:, None] > 0
    return combined, torch.where(known_E1, recognizer.relevance(combined), plain)
