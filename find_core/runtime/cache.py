"""Exported graphs in the user's cache: one file a model, whole or not there, checked when read."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from find_core.errors import FindError
from find_core.runtime.image_path import ImagePath
from find_core.support.files import replace_file

VERSION = 1  # of what the graph computes and of its inputs: another one is another file
SUFFIX = ".onnx"
KEPT_FILES = 16
"""Of the folder; those that were not used for longest go. Whoever trains makes one for each model."""


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/find_core/runtime, or ~/.cache/find_core/runtime."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "find_core" / "runtime"


def weights_key(path: ImagePath) -> str:
    """Names what the graph computes: its weights, inputs and outputs, the modules' structure, our
    version and torch's."""
    digest = hashlib.blake2b(digest_size=16)
    ports = f"{path.input_names} {path.output_names}"
    digest.update(f"{VERSION} {torch.__version__} {ports} {path}".encode())
    for name, tensor in sorted(path.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def cached(key: str, make: Callable[[], bytes], folder: Path | None = None) -> bytes:
    """The graph of `key`: from the folder, or made, checked by `make` and stored.

    A file's name holds the hash of its bytes, so that one file is all there is to write: a damaged
    one is made anew, and of two processes that make it at once either may be the last.
    """
    folder = cache_folder() if folder is None else folder
    for file in sorted(folder.glob(f"{key}-*{SUFFIX}")):
        data = _read(file)
        if data is not None and file.name == _name(key, data):
            with contextlib.suppress(OSError):
                file.touch()
            return data
        with contextlib.suppress(OSError):
            file.unlink()
    data = make()
    # A read-only home costs a second at each start, nothing else.
    with contextlib.suppress(FindError, OSError):
        replace_file(folder / _name(key, data), lambda file: file.write_bytes(data))
        files = sorted(folder.glob(f"[!.]*{SUFFIX}"), key=lambda file: file.stat().st_mtime)
        for file in files[:-KEPT_FILES]:
            file.unlink(missing_ok=True)
    return data


def _name(key: str, data: bytes) -> str:
    return f"{key}-{hashlib.sha256(data).hexdigest()[:16]}{SUFFIX}"


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
