"""The class bank of panoptic training: names as vectors, some fresh with gradient, some remembered.

The paper recomputes one random class per picture and keeps the rest detached (docs/spec.md 3.1). With
an open vocabulary a batch's own names are recomputed too, and only recent memories are used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from find_core.model.attention_table import TokenGroup
from find_core.model.find import FindModel
from find_core.prompts.prompt import CLASS_SENTENCE
from training.config import BankConfig
from training.data.text_cache import TextCache

NO_OBJECT = "background"
TEMPLATES = (
    CLASS_SENTENCE, "A photo of a {}.", "There is a {} in the scene.",
    "This is a picture of a {}.", "A close look at the {}.", "Find the {}.", "The {} is here.",
    "What does a {} look like?", "A bright photo of the {}.", "A dark photo of the {}.",
    "One {}.", "Show me the {}.",
)  # fmt: skip


class ClassBank:
    """Names and their latest vectors.

    Args:
        names: the vocabulary, without the no-object class.
    """

    def __init__(self, names: Sequence[str], config: BankConfig) -> None:
        self.names, self.config = list(names), config
        self.memory: dict[str, tuple[int, Tensor]] = {}

    def build(
        self, model: FindModel, texts: TextCache, present: Sequence[str], step: int,
        rng: np.random.Generator,
    ) -> tuple[list[str], list[Tensor]]:  # fmt: skip
        """Names of this step's bank (no-object last) and, per prediction, their (K, H) vectors.

        Remembered vectors are those of the final prediction, in all predictions.
        """
        fresh = self._fresh(present, rng)
        remembered = self._remembered(set(fresh), step, rng)
        template = str(rng.choice(TEMPLATES)) if rng.random() < 0.5 else TEMPLATES[0]
        rows = embed_names(model, texts, [*fresh, NO_OBJECT], template)
        for name, row in zip(fresh, rows[-1].detach(), strict=False):
            self.memory[name] = (step, row)
        old = [self.memory[name][1] for name in remembered]
        banks = [torch.cat([r[:-1], *(o[None] for o in old), r[-1:]]) for r in rows]
        return [*fresh, *remembered, NO_OBJECT], banks

    def _fresh(self, present: Sequence[str], rng: np.random.Generator) -> list[str]:
        unique = list(dict.fromkeys(present))
        if not self.config.fresh_present:
            rng.shuffle(unique)
            unique = unique[: max(1, len(present) // 4)]
        others = [n for n in self.names if n not in set(unique)]
        count = min(self.config.fresh, len(others))
        return (
            unique + [str(n) for n in rng.choice(others, count, replace=False)] if count else unique
        )

    def _remembered(self, fresh: set[str], step: int, rng: np.random.Generator) -> list[str]:
        recent = [
            n for n, (age, _) in self.memory.items()
            if n not in fresh and step - age <= self.config.max_age
        ]  # fmt: skip
        room = max(0, self.config.max_names - 1 - len(fresh))
        if len(recent) > room:
            recent = [str(n) for n in rng.choice(recent, room, replace=False)]
        return recent


def embed_names(
    model: FindModel, texts: TextCache, names: Sequence[str], template: str = TEMPLATES[0]
) -> list[Tensor]:
    """Per prediction, the class queries' semantic vectors (K, H)."""
    tokens = [model.lang_proj(t.states) for t in texts.encode([template.format(n) for n in names])]
    outputs = model(None, model.sampler.sentence(tokens, TokenGroup.CLASS))
    return [model.heads.semantic(o.embeddings[TokenGroup.CLASS][:, 0]) for o in outputs]
