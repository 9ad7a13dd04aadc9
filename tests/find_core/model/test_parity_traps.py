"""Each trap of the published system, re-introduced on purpose, must show (docs/spec.md 7 and 8).

A trap that leaves every golden output within the tolerance would mean that nothing guards it.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch

from find_core.model import attention_table as tasks
from find_core.model import heads, interface, sampler
from find_core.model import image_state as image_state_module
from find_core.model.attention_table import (
    ATTENTION_TABLE,
    AttentionRule,
    AttentionScope,
    TokenGroup,
)
from tests.find_core.model import golden

CLEARLY_WRONG = 1e-3  # two orders above the tolerance, well below the smallest effect of a trap


def error_of(task: str) -> float:
    model = golden.model()
    return golden.worst(task, model, *golden.run(task, model))[0]


def twice(image):
    """The same picture as a batch of two."""
    return dataclasses.replace(
        image,
        mask_features=image.mask_features.repeat(2, 1, 1, 1),
        sources=[s.repeat(2, 1, 1) for s in image.sources],
        level_masks=[m.repeat(2, 1, 1) for m in image.level_masks],
    )


def patch_rule(monkeypatch, v: TokenGroup, **changes) -> None:
    monkeypatch.setitem(ATTENTION_TABLE, v, dataclasses.replace(ATTENTION_TABLE[v], **changes))


def test_untouched_model_is_right():
    assert error_of("interleave/out") <= golden.TOLERANCE


def test_position_of_a_token_is_the_token(monkeypatch):
    original = sampler._padded

    def without(rows, index, position=None):
        tokens = original(rows, index, position)
        return dataclasses.replace(tokens, position=torch.zeros_like(tokens.position))

    monkeypatch.setattr(sampler, "_padded", without)
    assert error_of("grounding/out") > CLEARLY_WRONG


def test_initial_token_position_is_constant(monkeypatch):
    original = interface.InterfaceLayer.conditional_attention

    def moving(self, rows, seen, groups, rules):
        moved = {
            v: dataclasses.replace(g, position=seen[v]) if v is TokenGroup.DESCRIPTION_TOKENS else g
            for v, g in groups.items()
        }
        return original(self, rows, seen, moved, rules)

    monkeypatch.setattr(interface.InterfaceLayer, "conditional_attention", moving)
    assert error_of("grounding/out") > CLEARLY_WRONG


def test_fully_masked_row_attends_to_nothing(monkeypatch):
    def sees_all(group, source, sees):
        allowed = group.index.unsqueeze(2) == source.index.unsqueeze(1)
        return allowed | ~allowed.any(-1, keepdim=True)

    monkeypatch.setattr(interface, "_matches", sees_all)
    assert error_of("interleave/out") > CLEARLY_WRONG


def test_other_groups_share_the_content_attention_weights(monkeypatch):
    original = interface.InterfaceLayer.content_attention_tokens

    def other_weights(self, *args):
        return self.condition_norm(original(self, *args))

    monkeypatch.setattr(interface.InterfaceLayer, "content_attention_tokens", other_weights)
    assert error_of("grounding/out") > CLEARLY_WRONG


@pytest.mark.parametrize("v", [TokenGroup.DESCRIPTION_TOKENS, TokenGroup.CAPTION_TOKENS])
def test_text_tokens_skip_content_attention(monkeypatch, v):
    patch_rule(monkeypatch, v, content=TokenGroup.REFERENCE_TOKENS, scope=AttentionScope.SAME_INDEX)
    task = "grounding/out" if v is TokenGroup.DESCRIPTION_TOKENS else "retrieval/out"
    model = golden.model()
    image = model.image_state(golden.features())
    if task == "retrieval/out":
        image = twice(image)
    assert golden.worst(task, model, *golden.run(task, model, image))[0] > CLEARLY_WRONG


def test_legend_tokens_take_part_in_content_attention(monkeypatch):
    patch_rule(monkeypatch, TokenGroup.LEGEND_TOKENS, content=None, scope=None)
    assert error_of("interleave/out") > CLEARLY_WRONG


def test_sources_are_read_as_they_were_before_the_layer(monkeypatch):
    original = interface._content_attention

    def tokens_first(layer, n, level, rows, groups, image, allowed, rules):
        alone = {v: x for v, x in rows.items() if v is TokenGroup.LEGEND_TOKENS}
        new = original(layer, n, level, alone, groups, image, allowed, rules) if alone else {}
        return original(layer, n, level, {**rows, **new}, groups, image, allowed, rules) | new

    monkeypatch.setattr(interface, "_content_attention", tokens_first)
    assert error_of("interleave/out") > CLEARLY_WRONG


def test_proposal_groups_are_masked_by_their_own_masks(monkeypatch):
    original = interface._pixel_masks

    def by_objects(*args):
        allowed = original(*args)
        return {v: allowed[TokenGroup.OBJECT] for v in allowed}

    monkeypatch.setattr(interface, "_pixel_masks", by_objects)
    assert error_of("interleave/out") > CLEARLY_WRONG


def test_image_query_is_not_masked(monkeypatch):
    original = interface._pixel_masks

    def masked_too(*args):
        allowed = original(*args)
        return allowed | {TokenGroup.IMAGE: allowed[TokenGroup.OBJECT][:, :1]}

    monkeypatch.setattr(interface, "_pixel_masks", masked_too)
    # The pooled row is a mean of objects, so the trap shows only in its weights.
    assert error_of("seg") > 10 * golden.TOLERANCE


def test_hidden_row_sees_everything(monkeypatch):
    def stays_hidden(outputs, image, level, previous, groups):
        return {
            v: outputs.pixel[v] @ image.level_masks[level] >= 0
            for v in tasks.PROPOSALS
            if v in outputs.pixel
        }

    monkeypatch.setattr(interface, "_pixel_masks", stays_hidden)
    assert error_of("seg") > CLEARLY_WRONG


def test_grounding_proposals_see_the_description_tokens(monkeypatch):
    patch_rule(monkeypatch, TokenGroup.GROUNDING, condition=(TokenGroup.GROUNDING,))
    assert error_of("grounding/out") > CLEARLY_WRONG


def test_description_tokens_see_the_grounding_proposals(monkeypatch):
    patch_rule(
        monkeypatch, TokenGroup.DESCRIPTION_TOKENS, condition=(TokenGroup.DESCRIPTION_TOKENS,)
    )
    assert error_of("grounding/out") > CLEARLY_WRONG


def test_image_query_is_pooled_over_objects(monkeypatch):
    monkeypatch.setattr(heads, "pool_image", lambda image, objects: image)
    assert error_of("seg") > CLEARLY_WRONG


def test_pooling_has_no_temperature(monkeypatch):
    def sharp(image, objects):
        weights = (10 * torch.nn.functional.cosine_similarity(image, objects, -1)).softmax(-1)
        return weights.unsqueeze(1) @ objects

    monkeypatch.setattr(heads, "pool_image", sharp)
    assert error_of("seg") > CLEARLY_WRONG


@pytest.mark.parametrize("shift_px", [0.5])
def test_points_have_no_half_pixel_offset(monkeypatch, shift_px):
    original = sampler.draw_points

    def shifted(masks, *args):
        return [p + shift_px / torch.tensor(m.shape) for p, m in zip(original(masks, *args), masks)]

    monkeypatch.setattr(sampler, "draw_points", shifted)
    assert error_of("spatial1/out") > CLEARLY_WRONG


def test_points_are_not_swapped(monkeypatch):
    original = sampler.draw_points
    monkeypatch.setattr(sampler, "draw_points", lambda *a: [p.flip(1) for p in original(*a)])
    assert error_of("spatial1/out") > CLEARLY_WRONG


def test_sampled_source_has_level_embed_and_no_sine(monkeypatch):
    original = image_state_module.ImageState.sample

    def with_sine(self, level, image_index, points_yx):
        moved = dataclasses.replace(
            self, sources=[s + p for s, p in zip(self.sources, self.positions)]
        )
        return original(moved, level, image_index, points_yx)

    monkeypatch.setattr(image_state_module.ImageState, "sample", with_sine)
    assert error_of("spatial1/out") > CLEARLY_WRONG


def test_level_embed_is_in_values_and_keys(monkeypatch):
    original = image_state_module.ImageState.build
    monkeypatch.setattr(
        image_state_module.ImageState, "build",
        staticmethod(lambda mask, levels, embed, *more: original(mask, levels, embed * 0, *more)),
    )  # fmt: skip
    assert error_of("seg") > CLEARLY_WRONG


def test_image_source_has_a_position(monkeypatch):
    monkeypatch.setattr(
        interface.InterfaceLayer, "image_keys_values",
        lambda self, image, level, layer: self.content.keys_values(
            image.sources[level], image.sources[level]
        ),
    )  # fmt: skip
    assert error_of("seg") > CLEARLY_WRONG


def test_visual_rows_are_added_to_visual_tokens_only(monkeypatch):
    monkeypatch.setattr(sampler, "_token_is_visual", lambda e: torch.ones(len(e.tokens), 1))
    assert error_of("interleave/out") > CLEARLY_WRONG


def test_memory_is_masked_by_the_previous_mask(monkeypatch):
    original = interface._pixel_masks

    def everywhere(*args):
        allowed = original(*args)
        allowed.pop(TokenGroup.MEMORY, None)
        return allowed

    monkeypatch.setattr(interface, "_pixel_masks", everywhere)
    assert error_of("second_click") > CLEARLY_WRONG


def test_unfixed_padding_differs(monkeypatch):
    """The switch matters: hiding padded description queries is not what the reference does."""
    model = golden.model()
    image = model.image_state(golden.features())
    two = twice(image)
    texts = golden.phrases("grounding_b2")
    official = model(two, model.sampler.grounding(texts, official_padding=True))[-1]
    fixed = model(two, model.sampler.grounding(texts))[-1]
    change = (
        official.embeddings[TokenGroup.DESCRIPTION] - fixed.embeddings[TokenGroup.DESCRIPTION]
    )[1, 0]
    assert float(change.abs().max()) > CLEARLY_WRONG


def test_every_rule_names_known_groups():
    for rule in ATTENTION_TABLE.values():
        assert isinstance(rule, AttentionRule)
        assert set(rule.condition) <= set(tasks.TokenGroup)
