"""From scored candidates to a choice: the judge's verdict on every combination, beside the scores.

Letters: E entities, N candidates of all entities together, C width of a pair's vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from find_core.places.geometry import Arrangement, pair_features
from find_core.places.judge import PlaceJudge

MOST_COMBINATIONS = 1500
MOST_CANDIDATES = 8
"""Of one entity, best first."""
SURE = 3.0
"""Another combination must be so many times as likely to be chosen instead of what the scores alone
choose: words that say nothing of places must not decide between equal scores."""
LEAST_SHARE = 0.2
"""Candidates with less than this share of their entity's best score are not considered."""


@dataclass(frozen=True, eq=False)
class PlaceWords:
    """A prompt's words about places, ready for any scene.

    Attributes:
        judge: reads geometry. contexts_EEC: what the words say of each ordered pair of entities.
    """

    judge: PlaceJudge
    contexts_EEC: Tensor


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        picked: of each entity the number of its candidate. probability: in [0, 1], that the words
            about places hold for the chosen ones, less where a chosen one scores below its
            entity's best: what stands right and is not meant proves nothing.
    """

    picked: tuple[int, ...]
    probability: float


@torch.inference_mode()
def choose(
    words: PlaceWords,
    scores: Sequence[Sequence[float]],
    arrange: Callable[[list[tuple[int, int]]], Arrangement],
) -> Choice:
    """The combination of candidates that the scores and the words about places agree on best.

    Args:
        scores: of each entity its candidates' scores, first the one that scores alone would choose;
            none empty.
        arrange: makes the arrangement of the given (entity, candidate)s, in their order.
    """
    considered = [_worth(s, len(scores)) for s in scores]
    members = [(e, n) for e, kept in enumerate(considered) for n in kept]
    features = torch.from_numpy(pair_features(arrange(members)))
    row_of = {member: row for row, member in enumerate(members)}
    rows = [[row_of[e, n] for n in kept] for e, kept in enumerate(considered)]
    device = words.contexts_EEC.device
    log_p, grid = words.judge(words.contexts_EEC, features.to(device), rows)
    total = log_p.cpu()
    for e, kept in enumerate(considered):  # best first
        own = torch.tensor([float(scores[e][n]) for n in kept]).clamp(min=1e-6).log()
        total = total + (own - own[0])[grid[:, e].cpu()]
    best = int(total.argmax())
    own_first = int((grid == _positions(considered).to(device)).all(1).nonzero()[0])
    if total[best] < total[own_first] + math.log(SURE):
        best = own_first
    picked = tuple(kept[int(k)] for kept, k in zip(considered, grid[best].tolist(), strict=True))
    return Choice(picked, float(total[best].exp()))


def _positions(considered: Sequence[Sequence[int]]) -> Tensor:
    """(E,) where each entity's first candidate stands in what is considered of it."""
    return torch.tensor([kept.index(0) if 0 in kept else 0 for kept in considered])


def _worth(scores: Sequence[float], entities: int) -> list[int]:
    """Numbers of the candidates that come into question, best first."""
    most = max(1, min(MOST_CANDIDATES, int(MOST_COMBINATIONS ** (1 / entities))))
    order = np.argsort(-np.asarray(scores, float), kind="stable")[:most]
    least = LEAST_SHARE * scores[order[0]]
    return [int(n) for n in order if scores[n] >= least]
