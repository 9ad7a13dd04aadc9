"""Multi-head attention as the interface needs it: shared keys, and zero for rows that see nothing.

Letters: B batch, N query rows, M key rows, H width, h heads, d = H / h.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KeysValues = tuple[Tensor, Tensor]


class Attention(nn.Module):
    """Scaled dot-product attention whose keys and values may be projected once and reused."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def queries(self, x_BNH: Tensor) -> Tensor:
        return self._heads(F.linear(x_BNH, *self._part(0)))

    def keys_values(self, key_BMH: Tensor, value_BMH: Tensor) -> KeysValues:
        """Project sources once; the result serves any number of `forward` calls."""
        return (
            self._heads(F.linear(key_BMH, *self._part(1))),
            self._heads(F.linear(value_BMH, *self._part(2))),
        )

    def forward(self, x_BNH: Tensor, sources: KeysValues, allowed: Tensor | None = None) -> Tensor:
        """Attend from `x_BNH` to `sources`.

        Args:
            allowed: bool, broadcastable to (B, N, M); a row without a single True gives only the
                output bias, not NaN (docs/spec.md 2.6).
        """
        attended = attend(self.queries(x_BNH), *sources, allowed)
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def _part(self, i: int) -> tuple[Tensor, Tensor]:
        return self.in_proj_weight.chunk(3)[i], self.in_proj_bias.chunk(3)[i]

    def _heads(self, x_BNH: Tensor) -> Tensor:
        return x_BNH.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def attend(q_BhNd: Tensor, k_BhMd: Tensor, v_BhMd: Tensor, allowed: Tensor | None) -> Tensor:
    """SDPA in which a fully masked row gives zero.

    On CPUs it runs in float32 outside autocast: the bf16 masked backward was measured five times
    slower there.
    """
    on_cpu = q_BhNd.device.type == "cpu"
    dtype = torch.float32 if on_cpu else q_BhNd.dtype
    batch = q_BhNd.shape[0]
    q, k, v = (t.to(dtype) for t in (q_BhNd, k_BhMd, v_BhMd))
    if k.shape[0] != batch:  # not `expand` always: an exported graph would hold the batch it saw
        k, v = (t.expand(batch, -1, -1, -1) for t in (k, v))
    with torch.autocast(q.device.type, enabled=torch.is_autocast_enabled() and not on_cpu):
        if allowed is None:
            return F.scaled_dot_product_attention(q, k, v)
        sees_any = allowed.any(-1, keepdim=True)
        mask = (allowed | ~sees_any).unsqueeze(1)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask) * sees_any.unsqueeze(1)
