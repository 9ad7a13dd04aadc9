"""The recogniser on disk: `recognizer.safetensors` beside a checkpoint's weights, hashed like them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from find_core.checkpoint.beside import carry, check_hash, fill
from find_core.checkpoint.store import tensors_hash
from find_core.encoders.base import LanguageConfig, VisionConfig
from find_core.errors import CheckpointError
from find_core.recognition.recognizer import Recognizer, RecognizerSizes
from find_core.support.files import read_tensors, write_tensors
from find_core.support.json_text import json_text
from find_core.support.meta_device import without_memory
from find_core.support.printable import quoted, shown
from find_core.support.strict_json import parse_json

RECOGNIZER_FILE = "recognizer.safetensors"
FORMAT, VERSION = "find_core recognizer", "1"
_MOST_WIDE = 100_000
AGAIN = "make it anew with `python -m training.recognition.train`"


def save_recognizer(
    path: str | Path,
    recognizer: Recognizer,
    vision: VisionConfig,
    language: LanguageConfig,
    notes: Mapping[str, Any] | None = None,
) -> Path:
    """Write a recogniser as float16 (its calibration as float32), atomically.

    Args:
        vision, language: the frozen encoders whose features it reads.
        notes: free-form JSON on where it comes from.

    Raises:
        CheckpointError: it cannot be written.
    """
    state = {
        k: (v.detach().cpu().half() if v.ndim else v.detach().cpu().float()).contiguous()
        for k, v in recognizer.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": tensors_hash(state),
        "sizes": json_text(dataclasses.asdict(recognizer.sizes)),
        "names": json_text(list(recognizer.bank_names)),
        "made_for": json_text(_made_for(vision, language)),
        "notes": json_text(dict(notes or {})),
    }
    write_tensors(Path(path), state, metadata, CheckpointError)
    return Path(path)


def load_recognizer(path: str | Path, vision: VisionConfig, language: LanguageConfig) -> Recognizer:
    """Read a recogniser, float32, on the CPU.

    Args:
        vision, language: encoders of the model that it is to serve.

    Raises:
        CheckpointError: damaged, foreign, of a newer version, or made for other encoders.
    """
    path = Path(path)
    tensors, metadata = read_tensors(path, CheckpointError)
    name = shown(path, 200)
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        raise CheckpointError(f"{name} is no recogniser of version {VERSION}: {AGAIN}.")
    check_hash(tensors, metadata, name)
    made_for = parse_json(metadata.get("made_for", ""), f"The header of {name}", CheckpointError)
    wanted = _made_for(vision, language)
    if made_for != wanted:
        raise CheckpointError(
            f"{name} was made for the encoders {quoted(made_for)}, this model has {quoted(wanted)}: "
            "remove the file, or train a recogniser for this one."
        )
    sizes, names = _sizes(metadata, name)
    with without_memory():
        recognizer = Recognizer(sizes, names)
    fill(recognizer, tensors, name, AGAIN)
    if not (tensors["feature_spread"] > 0).all():
        raise CheckpointError(f"{name} holds a spread that is not positive: {AGAIN}.")
    return recognizer


def carry_recognizer(
    source: str | Path, out: str | Path, vision: VisionConfig, language: LanguageConfig
) -> bool:
    """Copy a recogniser into another checkpoint's folder; whether there was one for its encoders.

    Args:
        source: the file, or the checkpoint folder that holds it.
    """
    return carry(RECOGNIZER_FILE, source, out, lambda file: load_recognizer(file, vision, language))


def _made_for(vision: VisionConfig, language: LanguageConfig) -> dict[str, Any]:
    return {
        "vision": {"name": vision.name, "options": dict(vision.options)},
        "language": {"name": language.name, "options": dict(language.options)},
    }


def _sizes(metadata: Mapping[str, str], name: str) -> tuple[RecognizerSizes, tuple[str, ...]]:
    header = f"The header of {name}"
    values = parse_json(metadata.get("sizes", ""), header, CheckpointError)
    names = parse_json(metadata.get("names", ""), header, CheckpointError)
    fields = {f.name for f in dataclasses.fields(RecognizerSizes)}
    if (
        not isinstance(values, dict)
        or set(values) != fields
        or not all(type(v) is int and 0 < v < _MOST_WIDE for v in values.values())
    ):
        raise CheckpointError(f"{name} names sizes that no recogniser has: {AGAIN}.")
    listed = isinstance(names, list) and all(isinstance(n, str) for n in names)
    if not listed or len(names) != values["names"]:
        raise CheckpointError(f"{name} does not name each row of its bank: {AGAIN}.")
    return RecognizerSizes(**values), tuple(names)
