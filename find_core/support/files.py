"""Files that are whole or not there: atomic writing, locks, safetensors that are never trusted."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from find_core.errors import FindError
from find_core.support.printable import shown

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
    if not path.name:
        raise error(f"{shown(path, 200)!r} names no file: give the file's name.")
    temporary = path.with_name(f".{path.stem[:200]}.{secrets.token_hex(6)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        yield temporary
        sync(temporary)
        temporary.chmod(mode)  # some writers put a file of their own there, closed to others
        temporary.replace(path)
    except (OSError, SafetensorError) as problem:
        _discard(temporary)
        raise error(
            f"{shown(path, 200)} cannot be written ({shown(problem, 120)}): check the disk."
        ) from None
    except BaseException:
        _discard(temporary)
        raise


def replace_file(
    path: Path, write_to: Callable[[Path], Any], error: type[FindError] = FindError
) -> None:
    """Have `write_to` write a temporary file, then put it in place in one step; see `replacing`."""
    with replacing(path, error) as temporary:
        try:
            write_to(temporary)
        except RuntimeError as problem:  # what torch.save makes of a full disk
            if isinstance(problem, FindError):
                raise
            raise OSError(shown(problem, 120)) from None


def write_text(path: Path, text: str, error: type[FindError] = FindError) -> None:
    """Write UTF-8 text atomically; see `replace_file`.

    Names of files that are not UTF-8 come as lone surrogates: they are escaped.
    """
    data = text.encode("utf-8", "backslashreplace")
    replace_file(path, lambda file: file.write_bytes(data), error)


def open_own(path: Path, mode: str, error: type[FindError] = FindError) -> IO[Any]:
    """`path.open(mode)` for a file of ours that grows under a fixed name; text is UTF-8.

    Raises:
        error: a link is there, which somebody else may have put in a shared folder.
    """
    try:
        return open(path, mode, encoding=None if "b" in mode else "utf-8", opener=_no_links)
    except OSError as problem:
        if problem.errno != errno.ELOOP:
            raise
        raise error(f"{shown(path, 200)} is a link: delete it, or give another folder.") from None


def _no_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def sync(path: Path) -> None:
    """Have the disk hold what was written to `path`, also after a power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


@contextlib.contextmanager
def locked(path: Path, error: type[FindError] = FindError) -> Iterator[None]:
    """Hold the right to write `path` (a file or a folder, there or not) against other processes.

    The lock is the kernel's, on a file beside `path`: it ends with the process, also by kill -9.

    Raises:
        error: another process holds it.
    """
    beside = path.with_name(f".{path.name}.lock")
    beside.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The one who held it may have removed the file between our two calls.
            mine = os.fstat(descriptor).st_ino == beside.stat().st_ino
        except BlockingIOError:
            os.close(descriptor)
            raise error(
                f"Another process is writing {shown(path, 200)}: wait for it, or give another place."
            ) from None
        except FileNotFoundError:
            mine = False
        except OSError:  # a file system without locks, as some of networks are
            mine = True
        if mine:
            break
        os.close(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
        os.close(descriptor)


def check_genuine(path: Path, error: type[FindError] = FindError) -> None:
    """Name what is often saved in a download's place.

    Raises:
        error: `path` is a web page or a Git LFS pointer.
    """
    try:
        with path.open("rb") as file:
            start = file.read(200).lstrip().lower()
    except OSError:
        return
    kinds = {b"<": "a web page", b"version https://git-lfs": "a Git LFS pointer"}
    for begins, kind in kinds.items():
        if start.startswith(begins):
            raise error(f"{shown(path, 200)} is {kind}, not the file itself: download it again.")


def read_tensors(
    path: Path, error: type[FindError] = FindError
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors (on the CPU) and the strings of a safetensors file.

    Raises:
        error: the file is truncated, or of another format (a pickle is never opened).
    """
    check_genuine(path, error)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = list(file.keys())
            # Copies: the file's own pages would change, or end the process, when it is written over.
            return {name: file.get_tensor(name).clone() for name in names}, file.metadata() or {}
    except (SafetensorError, OSError, ValueError, TypeError, MemoryError) as problem:
        raise error(
            f"{shown(path, 200)} is truncated, damaged or not a safetensors file "
            f"({shown(problem, 120)}): get it again."
        ) from None
