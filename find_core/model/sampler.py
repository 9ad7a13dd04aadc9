"""The embedding sampler (docs/spec.md 2.5): from prompts to the token groups of the interface.

Letters: B batch, N tokens of a group, T tokens of a text or region, H hidden width, E entities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from find_core.model.attention_table import TokenGroup, Tokens, TokensByGroup
from find_core.model.image_state import ImageState

# Tokens that belong to no phrase or entity; different numbers keep pads from matching (docs/spec.md 2.7).
PAD_TOKEN, PAD_QUERY, NO_ENTITY = -2, -3, -4


@dataclass(frozen=True, eq=False)
class VisualPrompt:
    """A region of one image of a batch.

    Attributes:
        image: the encoded images the region lies in; image_index: which of them.
        mask: (H, W) bool at the padded input size.
        index: the prompt or entity it belongs to.
        positive: False for a "not this" stroke.
    """

    image: ImageState
    image_index: int
    mask: Tensor
    index: int
    positive: bool = True


@dataclass(frozen=True, eq=False)
class Legend:
    """One interleaved entry.

    Attributes:
        tokens: (T, H) projected token states of the whole sentence.
        entity_index: (T,) int64, the entity each token belongs to, or `NO_ENTITY`.
        is_visual: (E,) bool.
        prompts: the visual entities' regions (their `index` is the entity's).
    """

    tokens: Tensor
    entity_index: Tensor
    is_visual: Tensor
    prompts: Sequence[VisualPrompt] = ()


class Sampler(nn.Module):
    """The parameter banks, and the token groups that tasks make of them.

    Only three banks exist; every task's proposals and queries are copies of object rows and of the
    image row (docs/spec.md 2.5).
    """

    def __init__(self, dim: int, num_queries: int, num_memories: int, max_points: int) -> None:
        super().__init__()
        self.num_queries, self.num_memories, self.max_points = num_queries, num_memories, max_points
        self.query_feat = nn.Embedding(num_queries + 1, dim)
        self.query_embed = nn.Embedding(num_queries + 1, dim)
        self.spatial_featured = nn.Embedding(num_memories, dim)
        self.spatial_embed = nn.Embedding(num_memories, dim)
        self.pn_indicator = nn.Embedding(2, dim)
        self.mask_spatial_embed = nn.ModuleList(nn.Linear(dim, dim, bias=False) for _ in range(3))

    def segmentation(self, batch: int) -> TokensByGroup:
        """Generic segmentation and the image embedding: object proposals and the image query."""
        return {
            TokenGroup.OBJECT: self._proposals(batch),
            TokenGroup.IMAGE: self._queries([1] * batch),
        }

    def grounding(
        self, phrases: Sequence[Sequence[Tensor]], official_padding: bool = False
    ) -> TokensByGroup:
        """Grounded segmentation.

        Args:
            phrases: per image, the (T, H) tokens of each phrase; all share one sequence.
            official_padding: padded description queries change valid ones, as in the reference
                (docs/spec.md 3.6-6); by default results do not depend on the batch.
        """
        tokens = [torch.cat(list(p)) for p in phrases]
        index = [_repeat_index([len(t) for t in p], self._device) for p in phrases]
        return {
            TokenGroup.GROUNDING: self._proposals(len(phrases)),
            TokenGroup.DESCRIPTION: self._queries([len(p) for p in phrases], not official_padding),
            TokenGroup.DESCRIPTION_TOKENS: _padded(tokens, index),
        }

    def interactive(
        self,
        prompts: Sequence[Sequence[VisualPrompt]],
        counts: Sequence[int],
        with_memory: bool = False,
        generator: torch.Generator | None = None,
    ) -> TokensByGroup:
        """Interactive segmentation: per image the strokes of `counts[b]` prompts."""
        groups: TokensByGroup = {
            TokenGroup.SEGMENT: self._proposals(len(prompts)),
            TokenGroup.SPATIAL: self._queries(counts),
            TokenGroup.SPATIAL_TOKENS: self.visual_tokens(prompts, generator),
        }
        if with_memory:
            groups[TokenGroup.MEMORY] = self._memories(counts)
        return groups

    def interleave(
        self, legends: Sequence[Legend], generator: torch.Generator | None = None
    ) -> TokensByGroup:
        """Everything of interleaved entries that does not depend on the target image."""
        batch = len(legends)
        visual = [_token_is_visual(entry) for entry in legends]
        row = self.num_queries
        content = [e.tokens + v * self.query_feat.weight[row] for e, v in zip(legends, visual)]
        position = [
            e.tokens.detach() + v * self.query_embed.weight[row] for e, v in zip(legends, visual)
        ]
        tokens = _padded(content, [e.entity_index for e in legends], position)
        groups: TokensByGroup = {
            TokenGroup.LEGEND: self._queries([1] * batch),
            TokenGroup.INTERLEAVE: self._queries([len(e.is_visual) for e in legends]),
            TokenGroup.LEGEND_TOKENS: tokens,
        }
        if any(e.prompts for e in legends):
            groups[TokenGroup.REFERENCE_TOKENS] = self.visual_tokens(
                [e.prompts for e in legends], generator
            )
        return groups

    def entity_proposals(self, batch: int) -> TokensByGroup:
        """The image-side partner of `interleave`."""
        return {TokenGroup.ENTITY: self._proposals(batch)}

    def sentence(
        self, tokens: Sequence[Tensor], query: TokenGroup = TokenGroup.CAPTION
    ) -> TokensByGroup:
        """Captions or class sentences: one query over all tokens of each text."""
        source = (
            TokenGroup.CAPTION_TOKENS if query is TokenGroup.CAPTION else TokenGroup.CLASS_TOKENS
        )
        index = [torch.zeros(len(t), dtype=torch.long, device=self._device) for t in tokens]
        return {
            query: self._queries([1] * len(tokens)),
            source: _padded(list(tokens), index),
        }

    def visual_tokens(
        self,
        prompts: Sequence[Sequence[VisualPrompt]],
        generator: torch.Generator | None = None,
    ) -> list[Tokens]:
        """Point samples of each entry's regions, drawn anew per level; one entry per level."""
        return [self._visual_tokens_at(level, prompts, generator) for level in range(3)]

    def _visual_tokens_at(
        self,
        level: int,
        prompts: Sequence[Sequence[VisualPrompt]],
        generator: torch.Generator | None,
    ) -> Tokens:
        drawn, count = [], []
        for entry in prompts:
            parts = []
            for positive in (True, False):
                same_sign = [p for p in entry if p.positive is positive]
                points = draw_points([p.mask for p in same_sign], self.max_points, generator)
                parts += list(zip(same_sign, points))
            drawn += parts
            count.append(sum(len(points_yx) for _, points_yx in parts))
        tokens = self._sample(level, drawn).split(count)
        own = [_full_index(len(p), prompt.index, self._device) for prompt, p in drawn]
        index = torch.cat([*own, _full_index(0, 0, self._device)]).split(count)
        # Content and position are both the sampled value, gradient in both (docs/spec.md 8).
        return _padded(list(tokens), list(index), list(tokens))

    def _sample(self, level: int, drawn: Sequence[tuple[VisualPrompt, Tensor]]) -> Tensor:
        """(T, H) tokens of all points, in order.

        Each picture is read once for all of its prompts: the gradient of every reading fills a
        whole map.
        """
        if not drawn:
            return self.query_feat.weight.new_zeros(0, self.query_feat.embedding_dim)
        parts: list[Tensor] = [drawn[0][1]] * len(drawn)
        for image in {id(p.image): p.image for p, _ in drawn}.values():
            mine = [k for k, (p, _) in enumerate(drawn) if p.image is image]
            sizes = [len(drawn[k][1]) for k in mine]
            which = torch.tensor([drawn[k][0].image_index for k in mine], device=self._device)
            which = which.repeat_interleave(torch.tensor(sizes, device=self._device))
            sampled = image.sample(level, which, torch.cat([drawn[k][1] for k in mine]))
            for k, part in zip(mine, sampled.split(sizes)):
                parts[k] = part
        sign = [0 if p.positive else 1 for p, points_yx in drawn for _ in range(len(points_yx))]
        signs = self.pn_indicator(torch.tensor(sign, dtype=torch.long, device=self._device))
        return self.mask_spatial_embed[level](torch.cat(parts)) + signs

    def _proposals(self, batch: int) -> Tokens:
        rows = slice(0, self.num_queries)
        return Tokens(
            _expand(self.query_feat.weight[rows], batch),
            _expand(self.query_embed.weight[rows], batch),
        )

    def _queries(self, counts: Sequence[int], hide_padding: bool = True) -> Tokens:
        """`counts[b]` copies of the image row for each entry."""
        batch, count = len(counts), max(counts)
        rows = slice(self.num_queries, self.num_queries + 1)
        index = torch.arange(count, device=self._device).expand(batch, count)
        valid = None
        if min(counts) < count:  # known here: to ask the tensor would wait for the device
            valid = self._first(counts)
            index = torch.where(valid, index, PAD_QUERY)
        return Tokens(
            _expand(self.query_feat.weight[rows], batch).expand(batch, count, -1),
            _expand(self.query_embed.weight[rows], batch).expand(batch, count, -1),
            valid if hide_padding else None,
            index,
        )

    def _memories(self, counts: Sequence[int]) -> Tokens:
        # The reference has one memory and crashes on two prompts (docs/spec.md 3.6-2); here every
        # prompt has its own copy of the memory rows, which is the same thing for one prompt.
        batch, count = len(counts), max(counts)
        return Tokens(
            _expand(self.spatial_featured.weight.repeat(count, 1), batch),
            _expand(self.spatial_embed.weight.repeat(count, 1), batch),
            self._first(counts).repeat_interleave(self.num_memories, 1),
        )

    def _first(self, counts: Sequence[int]) -> Tensor:
        """(B, N) bool: the first `counts[b]` of each row."""
        rows = [[i < n for i in range(max(counts))] for n in counts]
        return torch.tensor(rows, device=self._device)

    @property
    def _device(self) -> torch.device:
        return self.query_feat.weight.device


