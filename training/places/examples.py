"""Questions put to the judge: a sentence, candidates of each entity, and which combinations hold.

Letters: B questions, E entities, K candidates of each, M = K^E combinations, T tokens, W width of
token states, F numbers of a pair.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from find_core.encoders.base import LanguageEncoder
from find_core.places.geometry import FEATURES, METRIC_BLOCK
from find_core.prompts.compiled import entity_of_tokens
from training.places.sentences import SUPERLATIVES, Sentence
from training.places.views import FALSE, RELATIONS, TRUE, UNCLEAR, View

CANDIDATES = {2: 4, 3: 3}
_BATCH = 64


@dataclass(frozen=True, eq=False)
class ReadSentence:
    """A sentence as token states (T, W) float16, and the entity of each token (T,) int64."""

    sentence: Sentence
    states: Tensor
    entity: Tensor


@dataclass(frozen=True, eq=False)
class Question:
    """One sentence asked of one view.

    Attributes:
        rows: (E, K) int64 things of the view; truth: (K,) * E int8: TRUE, FALSE or UNCLEAR.
        ranked: only which is best is known, not whether it holds.
    """

    read: ReadSentence
    view: View
    rows: np.ndarray
    truth: np.ndarray
    ranked: bool = False


@dataclass(frozen=True, eq=False)
class Batch:
    """Questions of E entities, padded: see `Question`. `features`: (B, E, E, K, K, F)."""

    states: Tensor
    entity: Tensor
    valid: Tensor
    features: Tensor
    truth: Tensor
    ranked: Tensor


def read_sentences(sentences: Sequence[Sentence], language: LanguageEncoder) -> list[ReadSentence]:
    """Token states of sentences by the frozen language model; each text is read once."""
    texts = sorted({s.text for s in sentences}, key=len)
    states: dict[str, tuple[Tensor, Tensor]] = {}
    spans = {s.text: s.spans for s in sentences}
    for start in range(0, len(texts), _BATCH):
        part = texts[start : start + _BATCH]
        for text, tokens in zip(part, language.encode(part), strict=True):
            states[text] = tokens.states.half().cpu(), entity_of_tokens(tokens, spans[text])
    return [ReadSentence(s, *states[s.text]) for s in sentences]


def question(read: ReadSentence, view: View, rng: np.random.Generator) -> Question | None:
    """The sentence asked of the view; None where nothing there fits it."""
    claims = read.sentence.claims
    count = len(read.sentence.letters)
    if claims and claims[0][0] in SUPERLATIVES:
        return _superlative(read, view, rng)
    truth = _truth(claims, view, count)  # (N,) * E in the order a, b, c
    usable = np.flatnonzero(view.seen_N)
    if len(usable) < count:
        return None
    start = _start(truth, usable, claims, rng)
    if start is None:
        return None
    size = CANDIDATES[count]
    lists = [_candidates(start, letter, truth, usable, size, rng) for letter in range(count)]
    order = [ord(letter) - ord("a") for letter in read.sentence.letters]
    chosen = truth[np.ix_(*lists)].transpose(order)
    return Question(read, view, _padded_rows([lists[k] for k in order], size), chosen)


def _truth(claims: tuple[tuple[str, ...], ...], view: View, count: int) -> np.ndarray:
    """(N,) * E int8 over the letters a, b, c: do all claims hold?"""
    many = len(view.seen_N)
    if count == 2 and len(claims) == 1:
        pair = view.truth_RNN[RELATIONS.index(claims[0][0])]
        return pair if claims[0][1] == "a" else pair.T
    out = np.full((many,) * count, TRUE, np.int8)
    for name, *letters in claims:
        if name == "between":
            part = _between(view)
        else:
            axes = [ord(letter) - ord("a") for letter in letters]
            pair = view.truth_RNN[RELATIONS.index(name)]
            pair = pair if axes[0] < axes[1] else pair.T
            shape = [many if k in axes else 1 for k in range(count)]
            part = pair.reshape(shape)
        # FALSE beats UNCLEAR beats TRUE.
        out = np.where((out == FALSE) | (part == FALSE), FALSE,
                       np.where((out == UNCLEAR) | (part == UNCLEAR), UNCLEAR, TRUE))  # fmt: skip
    return out


def _between(view: View) -> np.ndarray:
    """(N, N, N) int8: does a stand between b and c?"""
    p = view.place_N2.astype(np.float64)
    line = p[None, None] - p[None, :, None]  # b to c
    to = p[:, None, None] - p[None, :, None]  # b to a
    length = np.maximum(np.linalg.norm(line, axis=-1), 1e-6)
    along = (to * line).sum(-1) / length**2
    across = np.abs(to[..., 0] * line[..., 1] - to[..., 1] * line[..., 0]) / length**2
    out = np.full(along.shape, UNCLEAR, np.int8)
    out[(along > 0.2) & (along < 0.8) & (across < 0.25)] = TRUE
    out[(along < -0.1) | (along > 1.1) | (across > 0.6)] = FALSE
    free = view.free_N
    out[~(free[:, None, None] & free[None, :, None] & free[None, None])] = UNCLEAR
    rows = np.arange(len(p))
    out[rows, rows], out[rows, :, rows], out[:, rows, rows] = FALSE, FALSE, FALSE
    return out


def _start(truth: np.ndarray, usable: np.ndarray, claims: tuple[tuple[str, ...], ...],
           rng: np.random.Generator) -> tuple[int, ...] | None:  # fmt: skip
    """The combination that a question is built around: mostly one that holds."""
    wanted = TRUE if not claims or rng.random() < 0.85 else FALSE
    inner = truth[np.ix_(*[usable] * truth.ndim)]
    found = np.argwhere(inner == wanted)
    found = found[[len(set(row)) == truth.ndim for row in found.tolist()]] if len(found) else found
    if not len(found):
        return None
    return tuple(int(usable[k]) for k in found[int(rng.integers(len(found)))])


def _candidates(start: tuple[int, ...], letter: int, truth: np.ndarray, usable: np.ndarray,
                size: int, rng: np.random.Generator) -> np.ndarray:  # fmt: skip
    """(K,) things: the start's own, then others, those first that would make it false."""
    own = start[letter]
    others = np.array([n for n in usable if n != own])
    index: list = list(start)
    index[letter] = others
    false_first = (truth[tuple(index)] != FALSE) + rng.random(len(others)) * 1.5
    several = letter == 0 or rng.random() < 0.5
    kept = others[np.argsort(false_first)][: int(rng.integers(1, size)) if several else 0]
    chosen = np.concatenate([[own], kept]).astype(np.int64)
    return rng.permutation(chosen)


