"""Where a checkpoint is, by any of its names, and what is in it."""

from __future__ import annotations

import re
from pathlib import Path

from find_core.checkpoint.published import HUB_REPO, RELEASES, read_published
from find_core.checkpoint.store import CONFIG_FILE, WEIGHTS_FILE, Checkpoint, read_folder
from find_core.errors import CheckpointError
from find_core.support.hub import hub_answers, only_local, silence
from find_core.support.printable import shown

SHARE = Path(__file__).parents[1] / "share"
SAME = (("find-base", "find-tabletop"),)
"""Names of one packaged checkpoint: the newest name first."""


def resolve(name: str | Path) -> Path:
    """Where a checkpoint is: a directory in our format, or a published .pt file.

    Args:
        name: a packaged checkpoint ("find-base", which "find-tabletop" names too); a directory; a .pt file;
            "xueyanz/FIND:focalt" or ":focall"; or a hub repository in our format ("user/name").
            The last two are downloaded once, through huggingface_hub.

    Raises:
        CheckpointError: there is no such checkpoint, or it cannot be downloaded.
    """
    shown_name = shown(name, 200)
    try:
        path = Path(name).expanduser()
        if path.exists():
            return path
    except (RuntimeError, OSError, ValueError) as error:  # no such user, too long, a NUL
        raise CheckpointError(f"{shown_name!r} is no path ({shown(error)}).") from None
    for packaged_name in _names_of(str(name)):
        if (SHARE / packaged_name / CONFIG_FILE).is_file():
            return SHARE / packaged_name
    repo, _, variant = str(name).partition(":")
    if repo == HUB_REPO:
        if variant not in RELEASES:
            choices = " or ".join(f"{HUB_REPO}:{key}" for key in RELEASES)
            raise CheckpointError(f"{name!r} names no released file: choose {choices}.")
        return _download(repo, (RELEASES[variant].file,))
    if re.fullmatch(r"[\w-]+/[\w.-]+", str(name)):
        return _download(repo, (CONFIG_FILE, WEIGHTS_FILE)).parent
    folders = sorted(p.parent.name for p in SHARE.glob(f"*/{CONFIG_FILE}"))
    packaged = (
        ", ".join(known for folder in folders for known in sorted(_names_of(folder))) or "none"
    )
    raise CheckpointError(
        f"There is no checkpoint {shown_name!r}: give a packaged name ({packaged}), a directory, "
        f"a published .pt file, or {HUB_REPO}:focalt."
    )


def _names_of(name: str) -> tuple[str, ...]:
    """The name, and the others of the same packaged checkpoint."""
    return (name, *(other for names in SAME if name in names for other in names if other != name))


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint directory, or a published .pt file.

    Raises:
        CheckpointError: missing, truncated, foreign, damaged, or of a newer version.
    """
    path = Path(path)
    return read_published(path) if path.is_file() else read_folder(path)


def _download(repo: str, files: tuple[str, ...]) -> Path:
    """The last of `files`, downloaded (or from the local cache) with its progress shown."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise CheckpointError(
            f"Downloading {repo} needs huggingface_hub: pip install huggingface_hub"
        ) from None
    offline = not hub_answers()
    try:
        with only_local(offline):
            paths = [hf_hub_download(repo, file, local_files_only=offline) for file in files]
        return Path(paths[-1])
    except Exception as error:  # the hub's errors have many roots
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        first_line = silence() if offline else shown(first_line, 120)
        raise CheckpointError(
            f"{files[-1]} cannot be downloaded from {repo} ({first_line}): check the network, or "
            f"fetch https://huggingface.co/{repo}/resolve/main/{files[-1]} elsewhere and give "
            "its path."
        ) from None