def draw_points(
    masks: Sequence[Tensor], budget: int, generator: torch.Generator | None = None
) -> list[Tensor]:
    """Choose at most `budget` pixels over all masks, every mask with the same total probability.

    Args:
        masks: (H, W) bool each; sizes may differ.

    Returns:
        Per mask (T, 2) float32 (y/h, x/w) of integer pixel indices, in reading order.
    """
    pixels = [mask.nonzero() for mask in masks]
    counts = [len(p) for p in pixels]
    if sum(counts) > budget:
        weights = torch.cat([torch.full((n,), 1.0 / max(n, 1)) for n in counts])
        chosen = torch.multinomial(weights, budget, generator=generator).sort().values
        bounds = torch.tensor([0, *counts]).cumsum(0)
        pixels = [
            p[(chosen[(chosen >= lo) & (chosen < hi)] - lo).to(p.device)]
            for p, lo, hi in zip(pixels, bounds[:-1], bounds[1:])
        ]
    return [p / p.new_tensor(m.shape, dtype=torch.float32) for p, m in zip(pixels, masks)]


def _token_is_visual(entry: Legend) -> Tensor:
    """(T, 1) 1.0 for tokens of visual entities."""
    inside = entry.entity_index >= 0
    visual = entry.is_visual.to(entry.tokens.device)[entry.entity_index.clamp(min=0)] & inside
    return visual.unsqueeze(1).to(entry.tokens.dtype)


