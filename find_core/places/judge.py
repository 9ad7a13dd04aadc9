"""The judge of places: do the sentence's words hold for this combination of candidates?

The words around the entities, as states of the frozen language model with the entities' names
blanked, become one vector for every ordered pair of entities; that is part of compiling a prompt.
Geometry of a pair of candidates and the pair's vector make a message, an entity's messages are
summed, and each entity says how well they fit. Words that say nothing of places hold everywhere.

Letters: E entities, T tokens, W width of token states, C width of a pair's vector, N candidates,
F numbers of a pair, M combinations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, logsigmoid

from find_core.places.geometry import FEATURES

ROLES = 4  # word, first of the pair, second of the pair, another entity
SIDES = 3  # before both, between them, after both


@dataclass(frozen=True)
class JudgeSizes:
    """Widths of a judge; `token_width` is the language model's."""

    token_width: int = 384
    width: int = 96
    heads: int = 4
    context: int = 64
    hidden: int = 96
    message: int = 32
    features: int = FEATURES


class PlaceJudge(nn.Module):
    """See the module's page. The geometry's means and spreads are part of its weights."""

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, sizes: JudgeSizes) -> None:
        super().__init__()
        self.sizes = s = sizes
        self.read = nn.Sequential(nn.LayerNorm(s.token_width), nn.Linear(s.token_width, s.width))
        self.role, self.side = nn.Embedding(ROLES, s.width), nn.Embedding(SIDES, s.width)
        self.token = nn.Sequential(nn.GELU(), nn.Linear(s.width, s.width), nn.GELU())
        self.ask = nn.Linear(2 * s.width, s.heads * s.width)
        self.context = nn.Sequential(nn.Dropout(0.1), nn.Linear((2 + s.heads) * s.width, s.context))
        self.register_buffer("feature_mean", torch.zeros(s.features))
        self.register_buffer("feature_scale", torch.ones(s.features))
        self.geometry = nn.Linear(s.features, s.hidden)
        self.steer = nn.Linear(s.context, 4 * s.hidden)
        self.inner = nn.Linear(s.hidden, s.hidden)
        self.message = nn.Linear(s.hidden, s.message)
        self.verdict = nn.Sequential(
            nn.LayerNorm(s.message), nn.Linear(s.message, s.message), nn.GELU(),
            nn.Linear(s.message, 1),
        )  # fmt: skip

    def pair_contexts(self, words_BTC: Tensor, entity_BT: Tensor, valid_BT: Tensor,
                      first_B: Tensor, second_B: Tensor) -> Tensor:  # fmt: skip
        """(B, C): what B sentences say of their entities `first` and `second`.

        Args:
            words_BTC: token states through `read`. entity_BT: the entity that a token belongs to,
                negative for words.
        """
        is_first, is_second = entity_BT == first_B[:, None], entity_BT == second_B[:, None]
        role = torch.where(entity_BT >= 0, 3, 0)
        role = role.masked_fill(is_first, 1).masked_fill(is_second, 2)
        seen = (is_first | is_second).long().cumsum(1)
        side = torch.where(seen == 0, 0, torch.where(seen >= seen[:, -1:].clamp(min=1), 2, 1))
        x = self.token(words_BTC + self.role(role) + self.side(side))
        own = torch.cat([_mean(x, is_first), _mean(x, is_second)], dim=-1)
        queries_BhC = self.ask(own).unflatten(-1, (self.sizes.heads, self.sizes.width))
        weight = torch.einsum("bhc,btc->bht", queries_BhC, x) / self.sizes.width**0.5
        weight = weight.masked_fill(~valid_BT[:, None], -1e4).softmax(-1)
        said = torch.einsum("bht,btc->bhc", weight, x).flatten(1)
        return self.context(torch.cat([own, said], dim=-1))

    def messages(self, contexts_C: Tensor, features_F: Tensor) -> Tensor:
        """(..., message): of pairs of candidates; contexts (..., C), features (..., F)."""
        scale_1, shift_1, scale_2, shift_2 = self.steer(contexts_C).chunk(4, dim=-1)
        x = (features_F - self.feature_mean) / self.feature_scale
        x = gelu(self.geometry(x) * (1 + scale_1) + shift_1)
        x = gelu(self.inner(x) * (1 + scale_2) + shift_2)
        return self.message(x)

    def log_verdict(self, messages_sum: Tensor) -> Tensor:
        """(...): log probability that an entity's words hold, of its summed messages."""
        return logsigmoid(self.verdict(messages_sum)[..., 0])

    def forward(self, contexts_EEC: Tensor, features_NNF: Tensor,
                candidates: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:  # fmt: skip
        """All combinations of candidates.

        Args:
            contexts_EEC: of the prompt (`contexts`). features_NNF: of the candidates.
            candidates: of each entity, rows of `features_NNF`; none of them empty.

        Returns:
            log probability (M,) that the words hold, and (M, E) long, each entity's position in its
            list of candidates.
        """
        count = len(candidates)
        device = features_NNF.device
        rows = [torch.as_tensor(list(c), device=device) for c in candidates]
        grid = torch.cartesian_prod(*(torch.arange(len(r), device=device) for r in rows))
        total = torch.zeros(len(grid), device=device)
        for i in range(count):
            summed: Tensor | None = None
            for j in range(count):
                if i == j:
                    continue
                pair = self.messages(contexts_EEC[i, j], features_NNF[rows[i]][:, rows[j]])
                chosen = pair[grid[:, i], grid[:, j]]
                summed = chosen if summed is None else summed + chosen
            assert summed is not None
            total = total + self.log_verdict(summed)
        return total, grid

    def contexts(self, states_TW: Tensor, entity_T: Tensor, entities: int) -> Tensor:
        """(E, E, C) of one sentence; the diagonal is 0."""
        first, second = _ordered_pairs(entities, states_TW.device)
        many = len(first)
        valid = torch.ones(many, len(states_TW), dtype=torch.bool, device=states_TW.device)
        vectors = self.pair_contexts(
            self.read(states_TW).expand(many, -1, -1),
            entity_T.expand(many, -1),
            valid,
            first,
            second,
        )
        out = vectors.new_zeros(entities, entities, vectors.shape[-1])
        out[first, second] = vectors
        return out


def _ordered_pairs(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    grid = torch.cartesian_prod(torch.arange(count), torch.arange(count)).to(device)
    grid = grid[grid[:, 0] != grid[:, 1]]
    return grid[:, 0], grid[:, 1]


def _mean(x_BTC: Tensor, where_BT: Tensor) -> Tensor:
    weight = where_BT.unsqueeze(-1).to(x_BTC.dtype)
    return (x_BTC * weight).sum(1) / weight.sum(1).clamp(min=1)
