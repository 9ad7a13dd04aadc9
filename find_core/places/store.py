"""The judge of places on disk: `places.safetensors` beside a checkpoint's weights, hashed like them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from find_core.checkpoint.beside import carry, check_hash, fill
from find_core.checkpoint.store import tensors_hash
from find_core.encoders.base import LanguageConfig
from find_core.errors import CheckpointError
from find_core.places.judge import JudgeSizes, PlaceJudge
from find_core.support.files import read_tensors, write_tensors
from find_core.support.json_text import json_text
from find_core.support.meta_device import without_memory
from find_core.support.printable import quoted, shown
from find_core.support.strict_json import parse_json

PLACES_FILE = "places.safetensors"
FORMAT, VERSION = "find_core places", "1"
_MOST_WIDE = 100_000


def save_places(
    path: str | Path,
    judge: PlaceJudge,
    language: LanguageConfig,
    notes: Mapping[str, Any] | None = None,
) -> Path:
    """Write a judge as float16, atomically.

    Args:
        language: the frozen language model whose token states it reads.
        notes: free-form JSON on where it comes from.

    Raises:
        CheckpointError: it cannot be written.
    """
    state = {k: v.detach().cpu().half().contiguous() for k, v in judge.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": tensors_hash(state),
        "sizes": json_text(dataclasses.asdict(judge.sizes)),
        "language": json_text({"name": language.name, "options": language.options}),
        "notes": json_text(dict(notes or {})),
    }
    write_tensors(Path(path), state, metadata, CheckpointError)
    return Path(path)


def load_places(path: str | Path, language: LanguageConfig) -> PlaceJudge:
    """Read a judge, float32, on the CPU.

    Args:
        language: what the model that it is to serve reads sentences with.

    Raises:
        CheckpointError: damaged, foreign, of a newer version, or made for another language model.
    """
    path = Path(path)
    tensors, metadata = read_tensors(path, CheckpointError)
    name = shown(path, 200)
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        raise CheckpointError(
            f"{name} is no judge of places of version {VERSION}: make it anew with "
            "`python -m training.places.train`."
        )
    check_hash(tensors, metadata, name)
    made_for = _object(metadata.get("language", ""), name)
    if made_for.get("name") != language.name or made_for.get("options") != language.options:
        raise CheckpointError(
            f"{name} was made for the language model {quoted(made_for.get('name'))}, this model "
            f"reads with {language.name!r}: remove the file, or train a judge for this one."
        )
    with without_memory():
        judge = PlaceJudge(_sizes(_object(metadata.get("sizes", ""), name), name))
    fill(judge, tensors, name, "make it anew")
    return judge


def carry_places(source: str | Path, out: str | Path, language: LanguageConfig) -> bool:
    """Copy a judge into another checkpoint's folder; whether there was one for its language model.

    Args:
        source: the file, or the checkpoint folder that holds it.
    """
    return carry(PLACES_FILE, source, out, lambda file: load_places(file, language))


def _object(text: str, name: str) -> dict[str, Any]:
    value = parse_json(text, f"The header of {name}", CheckpointError)
    if not isinstance(value, dict):
        raise CheckpointError(f"The header of {name} is no object: make it anew.")
    return value


def _sizes(values: Mapping[str, Any], name: str) -> JudgeSizes:
    fields = {f.name for f in dataclasses.fields(JudgeSizes)}
    good = all(type(v) is int and 0 < v < _MOST_WIDE for v in values.values())
    if set(values) != fields or not good or values["width"] % values["heads"]:
        raise CheckpointError(f"{name} names sizes that no judge has: make it anew.")
    sizes = JudgeSizes(**values)
    if sizes.features != JudgeSizes().features:
        raise CheckpointError(
            f"{name} reads {sizes.features} numbers of a pair, this version gives "
            f"{JudgeSizes().features}: use the file that came with this version."
        )
    return sizes
