"""Where a field may be written, and writing it again while it grows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from find_core.errors import FieldError
from find_ros.pipeline.live_field import LiveField
from find_ros.support.text import sentence_of


def check_replaceable(path: Path) -> None:
    """A field is written at a new path, or over a field.

    Raises:
        FieldError: something else is there.
    """
    from safetensors import SafetensorError, safe_open

    from find_field.field.storage import FORMAT

    if not path.exists() and not path.is_symlink():
        return
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError):
        metadata = {}
    if metadata.get("format") != FORMAT:
        raise FieldError(f"{path} is there and is no field: it is not replaced.")


class Keeper:
    """Writes a live field again when it has changed, for those who follow its file.

    Args:
        path: the .field file. every_s: seconds from the end of one writing to the next look.
        live: gives the field; None while it is loading. warn: gets the sentence of what went wrong.

    Attributes:
        saves: how often it was written.
    """

    def __init__(
        self,
        path: Path,
        every_s: float,
        live: Callable[[], LiveField | None],
        warn: Callable[[str], object],
    ) -> None:
        self.path, self.saves = path, 0
        self._every_s, self._live, self._warn = every_s, live, warn
        self._written = 0
        self._stopping = threading.Event()

    def run(self) -> None:
        """In a thread of its own, until `stop`."""
        while not self._stopping.wait(self._every_s):
            self.look()

    def stop(self) -> None:
        self._stopping.set()

    def look(self) -> None:
        """Write it if it has changed; trouble is told and tried again."""
        live = self._live()
        if live is None or (changes := live.changes) == self._written or not live.voxels:
            return
        try:
            check_replaceable(self.path)
            live.save(str(self.path))
        except (FieldError, OSError) as error:
            self._warn(f"{self.path} was not written: {sentence_of(error)}")
            return
        self._written, self.saves = changes, self.saves + 1
