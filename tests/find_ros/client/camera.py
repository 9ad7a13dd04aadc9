"""A camera that goes on beside a blocking question."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Camera:
    """Calls `show` ten times a second in a thread of its own; a context manager."""

    def __init__(self, show: Callable[[], object]) -> None:
        self._show, self._stopping = show, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            self._show()

    def __enter__(self) -> Camera:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stopping.set()
        self._thread.join()
