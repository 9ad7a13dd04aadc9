"""Token states kept on disk, so that a robot needs no language model.

`write_vocabulary` puts the states of chosen texts into one file; `CachedText` answers from such a
file alone. `find_core.encoders.precompute` is the command for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from find_core.encoders.base import (
    FrozenModule,
    LanguageConfig,
    TextTokens,
)
from find_core.errors import EncoderError, PromptError
from find_core.support.files import read_tensors, write_tensors
from find_core.support.formats import Array, Key, check_arrays, check_object
from find_core.support.json_text import json_text
from find_core.support.printable import quoted
from find_core.support.strict_json import parse_json

FORMAT, VERSION = "find_core language cache", "1"
# N texts, T tokens of them all, W width of their states.
LAYOUT = {
    "states": Array("T W", "float16 float32"),
    "offsets": Array("T 2", "int64", 0, 100_000),
    "lengths": Array("N", "int64", 0, 100_000),
}
SOURCE = {"name": Key((str,), optional=True), "options": Key((dict,), optional=True)}
ADD_COMMAND = "python -m find_core.encoders.precompute MODEL --out {path} --text {text}"


def fingerprint_of(encoder: Any) -> str:
    """What names an encoder's states: equal names give equal states for equal texts.

    Raises:
        EncoderError: the encoder has no fingerprint.
    """
    fingerprint = getattr(encoder, "fingerprint", None)
    if not isinstance(fingerprint, str):
        raise EncoderError(
            f"{type(encoder).__name__} cannot be cached: give it a `fingerprint` string that "
            "changes with its weights."
        )
    return fingerprint


def write_vocabulary(
    path: str | Path,
    tokens: Mapping[str, TextTokens],
    config: LanguageConfig,
    fingerprint: str,
) -> Path:
    """Write the token states of texts into one file for `CachedText`.

    They are kept as float16 (LLaMA's own type) where its range allows, else as float32.

    Args:
        tokens: text -> its states.
        config: the encoder they come from.
        fingerprint: of that encoder.
    """
    texts = sorted(tokens)
    lengths = torch.tensor([len(tokens[text].states) for text in texts])
    states = torch.cat([tokens[text].states.cpu() for text in texts])
    half = states.to(torch.float16)
    tensors = {
        "states": half if torch.isfinite(half).all() else states,
        "offsets": torch.from_numpy(np.concatenate([tokens[text].offsets for text in texts])),
        "lengths": lengths,
    }
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "texts": json_text(texts),
        "language": json_text({"name": config.name, "options": config.options}),
        "fingerprint": fingerprint,
    }
    write_tensors(Path(path), tensors, metadata, EncoderError)
    return Path(path)


def read_vocabulary(path: str | Path) -> tuple[dict[str, TextTokens], dict[str, str]]:
    """The states by text (float32), and what else the file says about itself.

    Raises:
        EncoderError: missing, truncated, foreign, or of a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise EncoderError(
            f"There is no language cache {path}: make it with "
            f"`{ADD_COMMAND.format(path=path, text='...')}`."
        )
    tensors, metadata = read_tensors(path, EncoderError)
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        raise EncoderError(
            f"{path} is not a language cache of version {VERSION} (but "
            f"{metadata.get('format')!r} {metadata.get('version')!r}): make it anew."
        )
    try:
        texts = parse_json(metadata.get("texts", ""), "its list of texts", EncoderError)
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise EncoderError("its texts are no list of texts")
        return _unpack(tensors, texts), metadata
    except EncoderError as error:
        raise EncoderError(f"{path} contradicts itself ({error}): make it anew.") from None


def _unpack(tensors: Mapping[str, Tensor], texts: list[str]) -> dict[str, TextTokens]:
    arrays = {name: tensor.numpy() for name, tensor in tensors.items() if name in LAYOUT}
    sizes = check_arrays(arrays, LAYOUT, "it", EncoderError, {"N": len(texts)})
    lengths = tensors["lengths"].tolist()
    if len(set(texts)) != len(texts) or sum(lengths) != sizes["T"]:
        raise EncoderError("its texts and their states differ in number")
    states = tensors["states"].float().split(lengths)
    offsets = tensors["offsets"].split(lengths)
    return {
        text: TextTokens(state, offset.numpy())
        for text, state, offset in zip(texts, states, offsets, strict=True)
    }


class CachedText(FrozenModule):
    """Answers from a vocabulary file alone; no language model is needed.

    Args:
        path: written by `write_vocabulary` (`python -m find_core.encoders.precompute`).
        max_tokens: accepted as every language encoder does; texts in the file were short enough.
        expected: the encoder that the states must come from.

    Raises:
        EncoderError: the file is missing or damaged, or is of another encoder.
    """

    _device: Tensor

    def __init__(
        self, path: str | Path, max_tokens: int = 77, expected: LanguageConfig | None = None
    ) -> None:
        super().__init__()
        self.path = Path(path)
        self._tokens, metadata = read_vocabulary(path)
        self.fingerprint = metadata.get("fingerprint", "")
        self.width = next((t.states.shape[1] for t in self._tokens.values()), 0)
        self.register_buffer("_device", torch.empty(0), persistent=False)
        if expected is not None:
            what = f"The source of {self.path.name}"
            source = parse_json(metadata.get("language", "{}"), what, EncoderError)
            check_object(source, SOURCE, what, EncoderError)
            _check_source(self.path, source, expected)

    @property
    def texts(self) -> list[str]:
        """What it knows."""
        return list(self._tokens)

    def encode(self, texts: Sequence[str]) -> list[TextTokens]:
        """(T, W) states per text.

        Raises:
            PromptError: a text is not in the file; the sentence holds the command that adds it.
        """
        if unknown := [text for text in texts if text not in self._tokens]:
            command = ADD_COMMAND.format(path=self.path, text=json_text(unknown[0]))
            raise PromptError(
                f"{quoted(unknown[0], 60)} is not in the language cache {self.path.name}: on a machine "
                f"with the language model run `{command}`."
            )
        found = [self._tokens[text] for text in texts]
        return [TextTokens(t.states.to(self._device.device), t.offsets) for t in found]


def _check_source(path: Path, source: Mapping[str, Any], expected: LanguageConfig) -> None:
    """The same model read at the same layer; where it lies on disk may differ."""
    keys = ("layer", "width", "layers", "vocabulary")
    have = [source.get("name"), *(source.get("options", {}).get(k) for k in keys)]
    want = [expected.name, *(expected.options.get(k) for k in keys)]
    if have != want:
        raise EncoderError(
            f"{path.name} holds token states of {source.get('name')!r} "
            f"{source.get('options')}, the model needs {expected.name!r} {expected.options}."
        )
