"""From named regions to a recogniser: two linear layers, cross-entropy over all names.

Letters: N regions, F features under a mask, W width of token states, C names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from find_core.recognition.recognizer import Recognizer, RecognizerSizes
from training.recognition.examples import Region

WORD_NOISE = 0.02
"""Added to a name's words: other words of the same meaning lie that far away."""


@dataclass(frozen=True)
class FitSettings:
    """Numbers of the fit."""

    steps: int = 1500
    batch: int = 512
    rate: float = 2e-3
    warmup: int = 50
    weight_decay: float = 0.02
    dropout: float = 0.3
    smoothing: float = 0.05
    width: int = 128
    share_of_names: float = 0.02
    share_of_references: float = 0.03
    likeness: float = 5.0


def learn(
    regions: Sequence[Region],
    tokens_of: Callable[[str], Tensor],
    numbers: FitSettings = FitSettings(),
    seed: int = 0,
    progress: Callable[[int, float], None] = lambda step, loss: None,
) -> Recognizer:
    """Fit on regions; rare names are drawn oftener than their number.

    Args:
        tokens_of: (W,) mean token state of a name. progress: told the step and its loss.
    """
    torch.manual_seed(seed)
    names = tuple(sorted({r.name for r in regions}))
    number_of = {name: n for n, name in enumerate(names)}
    features_NF = torch.stack([r.features for r in regions]).float()
    target_N = torch.tensor([number_of[r.name] for r in regions])
    tokens_CW = torch.stack([tokens_of(name) for name in names]).float()
    sizes = RecognizerSizes(features_NF.shape[1], tokens_CW.shape[1], numbers.width, len(names))
    model = Recognizer(sizes, tuple(name.casefold() for name in names))
    model.feature_mean, model.token_mean = features_NF.mean(0), tokens_CW.mean(0)
    model.feature_spread = features_NF.std(0) + 1e-3
    often_N = torch.bincount(target_N, minlength=len(names)).float()[target_N] ** -0.5
    optimizer = torch.optim.AdamW(
        model.parameters(), numbers.rate, weight_decay=numbers.weight_decay
    )
    for step in range(numbers.steps):
        for group in optimizer.param_groups:
            falling = 1 - step / numbers.steps
            group["lr"] = numbers.rate * min(1.0, (step + 1) / numbers.warmup) * falling
        drawn = torch.multinomial(often_N, numbers.batch, replacement=True)
        loss = _loss(model, features_NF[drawn], tokens_CW, target_N[drawn], numbers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress(step, float(loss.detach()))
    with torch.no_grad():
        model.bank_CV = model.of_words(tokens_CW)
    for name in ("share_of_names", "share_of_references", "likeness"):
        setattr(model, name, torch.tensor(getattr(numbers, name)))
    return model.eval().requires_grad_(False)


def _loss(
    model: Recognizer,
    features_NF: Tensor,
    tokens_CW: Tensor,
    target_N: Tensor,
    numbers: FitSettings,
) -> Tensor:
    standard = (features_NF - model.feature_mean) / model.feature_spread
    dropped = F.dropout(standard, numbers.dropout)
    regions = F.normalize(model.region(dropped), dim=-1)
    words = model.of_words(tokens_CW + WORD_NOISE * torch.randn_like(tokens_CW))
    logits = model.log_scale.exp() * regions @ words.T
    return F.cross_entropy(logits, target_N, label_smoothing=numbers.smoothing)
