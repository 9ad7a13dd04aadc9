"""A file of JSON lines that grows as work is done, and survives kill -9.

The first line says what the work is; a file of other work is not continued. A line that was being
written when the process ended is cut off.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from find_core.errors import FindError
from find_core.support.files import locked, write_text
from find_core.support.json_text import json_text
from find_core.support.printable import shown

SYNC_EVERY_S = 1.0
"""Lines reach the kernel at once, which kill -9 cannot undo, and the disk so often."""


class Journal:
    """Open for one process at a time; see `entries` for what was there.

    Args:
        about: JSON values that say what the work is.

    Raises:
        FindError: the file is of other work, is damaged before its last line, or is in use.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        self._stack = ExitStack()
        self._stack.enter_context(locked(path))
        try:
            self.entries = self._read(json.loads(json_text(about)))
        except BaseException:
            self._stack.close()
            raise
        self._file = self._stack.enter_context(path.open("ab", buffering=0))
        self._synced = time.monotonic()

    def _read(self, about: dict[str, Any]) -> list[dict[str, Any]]:
        if not self.path.exists():
            write_text(self.path, json_text(about) + "\n")
            return []
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
            was, entries = lines[0], lines[1:]
        except (ValueError, IndexError):
            raise FindError(f"{shown(self.path, 200)} is damaged: move it away to begin anew.") from None  # fmt: skip
        if was != about:
            other = next((k for k in about if was.get(k) != about[k]), "version")
            raise FindError(
                f"{shown(self.path, 200)} is of a run with {other}={shown(was.get(other), 80)}, not "
                f"{shown(about.get(other), 80)}: give another --out, or the same options."
            )
        return entries

    def add(self, entry: Mapping[str, Any]) -> None:
        """One line; whole or not there."""
        line = json_text(entry, separators=(",", ":")).encode() + b"\n"
        if self._file.write(line) != len(line):
            raise FindError(f"{shown(self.path, 200)} cannot be written: check the disk.")
        if time.monotonic() - self._synced > SYNC_EVERY_S:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        os.fsync(self._file.fileno())
        self._stack.close()