def _superlative(read: ReadSentence, view: View, rng: np.random.Generator) -> Question | None:
    """Nearest or farthest of several: clear only where one is by a quarter."""
    usable = np.flatnonzero(view.seen_N & view.free_N)
    if len(usable) < 3:
        return None
    usable = rng.permutation(usable)
    anchor, rivals = usable[0], usable[1 : 1 + int(rng.integers(2, CANDIDATES[2] + 1))]
    distance = np.linalg.norm(view.place_N2[rivals] - view.place_N2[anchor], axis=1)
    if read.sentence.claims[0][0] == "farthest":
        distance = 1 / distance
    order = np.argsort(distance)
    if distance[order[0]] * 1.25 > distance[order[1]]:
        return None
    truth = np.full((len(rivals), 1), FALSE, np.int8)
    truth[order[0]] = TRUE
    first = read.sentence.letters[0] == "a"
    rows = [rivals, np.array([anchor])] if first else [np.array([anchor]), rivals]
    return Question(
        read, view, _padded_rows(rows, CANDIDATES[2]), truth if first else truth.T, True
    )


def _padded_rows(rows: Sequence[np.ndarray], size: int) -> np.ndarray:
    out = np.zeros((len(rows), size), np.int64)
    for padded, row in zip(out, rows, strict=True):
        padded[: len(row)] = row
    return out


def collate(questions: Sequence[Question], rng: np.random.Generator, known: str = "") -> Batch:
    """One batch of questions of the same number of entities.

    Args:
        known: "image", "metric" or "both" of the geometry is given; at random where empty.
    """
    count = len(questions[0].read.sentence.letters)
    size, longest = CANDIDATES[count], max(len(q.read.states) for q in questions)
    width = questions[0].read.states.shape[1]
    many = len(questions)
    states = torch.zeros(many, longest, width)
    entity = torch.full((many, longest), -1)
    valid = torch.zeros(many, longest, dtype=torch.bool)
    features = np.zeros((many, count, count, size, size, FEATURES), np.float32)
    truth = np.full((many, *[size] * count), UNCLEAR, np.int8)
    for n, q in enumerate(questions):
        length = len(q.read.states)
        states[n, :length], entity[n, :length] = q.read.states.float(), q.read.entity
        valid[n, :length] = True
        place = (n, *(slice(s) for s in q.truth.shape))
        truth[place] = q.truth
        for i, j in itertools.permutations(range(count), 2):
            features[n, i, j] = q.view.features_NNF[q.rows[i][:, None], q.rows[j][None]]
        _forget(features[n], known or str(rng.choice(["image", "metric", "both"], p=[.45, .35, .2])))  # fmt: skip
    return Batch(states, entity, valid, torch.from_numpy(features), torch.from_numpy(truth),
                 torch.tensor([q.ranked for q in questions]))  # fmt: skip


def _forget(features: np.ndarray, known: str) -> None:
    """Leave out what is not known, in place; a view without a picture keeps its metres."""
    has_image, has_metric = features[0, 1, 0, 0, -4] > 0, features[0, 1, 0, 0, -3] > 0
    if known == "image" and has_image:
        features[..., METRIC_BLOCK] = 0
        features[..., -3:] = 0
    elif known == "metric" and has_metric:
        features[..., : METRIC_BLOCK.start] = 0
        features[..., -4] = 0
