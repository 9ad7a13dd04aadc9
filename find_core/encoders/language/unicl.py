"""UniCL's text tower: X-Decoder's own small language model, in the `unicl` checkpoints of FIND.

Dimension letters: B batch, T tokens, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from find_core.encoders.hf_load import pretrained
from find_core.encoders.language.text_model import TransformersText, weights_hash

TOKENIZER = "openai/clip-vit-base-patch32"


class UniCL(TransformersText):
    """A causal transformer like CLIP's, with its last LayerNorm; weights come from a checkpoint.

    Args:
        max_tokens: longest text, begin and end marks included; also the size of the position table.
        width, layers, vocabulary: its sizes; heads are 64 wide.
        tokenizer: CLIP's; a hub name or a folder.
    """

    def __init__(
        self,
        max_tokens: int = 77,
        width: int = 512,
        layers: int = 12,
        vocabulary: int = 49408,
        tokenizer: str = TOKENIZER,
    ) -> None:
        super().__init__(lambda: _load_tokenizer(tokenizer), max_tokens, width)
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.positional_embedding = nn.Parameter(torch.empty(max_tokens, width))
        self.resblocks = nn.ModuleList(_Block(width) for _ in range(layers))
        self.ln_final = LayerNorm32(width)
        nn.init.normal_(self.positional_embedding, std=0.01)

    @property
    def fingerprint(self) -> str:
        return f"unicl:{weights_hash(self.token_embedding.weight, self.positional_embedding)}"

    def token_states(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T) ids -> (B, T, W); padding stands on the right, where no token looks."""
        length = ids_BT.shape[1]
        x_BTW = self.token_embedding(ids_BT) + self.positional_embedding[:length]
        hidden = torch.ones(length, length, dtype=torch.bool, device=ids_BT.device).triu(1)
        for block in self.resblocks:
            x_BTW = block(x_BTW, hidden)
        return self.ln_final(x_BTW)


class _Block(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, max(1, width // 64), batch_first=True)
        self.ln_1, self.ln_2 = LayerNorm32(width), LayerNorm32(width)
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)}
        )

    def forward(self, x: Tensor, hidden_TT: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=hidden_TT)[0]
        y = self.mlp["c_fc"](self.ln_2(x))
        return x + self.mlp["c_proj"](y * torch.sigmoid(1.702 * y))  # QuickGELU


class LayerNorm32(nn.LayerNorm):
    """LayerNorm with eps 1e-12, which only float32 can hold."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.float(), self.bias.float()
        return nn.functional.layer_norm(
            x.float(), self.normalized_shape, weight, bias, self.eps
        ).to(x.dtype)


def _load_tokenizer(name: str) -> object:
    from transformers import AutoTokenizer

    return pretrained(AutoTokenizer.from_pretrained, name)
