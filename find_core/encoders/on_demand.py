"""A text encoder that is built when it is first needed, or ahead of that in a thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import torch

from find_core.encoders.base import LanguageEncoder
from find_core.errors import FindError


class LanguageOnDemand:
    """May be used from several threads; the encoder is built once.

    Args:
        language: the encoder, or a function that builds it. device: where it belongs.
    """

    def __init__(
        self, language: LanguageEncoder | Callable[[], LanguageEncoder], device: torch.device
    ) -> None:
        self._language, self._device = language, device
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def get(self) -> LanguageEncoder:
        """The encoder, on its device.

        Raises:
            EncoderError: it cannot be built.
        """
        with self._lock:
            if not isinstance(self._language, LanguageEncoder):
                self._language = self._language()
            if isinstance(self._language, torch.nn.Module):
                self._language.to(self._device)
            return self._language

    def prepare(self, wait: bool = False) -> None:
        """Build it in a thread and run it once.

        What goes wrong there is said by the first prompt that needs it.

        Args:
            wait: until that is done.
        """
        with self._lock:
            thread = self._thread
            if thread is None:
                thread = threading.Thread(target=self._warm, name="language model", daemon=True)
                self._thread = thread
                thread.start()
        if wait:
            thread.join()

    def _warm(self) -> None:
        with contextlib.suppress(FindError):
            self.get().encode(["the mug"])
