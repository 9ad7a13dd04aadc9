"""The interface (docs/spec.md 2.6): layers that execute the attention table over the groups present.

Letters: B batch, N tokens of a group, M pixels of a level, H width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from find_core.model.attention import Attention, KeysValues, attend
from find_core.model.attention_table import (
    ATTENTION_TABLE,
    IMAGE_SOURCE,
    PROPOSALS,
    AttentionRule,
    AttentionScope,
    TokenGroup,
    Tokens,
    TokensByGroup,
    at_level,
)
from find_core.model.heads import Heads, Outputs
from find_core.model.image_state import ImageState, resize


@dataclass(eq=False)
class LayerStates:
    """A group's content after content attention at every layer: all that others ever see of it.

    Groups that do not depend on the image (legend tokens) are run once, recorded, and given to
    later runs in this form (design section 4).
    """

    tokens: Tokens
    contents: list[Tensor] = field(default_factory=list)


class Feedforward(nn.Module):
    def __init__(self, dim: int, ffn_dim: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(dim, ffn_dim), nn.Linear(ffn_dim, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.linear2(F.relu(self.linear1(x))))


class InterfaceLayer(nn.Module):
    """Content attention, conditional attention, feed-forward; post-norm."""

    def __init__(self, dim: int, num_heads: int, ffn_dim: int) -> None:
        super().__init__()
        self.content = Attention(dim, num_heads)
        self.content_norm = nn.LayerNorm(dim)
        self.condition = Attention(dim, num_heads)
        self.condition_norm = nn.LayerNorm(dim)
        self.ffn = Feedforward(dim, ffn_dim)

    def image_keys_values(self, image: ImageState, level: int, layer: int) -> KeysValues:
        if layer not in image.keys_values:
            source = image.sources[level]
            image.keys_values[layer] = self.content.keys_values(
                source + image.positions[level], source
            )
        return image.keys_values[layer]

    def content_attention_image(
        self, tokens: Mapping[TokenGroup, Tensor], groups: Mapping[TokenGroup, Tokens],
        sources: KeysValues, allowed: Mapping[TokenGroup, Tensor],
    ) -> dict[TokenGroup, Tensor]:  # fmt: skip
        """Content attention of the vision groups, all in one call."""
        present = list(tokens)
        x = _join(tokens, present)
        position = _join({g: groups[g].position for g in present}, present)
        pixels = sources[0].shape[2]
        mask = None
        if any(g in allowed for g in present):
            everything = x.new_ones((x.shape[0], 1, pixels), dtype=torch.bool)
            mask = torch.cat(
                [allowed.get(g, everything.expand(-1, tokens[g].shape[1], -1)) for g in present], 1
            )
        x = self.content_norm(x + self.content(x + position, sources, mask))
        return _part(x, tokens, present)

    def content_attention_tokens(
        self, x: Tensor, tokens: Tokens, rule: AttentionRule, source: Tokens | None,
        sources: KeysValues | None,
    ) -> Tensor:  # fmt: skip
        """Content attention of one non-vision group to its token source."""
        if (
            source is None or sources is None
        ):  # nothing to see: only the output bias (docs/spec.md 8)
            return self.content_norm(x + self.content.out_proj.bias)
        allowed = _matches(tokens, source, rule.scope)
        return self.content_norm(x + self.content(x + tokens.position, sources, allowed))

    def conditional_attention(
        self, tokens: Mapping[TokenGroup, Tensor], seen: Mapping[TokenGroup, Tensor],
        groups: Mapping[TokenGroup, Tokens], rules: Mapping[TokenGroup, AttentionRule],
    ) -> dict[TokenGroup, Tensor]:  # fmt: skip
        """Conditional attention and feed-forward of every carried group.

        Args:
            tokens: contents of the groups that are updated.
            seen: contents of every group somebody may see.
        """
        everyone = list(seen)
        content = _join(seen, everyone)
        keyed = content + _join({g: groups[g].position for g in everyone}, everyone)
        keys, values = self.condition.keys_values(keyed, content)
        spans = _spans(seen, everyone)
        queries = self.condition.queries(keyed)

        attended = {}
        for g in tokens:
            visible = [other for other in everyone if other in rules[g].condition]
            k = torch.cat([keys[:, :, spans[other]] for other in visible], 2)
            value = torch.cat([values[:, :, spans[other]] for other in visible], 2)
            attended[g] = _attend(queries[:, :, spans[g]], k, value, _valid(groups, seen, visible))
        present = list(tokens)
        out = self.condition.out_proj(_join(attended, present))
        x = self.condition_norm(_join(tokens, present) + out)
        return _part(self.ffn(x), tokens, present)


class Interface(nn.Module):
    """All layers. Knows groups and rules, not tasks."""

    def __init__(self, dim: int, num_heads: int, ffn_dim: int, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            InterfaceLayer(dim, num_heads, ffn_dim) for _ in range(num_layers)
        )

    def forward(
        self,
        heads: Heads,
        image: ImageState | None,
        groups: TokensByGroup,
        *,
        cached_groups: Mapping[TokenGroup, LayerStates] | None = None,
        previous_BNhw: Tensor | None = None,
        record: Iterable[TokenGroup] = (),
        rules: Mapping[TokenGroup, AttentionRule] = ATTENTION_TABLE,
    ) -> tuple[list[Outputs], dict[TokenGroup, LayerStates]]:
        """Run the groups that are present.

        Args:
            image: what vision groups look at; None when there are none.
            groups: initial tokens.
            cached_groups: groups already run elsewhere; only seen, never updated.
            previous_BNhw: (B, N, h, w) raw previous-mask logits at 1/4 for MEMORY tokens.
            record: groups whose per-layer states are wanted (`cached_groups` of a later run).

        Returns:
            num_layers + 1 predictions (initial first), and the recorded states.
        """
        cached_groups = dict(cached_groups or {})
        carried = [g for g in groups if rules[g].carried]
        tokens = {g: at_level(groups[g], 0).content for g in carried}
        recorded = {g: LayerStates(at_level(groups[g], 0)) for g in record}
        outputs = [heads(tokens)]
        for n, module in enumerate(self.layers):
            layer = cast(InterfaceLayer, module)
            level = n % 3
            here = {g: at_level(given, level) for g, given in groups.items()}
            here |= {g: s.tokens for g, s in cached_groups.items()}
            allowed = _pixel_masks(outputs[-1], image, level, previous_BNhw, groups)
            tokens = _content_attention(layer, n, level, tokens, here, image, allowed, rules)
            for g, states in recorded.items():
                states.contents.append(tokens[g])
            seen = dict(tokens)
            seen |= {g: here[g].content for g in groups if not rules[g].carried}
            seen |= {g: s.contents[n] for g, s in cached_groups.items()}
            wanted = set(tokens).union(*(rules[g].condition for g in tokens))
            seen = {g: x for g, x in seen.items() if g in wanted}
            tokens = layer.conditional_attention(tokens, seen, here, rules)
            outputs.append(heads(tokens))
        return outputs, recorded


def _content_attention(
    layer: InterfaceLayer, n: int, level: int, tokens: Mapping[TokenGroup, Tensor],
    groups: Mapping[TokenGroup, Tokens], image: ImageState | None,
    allowed: Mapping[TokenGroup, Tensor], rules: Mapping[TokenGroup, AttentionRule],
) -> dict[TokenGroup, Tensor]:  # fmt: skip
    """Content attention of every group; all of them read the sources as they were before it."""
    updated = dict(tokens)
    vision = {g: x for g, x in tokens.items() if rules[g].content == IMAGE_SOURCE}
    if vision:
        assert image is not None, "vision groups need an image"
        sources = layer.image_keys_values(image, level, n)
        updated |= layer.content_attention_image(vision, groups, sources, allowed)
    cache: dict[TokenGroup, KeysValues] = {}
    for g, x in tokens.items():
        token_source = rules[g].content
        if not isinstance(token_source, TokenGroup):  # the image, already read, or nothing
            continue
        source = groups.get(token_source)
        if source is not None and token_source not in cache:
            content = tokens.get(token_source, source.content)
            cache[token_source] = layer.content.keys_values(content + source.position, content)
        updated[g] = layer.content_attention_tokens(
            x, groups[g], rules[g], source, cache.get(token_source)
        )
    return updated


@torch.no_grad()
def _pixel_masks(
    outputs: Outputs, image: ImageState | None, level: int, previous_BNhw: Tensor | None,
    groups: TokensByGroup,
) -> dict[TokenGroup, Tensor]:  # fmt: skip
    """(B, N, M) bool per group: where its tokens may look; one that may look nowhere looks everywhere."""
    if image is None:
        return {}
    allowed = {
        g: torch.matmul(outputs.pixel[g], image.level_masks[level]) >= 0
        for g in PROPOSALS
        if g in outputs.pixel
    }
    if TokenGroup.MEMORY in groups and previous_BNhw is not None:
        given = resize(previous_BNhw, image.sizes[level]).flatten(2) >= 0
        memory = at_level(groups[TokenGroup.MEMORY], 0).content
        allowed[TokenGroup.MEMORY] = given.repeat_interleave(memory.shape[1] // given.shape[1], 1)
    return {g: a | ~a.any(-1, keepdim=True) for g, a in allowed.items()}


def _matches(tokens: Tokens, source: Tokens, scope: AttentionScope | None) -> Tensor | None:
    """(B, N, T) bool: which source tokens each token sees; None when all."""
    allowed = source.valid.unsqueeze(1) if source.valid is not None else None
    if scope is AttentionScope.SAME_INDEX:
        assert tokens.index is not None and source.index is not None
        same = tokens.index.unsqueeze(2) == source.index.unsqueeze(1)
        allowed = same if allowed is None else same & allowed
    return allowed


def _valid(
    groups: Mapping[TokenGroup, Tokens],
    seen: Mapping[TokenGroup, Tensor],
    visible: list[TokenGroup],
) -> Tensor | None:
    if all(groups[other].valid is None for other in visible):
        return None
    flags = []
    for other in visible:
        valid, x = groups[other].valid, seen[other]
        flags.append(x.new_ones(x.shape[:2], dtype=torch.bool) if valid is None else valid)
    batch = max(f.shape[0] for f in flags)
    return torch.cat([f.expand(batch, -1) for f in flags], 1).unsqueeze(1)


def _attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None) -> Tensor:
    return attend(q, k, v, allowed).transpose(1, 2).flatten(2)


def _join(parts: Mapping[TokenGroup, Tensor], order: list[TokenGroup]) -> Tensor:
    batch = max(parts[g].shape[0] for g in order)
    return torch.cat([parts[g].expand(batch, -1, -1) for g in order], 1)


def _spans(parts: Mapping[TokenGroup, Tensor], order: list[TokenGroup]) -> dict[TokenGroup, slice]:
    spans, start = {}, 0
    for g in order:
        spans[g] = slice(start, start + parts[g].shape[1])
        start += parts[g].shape[1]
    return spans


def _part(
    x: Tensor, like: Mapping[TokenGroup, Tensor], order: list[TokenGroup]
) -> dict[TokenGroup, Tensor]:
    return {g: x[:, span] for g, span in _spans(like, order).items()}
