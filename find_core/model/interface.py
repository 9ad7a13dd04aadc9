"""The interface (docs/spec.md 2.6): layers that execute the attention table over whatever is present.

Letters: B batch, N rows of a group, M pixels of a level, H width.
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
    IMAGE_SOURCE,
    PROPOSALS,
    RULES,
    Group,
    Groups,
    Rule,
    Sees,
    Var,
    at_level,
)
from find_core.model.heads import Heads, Outputs
from find_core.model.image_state import ImageState, resize


@dataclass(eq=False)
class LayerStates:
    """A group's content after content attention at every layer: all that others ever see of it.

    Groups that do not depend on the image (legend tokens) are run once, recorded, and supplied to
    later runs in this form (docs/architecture.md, "The algebra").
    """

    group: Group
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

    def read_image(
        self, rows: Mapping[Var, Tensor], groups: Mapping[Var, Group], sources: KeysValues,
        allowed: Mapping[Var, Tensor],
    ) -> dict[Var, Tensor]:  # fmt: skip
        """Content attention of the vision groups, all in one call."""
        present = list(rows)
        x = _join(rows, present)
        position = _join({v: groups[v].position for v in present}, present)
        pixels = sources[0].shape[2]
        mask = None
        if any(v in allowed for v in present):
            everything = x.new_ones((x.shape[0], 1, pixels), dtype=torch.bool)
            mask = torch.cat(
                [allowed.get(v, everything.expand(-1, rows[v].shape[1], -1)) for v in present], 1
            )
        x = self.content_norm(x + self.content(x + position, sources, mask))
        return _part(x, rows, present)

    def read_tokens(self, v: Var, x: Tensor, group: Group, rule: Rule, source: Group | None,
                    sources: KeysValues | None) -> Tensor:  # fmt: skip
        """Content attention of one non-vision group to its token source."""
        if (
            source is None or sources is None
        ):  # nothing to see: only the output bias (docs/spec.md 8)
            return self.content_norm(x + self.content.out_proj.bias)
        allowed = _matches(group, source, rule.sees)
        return self.content_norm(x + self.content(x + group.position, sources, allowed))

    def exchange(
        self, rows: Mapping[Var, Tensor], seen: Mapping[Var, Tensor], groups: Mapping[Var, Group],
        rules: Mapping[Var, Rule],
    ) -> dict[Var, Tensor]:  # fmt: skip
        """Conditional attention and feed-forward of every carried group.

        Args:
            rows: groups that are updated. seen: contents of every group somebody may see.
        """
        everyone = list(seen)
        content = _join(seen, everyone)
        keyed = content + _join({v: groups[v].position for v in everyone}, everyone)
        keys, values = self.condition.keys_values(keyed, content)
        spans = _spans(seen, everyone)
        queries = self.condition.queries(keyed)

        attended = {}
        for v in rows:
            visible = [u for u in everyone if u in rules[v].condition]
            k = torch.cat([keys[:, :, spans[u]] for u in visible], 2)
            value = torch.cat([values[:, :, spans[u]] for u in visible], 2)
            attended[v] = _attend(queries[:, :, spans[v]], k, value, _valid(groups, seen, visible))
        present = list(rows)
        out = self.condition.out_proj(_join(attended, present))
        x = self.condition_norm(_join(rows, present) + out)
        return _part(self.ffn(x), rows, present)


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
        groups: Groups,
        *,
        supplied: Mapping[Var, LayerStates] | None = None,
        previous_BNhw: Tensor | None = None,
        record: Iterable[Var] = (),
        rules: Mapping[Var, Rule] = RULES,
    ) -> tuple[list[Outputs], dict[Var, LayerStates]]:
        """Run the groups that are present.

        Args:
            image: what vision groups look at; None when there are none.
            groups: initial rows. supplied: groups already run elsewhere; only seen, never updated.
            previous_BNhw: (B, N, h, w) raw previous-mask logits at 1/4 for MEMORY rows.
            record: groups whose per-layer states are wanted (to be `supplied` later).

        Returns:
            num_layers + 1 predictions (initial first), and the recorded states.
        """
        supplied = dict(supplied or {})
        carried = [v for v in groups if rules[v].carried]
        rows = {v: at_level(groups[v], 0).content for v in carried}
        recorded = {v: LayerStates(at_level(groups[v], 0)) for v in record}
        outputs = [heads(rows)]
        for n, module in enumerate(self.layers):
            layer = cast(InterfaceLayer, module)
            level = n % 3
            here = {v: at_level(g, level) for v, g in groups.items()}
            here |= {v: s.group for v, s in supplied.items()}
            allowed = _pixel_masks(outputs[-1], image, level, previous_BNhw, groups)
            rows = _take_in(layer, n, level, rows, here, image, allowed, rules)
            for v, states in recorded.items():
                states.contents.append(rows[v])
            seen = dict(rows)
            seen |= {v: here[v].content for v in groups if not rules[v].carried}
            seen |= {v: s.contents[n] for v, s in supplied.items()}
            wanted = set(rows).union(*(rules[v].condition for v in rows))
            rows = layer.exchange(rows, {v: x for v, x in seen.items() if v in wanted}, here, rules)
            outputs.append(heads(rows))
        return outputs, recorded


def _take_in(
    layer: InterfaceLayer, n: int, level: int, rows: Mapping[Var, Tensor],
    groups: Mapping[Var, Group], image: ImageState | None, allowed: Mapping[Var, Tensor],
    rules: Mapping[Var, Rule],
) -> dict[Var, Tensor]:  # fmt: skip
    """Content attention of every group; all of them read the sources as they were before it."""
    updated = dict(rows)
    vision = {v: x for v, x in rows.items() if rules[v].content == IMAGE_SOURCE}
    if vision:
        assert image is not None, "vision groups need an image"
        sources = layer.image_keys_values(image, level, n)
        updated |= layer.read_image(vision, groups, sources, allowed)
    cache: dict[Var, KeysValues] = {}
    for v, x in rows.items():
        token_source = rules[v].content
        if not isinstance(token_source, Var):  # the image, already read, or nothing
            continue
        source = groups.get(token_source)
        if source is not None and token_source not in cache:
            content = rows.get(token_source, source.content)
            cache[token_source] = layer.content.keys_values(content + source.position, content)
        updated[v] = layer.read_tokens(v, x, groups[v], rules[v], source, cache.get(token_source))
    return updated


@torch.no_grad()
def _pixel_masks(
    outputs: Outputs, image: ImageState | None, level: int, previous_BNhw: Tensor | None,
    groups: Groups,
) -> dict[Var, Tensor]:  # fmt: skip
    """(B, N, M) bool per group: where its rows may look; a row that may look nowhere looks everywhere."""
    if image is None:
        return {}
    allowed = {
        v: torch.matmul(outputs.pixel[v], image.level_masks[level]) >= 0
        for v in PROPOSALS
        if v in outputs.pixel
    }
    if Var.MEMORY in groups and previous_BNhw is not None:
        given = resize(previous_BNhw, image.sizes[level]).flatten(2) >= 0
        memory = at_level(groups[Var.MEMORY], 0).content
        allowed[Var.MEMORY] = given.repeat_interleave(memory.shape[1] // given.shape[1], 1)
    return {v: a | ~a.any(-1, keepdim=True) for v, a in allowed.items()}


def _matches(group: Group, source: Group, sees: Sees | None) -> Tensor | None:
    """(B, N, T) bool: which source rows each row sees; None when all."""
    allowed = source.valid.unsqueeze(1) if source.valid is not None else None
    if sees is Sees.SAME_INDEX:
        assert group.index is not None and source.index is not None
        same = group.index.unsqueeze(2) == source.index.unsqueeze(1)
        allowed = same if allowed is None else same & allowed
    return allowed


def _valid(
    groups: Mapping[Var, Group], seen: Mapping[Var, Tensor], visible: list[Var]
) -> Tensor | None:
    if all(groups[u].valid is None for u in visible):
        return None
    flags = []
    for u in visible:
        valid, x = groups[u].valid, seen[u]
        flags.append(x.new_ones(x.shape[:2], dtype=torch.bool) if valid is None else valid)
    batch = max(f.shape[0] for f in flags)
    return torch.cat([f.expand(batch, -1) for f in flags], 1).unsqueeze(1)


def _attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None) -> Tensor:
    return attend(q, k, v, allowed).transpose(1, 2).flatten(2)


def _join(parts: Mapping[Var, Tensor], order: list[Var]) -> Tensor:
    batch = max(parts[v].shape[0] for v in order)
    return torch.cat([parts[v].expand(batch, -1, -1) for v in order], 1)


def _spans(parts: Mapping[Var, Tensor], order: list[Var]) -> dict[Var, slice]:
    spans, start = {}, 0
    for v in order:
        spans[v] = slice(start, start + parts[v].shape[1])
        start += parts[v].shape[1]
    return spans


def _part(x: Tensor, like: Mapping[Var, Tensor], order: list[Var]) -> dict[Var, Tensor]:
    return {v: x[:, span] for v, span in _spans(like, order).items()}
