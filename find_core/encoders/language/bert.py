"""A BERT encoder (arXiv 1810.04805) in plain PyTorch: token states, and nothing else.

`transformers` gives the same states (a test compares them) and takes seconds to import, which the first
prompt of every process would wait for. Parameters are named as its `BertModel` names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from find_core.support.meta_device import without_memory

_EPSILON = 1e-12


class _Layer(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.attention: Any = nn.ModuleDict({
            "self": nn.ModuleDict({part: nn.Linear(width, width) for part in ("query", "key", "value")}),
            "output": _to_width(width, width),
        })  # fmt: skip
        self.intermediate: Any = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output: Any = _to_width(inner, width)

    def forward(self, x_BTW: Tensor, seen: Tensor, heads: int) -> Tensor:
        read, write = self.attention["self"], self.attention["output"]
        q, k, v = (
            read[part](x_BTW).unflatten(-1, (heads, -1)).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        mixed = write["dense"](mixed.transpose(1, 2).flatten(2))
        x_BTW = write["LayerNorm"](x_BTW + mixed)
        inner = F.gelu(self.intermediate["dense"](x_BTW))
        return self.output["LayerNorm"](x_BTW + self.output["dense"](inner))


def _to_width(inner: int, width: int) -> nn.ModuleDict:
    norm = nn.LayerNorm(width, eps=_EPSILON)
    return nn.ModuleDict({"dense": nn.Linear(inner, width), "LayerNorm": norm})


class Bert(nn.Module):
    """Token states of the last layer.

    Args:
        tensors: its weights by their names; others (a pooler's) are left out. Sizes are read off them.
        heads: of attention.

    Raises:
        KeyError, RuntimeError: weights are missing, or do not fit each other.
    """

    def __init__(self, tensors: Mapping[str, Tensor], heads: int) -> None:
        super().__init__()
        self.heads = heads
        table = "embeddings.{}_embeddings.weight"
        width = tensors[table.format("word")].shape[1]
        layers = 1 + max(int(n.split(".")[2]) for n in tensors if n.startswith("encoder.layer."))
        inner = len(tensors["encoder.layer.0.intermediate.dense.bias"])
        with without_memory():
            parts: dict[str, nn.Module] = {
                f"{kind}_embeddings": nn.Embedding(len(tensors[table.format(kind)]), width)
                for kind in ("word", "position", "token_type")
            }
            self.embeddings: Any = nn.ModuleDict(
                parts | {"LayerNorm": nn.LayerNorm(width, eps=_EPSILON)}
            )
            self.encoder: Any = nn.ModuleDict({
                "layer": nn.ModuleList(_Layer(width, inner) for _ in range(layers))
            })  # fmt: skip
        own = {name: tensors[name] for name in self.state_dict() if name in tensors}
        self.load_state_dict(own, assign=True)

    @property
    def width(self) -> int:
        return self.embeddings["word_embeddings"].weight.shape[1]

    def forward(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T) ids and mask (1: a token, padding on the right) -> (B, T, W)."""
        e = self.embeddings
        x_BTW = e["word_embeddings"](ids_BT) + e["position_embeddings"].weight[: ids_BT.shape[1]]
        x_BTW = e["LayerNorm"](x_BTW + e["token_type_embeddings"].weight[0])
        seen = mask_BT.bool()[:, None, None]
        for layer in self.encoder["layer"]:
            x_BTW = layer(x_BTW, seen, self.heads)
        return x_BTW
