"""How the judge of places learns, and how it is asked about questions whose answer is known."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from find_core.places.judge import PlaceJudge
from training.places.examples import Batch, Question, collate
from training.places.views import FALSE, TRUE, UNCLEAR

_LEAST = -30.0  # log probability


def log_verdicts(judge: PlaceJudge, batch: Batch) -> Tensor:
    """(B, K, ..., K): log probability that the sentence holds for each combination."""
    count = batch.features.shape[1]
    many, size = len(batch.features), batch.features.shape[3]
    pairs = list(itertools.permutations(range(count), 2))
    first = torch.tensor([i for i, _ in pairs]).repeat_interleave(many)
    second = torch.tensor([j for _, j in pairs]).repeat_interleave(many)

    def repeated(x: Tensor) -> Tensor:
        return x.repeat(len(pairs), *(1,) * (x.dim() - 1))

    contexts = judge.pair_contexts(
        repeated(judge.read(batch.states)),
        repeated(batch.entity),
        repeated(batch.valid),
        first,
        second,
    ).view(len(pairs), many, 1, 1, -1)
    total = torch.zeros(many, *(size,) * count)
    for i in range(count):
        summed: Tensor | None = None
        for pair, (a, b) in enumerate(pairs):
            if a != i:
                continue
            message = judge.messages(contexts[pair], batch.features[:, a, b])  # (B, K, K, m)
            message = message if a < b else message.transpose(1, 2)
            shape = [many, *(size if k in (a, b) else 1 for k in range(count)), -1]
            message = message.reshape(shape)
            summed = message if summed is None else summed + message
        assert summed is not None
        total = total + judge.log_verdict(summed)
    return total


def loss_of(judge: PlaceJudge, batch: Batch) -> Tensor:
    """Which combinations hold (binary), and that those come first (softmax over them)."""
    log_p = log_verdicts(judge, batch).flatten(1).clamp(min=_LEAST)
    truth = batch.truth.flatten(1)
    good, bad, known = truth == TRUE, truth == FALSE, truth != UNCLEAR
    log_not = torch.log(-torch.expm1(log_p.clamp(max=-1e-6)))
    binary = _mean(-log_p, good) + torch.where(batch.ranked, 0.0, _mean(-log_not, bad))
    both = good.any(1) & bad.any(1)
    all_known = log_p.masked_fill(~known, -1e4).logsumexp(1)
    rank = all_known - log_p.masked_fill(~good, -1e4).logsumexp(1)
    return (binary + torch.where(both, rank, 0.0)).mean()


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum(1) / where.sum(1).clamp(min=1)


@torch.inference_mode()
def judged(judge: PlaceJudge, questions: Sequence[Question], known: str,
           rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """Of each question (M,) probabilities and (M,) truth, padding left out."""
    out = []
    for start in range(0, len(questions), 256):
        part = questions[start : start + 256]
        batch = collate(part, rng, known)
        p = log_verdicts(judge, batch).exp()
        for n, q in enumerate(part):
            inner = tuple(slice(s) for s in q.truth.shape)
            out.append((p[n][inner].flatten().numpy(), q.truth.flatten()))
    return out


def figures(judge: PlaceJudge, questions: Sequence[Question], known: str, seed: int = 0) -> dict:
    """Share of questions in which a combination that holds comes first, and AUC of holding."""
    pairs = judged(judge, questions, known, np.random.default_rng(seed))
    right, chance, there, absent = [], [], [], []
    for q, (p, truth) in zip(questions, pairs, strict=True):
        clear = truth != UNCLEAR
        if (truth == TRUE).any() and (truth == FALSE).any():
            right.append(truth[clear][p[clear].argmax()] == TRUE)
            chance.append((truth[clear] == TRUE).mean())
        if not q.ranked:
            there.extend(p[truth == TRUE])
            absent.extend(p[truth == FALSE])
    out = {"n": len(right), "right": _rounded(np.mean(right)) if right else None,
           "chance": _rounded(np.mean(chance)) if chance else None}  # fmt: skip
    return out | {"auc": _auc(np.array(there), np.array(absent))}


def _auc(there: np.ndarray, absent: np.ndarray) -> float | None:
    if not len(there) or not len(absent):
        return None
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([there, absent]))[: len(there)]
    return _rounded((ranks.sum() / len(there) - (len(there) + 1) / 2) / len(absent))


def _rounded(value: float) -> float:
    return round(float(value), 4)
