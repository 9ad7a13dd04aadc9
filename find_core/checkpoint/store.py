"""Checkpoints: a directory of `config.json` and `model.safetensors`, saved and read atomically.

The tensors are those of `FindModel`, and `vision.*` / `language.*` for frozen encoders whose
weights have no other source (the published backbones). Other encoders are referred to by name.
Nothing here ever unpickles code.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from find_core.encoders.registry import weights_in_checkpoint
from find_core.errors import CheckpointError
from find_core.images import MAX_SIDE_PX
from find_core.model.config import FindConfig
from find_core.model.find import FindModel
from find_core.support.files import read_tensors, replace_file, write_tensors
from find_core.support.json_text import json_text
from find_core.support.printable import quoted, shown
from find_core.support.strict_json import parse_json

FORMAT, VERSION = "find_core", 1
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
_MAX_SIZE = 100_000  # of any one dimension
_RANGES = {
    "encoder_layers": (0, _MAX_SIZE),
    "vision.short_side_px": (1, MAX_SIDE_PX),
    "vision.max_side_px": (1, MAX_SIDE_PX),
    "vision.size_divisibility": (1, 1024),  # images are padded to it
}
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a checkpoint holds, on the CPU, in float32.

    Attributes:
        config: sizes and the encoders' names.
        tensors: by our names.
        fingerprint: hash of the tensors as they were saved.
        notes: where it comes from (training data, script, source file); free-form JSON.
    """

    config: FindConfig
    tensors: Mapping[str, Tensor]
    fingerprint: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)


def save(
    directory: str | Path,
    model: FindModel,
    vision: Any = None,
    language: Any = None,
    *,
    dtype: torch.dtype = torch.float32,
    notes: Mapping[str, Any] | None = None,
) -> Path:
    """Write `model`, and those of the encoders whose weights have no other source.

    Args:
        directory: made if missing; what is there stays valid until the new files are complete.
        dtype: float16 or bfloat16 halve the file; they are read back as float32.
        notes: free-form JSON on where the weights come from.

    Raises:
        CheckpointError: the directory cannot be written.
    """
    tensors = dict(model.state_dict())
    config = model.config
    for kind, encoder, source in (
        ("vision", vision, config.vision),
        ("language", language, config.language),
    ):
        if not weights_in_checkpoint(source):
            continue
        if encoder is None:
            raise CheckpointError(f"Pass {kind}= too: {source.name!r} has no other weights.")
        tensors |= {f"{kind}.{k}": v for k, v in encoder.state_dict().items()}
    return write(directory, Checkpoint(config, tensors, notes=notes or {}), dtype=dtype)


def write(
    directory: str | Path, checkpoint: Checkpoint, *, dtype: torch.dtype = torch.float32
) -> Path:
    """Write a `Checkpoint`; see `save`."""
    directory = Path(directory)
    tensors = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in checkpoint.tensors.items()
    }
    fingerprint = tensors_hash(tensors)
    config = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": fingerprint,
        "model": checkpoint.config.to_dict(),
        "notes": dict(checkpoint.notes),
    }
    metadata = {"fingerprint": fingerprint}  # one key: their order in the file is random
    text = json_text(config, indent=2) + "\n"
    write_tensors(directory / WEIGHTS_FILE, tensors, metadata, CheckpointError)
    replace_file(directory / CONFIG_FILE, lambda path: path.write_text(text), CheckpointError)
    return directory


def read_folder(directory: str | Path) -> Checkpoint:
    """Read a checkpoint directory.

    Raises:
        CheckpointError: missing, truncated, foreign, damaged, or of a newer version.
    """
    path = Path(directory)
    config, header = read_config(path)
    tensors, metadata = _read_weights(path / WEIGHTS_FILE)
    fingerprint, notes = metadata.get("fingerprint"), header.get("notes") or {}
    if fingerprint is None or fingerprint != header.get("fingerprint"):
        raise CheckpointError(
            f"{CONFIG_FILE} and {WEIGHTS_FILE} in {path} are not of one save: copy both again."
        )
    return Checkpoint(config, tensors, fingerprint, notes)


def read_config(directory: str | Path) -> tuple[FindConfig, dict[str, Any]]:
    """The model's config and the whole `config.json` of a checkpoint directory, without weights."""
    path = Path(directory) / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{directory} is not a checkpoint: it has no {CONFIG_FILE}. Published .pt files are "
            "given directly, or converted by `find-core import FILE.pt --out DIR`."
        )
    try:
        header = parse_json(path.read_bytes(), shown(path, 200), CheckpointError)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error}): copy it again.") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not of the format {FORMAT!r}: is it another program's?")
    version = header.get("version")
    if version != VERSION:
        raise CheckpointError(
            f"{path} is of version {version!r}, this program reads {VERSION}: update find_ros."
        )
    if not isinstance(header.get("notes", {}), dict):
        raise CheckpointError(f"{path}: notes must be an object.")
    if not isinstance(header.get("model"), dict):
        raise CheckpointError(f'{path} has no object "model": copy it again.')
    config = FindConfig.from_dict(header["model"])
    _check_sizes(config)
    return config, header


def _check_sizes(config: FindConfig) -> None:
    """Sizes that no model has; a config is as little trusted as the rest of the file."""
    for prefix, part in (("", config), ("vision.", config.vision), ("language.", config.language)):
        for spec in dataclasses.fields(part):
            size = getattr(part, spec.name)
            if type(size) is not int:  # a bool is no size
                continue
            low, high = _RANGES.get(prefix + spec.name, (1, _MAX_SIZE))
            if not low <= size <= high:
                raise CheckpointError(
                    f"Config key {prefix}{spec.name} = {quoted(size)} does not describe a model."
                )
    if config.hidden_dim % config.num_heads or config.num_layers + config.encoder_layers > 1000:
        raise CheckpointError(
            f"The config does not describe a model: hidden_dim {config.hidden_dim} in "
            f"{config.num_heads} heads, {config.num_layers} + {config.encoder_layers} layers."
        )


def _read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: copy the whole checkpoint directory.")
    tensors, metadata = read_tensors(path, CheckpointError)
    for name, tensor in tensors.items():
        if tensor.dtype not in _FLOATS:
            raise CheckpointError(
                f"{shown(name)} is {tensor.dtype}, not a float: the file is foreign."
            )
    if tensors_hash(tensors) != metadata.get("fingerprint"):
        raise CheckpointError(
            f"{path} is damaged: its weights are not those that were saved. Copy it again."
        )
    return {name: tensor.float() for name, tensor in tensors.items()}, metadata


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """16 hexadecimal digits that name tensors: their names, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