def _padded(
    tokens: Sequence[Tensor], index: Sequence[Tensor], position: Sequence[Tensor] | None = None
) -> Tokens:
    """Pad the entries' tokens into one batch; the position term defaults to the detached token itself."""
    content = nn.utils.rnn.pad_sequence(list(tokens), batch_first=True)
    valid = None
    if any(len(r) < content.shape[1] for r in tokens):
        lengths = torch.tensor([len(r) for r in tokens], device=content.device)
        valid = torch.arange(content.shape[1], device=content.device) < lengths[:, None]
    padded_index = nn.utils.rnn.pad_sequence(list(index), batch_first=True, padding_value=PAD_TOKEN)
    terms = content.detach() if position is None else nn.utils.rnn.pad_sequence(
        list(position), batch_first=True
    )  # fmt: skip
    return Tokens(content, terms, valid, padded_index)


def _expand(rows_NH: Tensor, batch: int) -> Tensor:
    return rows_NH.unsqueeze(0).expand(batch, -1, -1)


def _full_index(count: int, value: int, device: torch.device) -> Tensor:
    return torch.full((count,), value, dtype=torch.long, device=device)


def _repeat_index(lengths: Sequence[int], device: torch.device) -> Tensor:
    return torch.repeat_interleave(
        torch.arange(len(lengths), device=device), torch.tensor(lengths, device=device)
    )
