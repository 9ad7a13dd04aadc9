"""Files that are whole or not there: atomic writing, and safetensors that are never trusted."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from find_core.errors import FindError

if TYPE_CHECKING:
    from torch import Tensor


@contextlib.contextmanager
def replacing(path: Path, error: type[FindError] = FindError) -> Iterator[Path]:
    """A temporary file beside `path` to write into, which takes its place when the block ends.

    It ends like `path`, since some writers go by that, and other users may read it as the umask
    says. Missing folders are made.

    Raises:
        error: it cannot be written; what was at `path` is still there.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(6)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)  # some writers put a file of their own there, closed to others
        temporary.replace(path)
    except (OSError, SafetensorError) as problem:
        _discard(temporary)
        raise error(f"{path} cannot be written ({problem}): check the disk.") from None
    except BaseException:
        _discard(temporary)
        raise


def replace_file(
    path: Path, write_to: Callable[[Path], Any], error: type[FindError] = FindError
) -> None:
    """Have `write_to` write a temporary file, then put it in place in one step; see `replacing`."""
    with replacing(path, error) as temporary:
        write_to(temporary)


def write_text(path: Path, text: str, error: type[FindError] = FindError) -> None:
    """Write UTF-8 text atomically; see `replace_file`."""
    replace_file(path, lambda file: file.write_text(text, encoding="utf-8"), error)


def _discard(temporary: Path) -> None:
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)


def write_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    error: type[FindError] = FindError,
) -> None:
    """Write CPU tensors and strings as a safetensors file, atomically."""
    from safetensors.torch import save_file  # imports torch, which fields do without

    replace_file(path, lambda file: save_file(dict(tensors), file, dict(metadata)), error)


def read_tensors(
    path: Path, error: type[FindError] = FindError
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors (on the CPU) and the strings of a safetensors file.

    Raises:
        error: the file is truncated, or of another format (a pickle is never opened).
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as problem:
        raise error(
            f"{path} is truncated, damaged or not a safetensors file ({problem}): get it again."
        ) from None
