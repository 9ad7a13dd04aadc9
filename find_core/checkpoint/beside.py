"""What stands beside a checkpoint's weights: one file a part, hashed like them, checked before use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import copyfile

import torch
from torch import Tensor, nn

from find_core.checkpoint.store import tensors_hash
from find_core.errors import CheckpointError
from find_core.support.files import replace_file


def check_hash(tensors: dict[str, Tensor], metadata: Mapping[str, str], name: str) -> None:
    """Raises CheckpointError: the file's tensors are not those that were saved."""
    if tensors_hash(tensors) != metadata.get("fingerprint"):
        raise CheckpointError(f"{name} is damaged: its weights are not those that were saved.")


def fill(module: nn.Module, tensors: Mapping[str, Tensor], name: str, again: str) -> None:
    """Give a module that was built without memory its values, in float32.

    Raises:
        CheckpointError: other shapes, or values that are not finite.
    """
    expected = {k: v.shape for k, v in module.state_dict().items()}
    if expected != {k: v.shape for k, v in tensors.items()}:
        raise CheckpointError(f"{name} does not fit the sizes that it names: {again}.")
    if not all(torch.isfinite(v).all() for v in tensors.values()):
        raise CheckpointError(f"{name} holds NaN or infinity: the file is damaged.")
    module.load_state_dict({k: v.float() for k, v in tensors.items()}, assign=True)
    module.eval().requires_grad_(False)


def carry(
    file_name: str, source: str | Path, out: str | Path, check: Callable[[Path], object]
) -> bool:
    """Copy a part into another checkpoint's folder; whether there was one that `check` takes.

    Args:
        source: the file, or the checkpoint folder that holds it. check: raises CheckpointError.
    """
    file = Path(source) / file_name if Path(source).is_dir() else Path(source)
    if not file.is_file():
        return False
    try:
        check(file)
    except CheckpointError:
        return False
    replace_file(Path(out) / file_name, lambda path: copyfile(file, path), CheckpointError)
    return True
