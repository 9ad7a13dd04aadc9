"""The published checkpoints: whether a file is one of them, and its conversion."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from find_core.checkpoint.build import check_tensors, expected_shapes
from find_core.checkpoint.key_mapping import (
    IGNORED,
    LANG_PROJ,
    infer_config,
    is_transposed,
    to_ours,
    to_published,
)
from find_core.checkpoint.store import Checkpoint, write
from find_core.errors import CheckpointError
from find_core.support.files import check_genuine
from find_core.support.printable import shown

HUB_REPO = "xueyanz/FIND"


@dataclass(frozen=True)
class Release:
    """One released file."""

    file: str
    size_bytes: int
    sha256: str


RELEASES: dict[str, Release] = {
    "focalt": Release(
        "find_focalt_llama_x640.pt",
        413_400_374,
        "9110f749019bda79b044c1df6520f34bb1c438e879bb82563ef564cf435c5bf4",
    ),
    "focall": Release(
        "find_focall_llama_x640.pt",
        1_119_744_138,
        "debb61927eb1fc5b5c67c013afb007c0b7d8c1315acff6040e5058b03acff5d2",
    ),
}


def import_published(path: str | Path, out_dir: str | Path, *, allow_altered: bool = False) -> Path:
    """Convert a published .pt file into a checkpoint directory.

    Args:
        path: e.g. `find_focalt_llama_x640.pt`.
        out_dir: made if missing.
        allow_altered: accept a file that carries a released file's name but not its hash.

    Raises:
        CheckpointError: unreadable, altered, or a tensor is missing, unknown or mis-shaped.
    """
    path = Path(path)
    sha256 = verify(path, allow_altered=allow_altered)
    checkpoint = read_published(path, verified=True)
    notes = {"imported_from": path.name, "sha256": sha256}
    return write(out_dir, Checkpoint(checkpoint.config, checkpoint.tensors, notes=notes))


def verify(path: Path, *, allow_altered: bool = False) -> str:
    """The SHA-256 of a file, checked against the released one of its name.

    A file of another name is accepted with a warning, unless it is a released one renamed.

    Raises:
        CheckpointError: missing; or named like a released file but different from it.
    """
    if not path.is_file():
        raise CheckpointError(
            f"There is no file {path}: the released ones are at https://huggingface.co/{HUB_REPO}."
        )
    check_genuine(path, CheckpointError)
    sha256 = sha256_of(path)
    if sha256 in {release.sha256 for release in RELEASES.values()}:
        return sha256
    release = _release_of(path.name)
    if release is None or allow_altered:
        warnings.warn(f"{path.name} is not one of the released files (by SHA-256).", stacklevel=3)
        return sha256
    size = path.stat().st_size
    reason = (
        f"it has {size} of {release.size_bytes} bytes"
        if size < release.size_bytes
        else "its SHA-256 differs from the released file's"
    )
    raise CheckpointError(
        f"{path.name} is truncated or altered ({reason}): download it again from "
        f"https://huggingface.co/{HUB_REPO}, or rename it if it is a model of your own."
    )


def read_published(path: str | Path, *, verified: bool = False) -> Checkpoint:
    """Read a published .pt file without running any code in it.

    Raises:
        CheckpointError: see `import_published`.
    """
    path = Path(path)
    sha256 = "" if verified else verify(path)
    state = load_state(path)
    return Checkpoint(infer_config(state), from_published(state), sha256[:16])


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published tensors under our names, oriented our way; strict.

    Raises:
        CheckpointError: names the tensors that are missing, unknown or mis-shaped.
    """
    state = {name: tensor for name, tensor in state.items() if not IGNORED.match(name)}
    config = infer_config(state)
    shapes = expected_shapes(config, state[LANG_PROJ].shape[0])
    expected = {
        str(to_published(name)): torch.Size(reversed(shape)) if is_transposed(name) else shape
        for name, shape in shapes.items()
    }
    check_tensors(expected, state, "The file")
    ours = {str(to_ours(name)): tensor for name, tensor in state.items()}
    return {
        name: (tensor.T if is_transposed(name) else tensor).float().contiguous()
        for name, tensor in ours.items()
    }


def load_state(path: Path) -> dict[str, Tensor]:
    """Named tensors of a .pt file; code in it is never run.

    Raises:
        CheckpointError: it is damaged, or holds anything else.
    """
    try:
        # weights_only: a pickle that wants to run anything is refused, not run.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the damaged part's reader raises
        first_line = shown((str(error).splitlines() or [type(error).__name__])[0], 120)
        raise CheckpointError(
            f"{path} is not a readable PyTorch file of plain tensors ({first_line}): "
            "download it again; a file that wants to run code is never loaded."
        ) from None
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise CheckpointError(f"{path} does not hold a plain dictionary of named tensors.")
    return state


def _release_of(file_name: str) -> Release | None:
    """The release a file is named after, under its present or its old (`grin_...`) name."""
    present = re.sub("^grin_", "find_", file_name)
    return next((r for r in RELEASES.values() if r.file == present), None)


def sha256_of(path: Path) -> str:
    """Of a file, in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
