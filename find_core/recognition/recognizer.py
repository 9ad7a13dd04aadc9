"""The recogniser: names a mask by what the frozen vision encoder sees under it.

The interface learns masks and names together, and from few images. The frozen encoder has seen many
more. So the encoder's own maps are averaged under each mask (mask pooling), and one linear layer each
brings that average and an entity's words, or its reference's average, into one space, where a softmax
over a bank of names says which name fits best. A mask classifier beside the learnt one, and the two
scores combined, is what FC-CLIP does (arXiv 2308.02487, 3.3), there with a frozen CLIP.

Letters: N proposals, E entities, F features under a mask, W width of token states, V width of the
common space, C names of the bank.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from find_core.support.lru import Lru

KEPT_NAMES = 4096


@dataclass(frozen=True)
class RecognizerSizes:
    """Widths of a recogniser.

    Attributes:
        features: F, channels of the frozen maps at strides 16 and 32 together. token_width: W.
        width: V. names: C.
    """

    features: int = 472
    token_width: int = 384
    width: int = 128
    names: int = 1


class Recognizer(nn.Module):
    """See the module's page. Means, spreads, bank and the weights of the two scores are buffers.

    Attributes:
        bank_CV: unit vectors of the names that it learnt. bank_names: those names.
        share_of_names, share_of_references: of the evidence in the combined score, by kind of entity.
        likeness: of the plain cosine in the evidence.
        relevance_scale, relevance_bias: what makes a combined score a relevance, as
            `FindConfig.relevance` does of a cosine.
    """

    feature_mean: Tensor
    feature_spread: Tensor
    token_mean: Tensor
    bank_CV: Tensor
    share_of_names: Tensor
    share_of_references: Tensor
    likeness: Tensor
    relevance_scale: Tensor
    relevance_bias: Tensor

    def __init__(self, sizes: RecognizerSizes, bank_names: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.sizes, self.bank_names = sizes, bank_names
        self.word_rows: Lru[str, Tensor] = Lru(KEPT_NAMES)  # rows of names that the bank lacks
        self.region = nn.Linear(sizes.features, sizes.width)
        self.words = nn.Linear(sizes.token_width, sizes.width)
        self.log_scale = nn.Parameter(torch.tensor(2.5))
        self.register_buffer("feature_mean", torch.zeros(sizes.features))
        self.register_buffer("feature_spread", torch.ones(sizes.features))
        self.register_buffer("token_mean", torch.zeros(sizes.token_width))
        self.register_buffer("bank_CV", torch.zeros(sizes.names, sizes.width))
        for name, value in (("share_of_names", 0.0), ("share_of_references", 0.0),
                            ("likeness", 0.0), ("relevance_scale", 1.0), ("relevance_bias", 0.0)):  # fmt: skip
            self.register_buffer(name, torch.tensor(value))

    def with_names(self, regions_of: Mapping[str, Tensor]) -> Recognizer:
        """A copy that knows further names, or knows them otherwise, by what they look like.

        Args:
            regions_of: name -> (N, F) features under masks of what it names, N >= 1.
        """
        rows = dict(zip(self.bank_names, self.bank_CV, strict=True))
        for name, features_NF in regions_of.items():
            rows[name.casefold()] = normalize(self.of_regions(features_NF).mean(0), dim=0)
        sizes = dataclasses.replace(self.sizes, names=len(rows))
        copied = Recognizer(sizes, tuple(rows))
        state = {**self.state_dict(), "bank_CV": torch.stack(list(rows.values()))}
        copied.load_state_dict(state)
        return copied.eval().requires_grad_(False)

    def of_regions(self, features_NF: Tensor) -> Tensor:
        """(N, V) unit vectors of features averaged under masks."""
        standard = (features_NF.float() - self.feature_mean) / self.feature_spread
        return normalize(self.region(standard), dim=-1)

    def of_words(self, tokens_EW: Tensor) -> Tensor:
        """(E, V) unit vectors of names: the mean of each one's token states."""
        return normalize(self.words(tokens_EW.float() - self.token_mean), dim=-1)

    def logits(self, units_NV: Tensor) -> Tensor:
        """(N, C) of the bank's names."""
        return self.log_scale.exp() * units_NV @ self.bank_CV.T

    def relevance(self, combined: Tensor) -> Tensor:
        """In [0, 1], of combined scores (`combined`)."""
        return (self.relevance_scale * (combined.float() - self.relevance_bias)).sigmoid()

    def combined(self, looks: EntityLooks, cosines_EN: Tensor, evidence_EN: Tensor) -> Tensor:
        """(E, N): the interface's cosines and what is recognised, in the unit of the cosines."""
        return cosines_EN + looks.share_E[:, None] * evidence_EN

    def evidence(self, looks: EntityLooks, units_NV: Tensor) -> Tensor:
        """(E, N): how well each proposal fits each entity.

        Log probability of the entity's name among the bank's, or that a proposal and the reference
        are of one name, plus `likeness` times their cosine.
        """
        cosines_EN = looks.units_EV @ units_NV.T
        own_EN = self.log_scale.exp() * cosines_EN
        bank_CN = self.logits(units_NV).T
        rows = []
        for e, visual in enumerate(looks.visual):
            if visual:
                reference_C = self.logits(looks.units_EV[e : e + 1])[0].log_softmax(0)
                both_CN = reference_C[:, None] + bank_CN.log_softmax(0)
                rows.append(both_CN.logsumexp(0))
            else:
                others_N = bank_CN.masked_fill(looks.own_EC[e][:, None], -torch.inf).logsumexp(0)
                rows.append(own_EN[e] - torch.logaddexp(own_EN[e], others_N))
        return torch.stack(rows) + self.likeness * cosines_EN


@dataclass(frozen=True, eq=False)
class EntityLooks:
    """A prompt's entities as the recogniser compares them; part of a compiled prompt.

    Attributes:
        recognizer: that made them. units_EV: unit vectors. visual: which entities are references.
        own_EC: bool, which name of the bank is the entity's own. share_E: of the evidence, 0 for words
            that are no name of the bank, of which nothing is known.
    """

    recognizer: Recognizer
    units_EV: Tensor
    visual: tuple[bool, ...]
    own_EC: Tensor
    share_E: Tensor
