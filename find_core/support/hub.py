"""Asking huggingface.co without waiting for ever: where it does not answer, the local cache must do.

The hub's own client retries every file several times; on a network that swallows packets a model of
ten files keeps a robot waiting for many minutes.
"""

from __future__ import annotations

import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ANSWER_WITHIN_S = 15.0
_REMEMBER_S = 60.0
_last: tuple[float, str, bool] = (-_REMEMBER_S, "", False)


def needs_network(name: str | Path) -> bool:
    """Whether a model's name is one of the hub's, not a folder here."""
    try:
        return not Path(name).exists()
    except (OSError, ValueError):
        return True


def hub_answers(within_s: float = ANSWER_WITHIN_S) -> bool:
    """Does the hub answer at all? Asked once a minute; `HF_HUB_OFFLINE` says no."""
    global _last
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    asked_at, endpoint, answer = _last
    if endpoint == constants.ENDPOINT and time.monotonic() - asked_at < _REMEMBER_S:
        return answer
    heard: list[bool] = []
    thread = threading.Thread(
        target=_ask, args=(constants.ENDPOINT, within_s, heard), daemon=True, name="hub"
    )
    thread.start()
    thread.join(within_s)  # the whole answer: a server may also send a byte now and then
    _last = time.monotonic(), constants.ENDPOINT, bool(heard)
    return bool(heard)


def _ask(endpoint: str, timeout_s: float, heard: list[bool]) -> None:
    request = urllib.request.Request(endpoint, method="HEAD", headers={"User-Agent": "find_core"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s):
            heard.append(True)
    except urllib.error.HTTPError:  # an answer too
        heard.append(True)
    except (OSError, ValueError):
        return


@contextmanager
def only_local(local: bool) -> Iterator[None]:
    """No request to the hub inside: `local_files_only` alone still asks it for other things."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or local
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def silence() -> str:
    """Why a model that is not here cannot come, for a sentence."""
    if os.environ.get("HF_HUB_OFFLINE"):
        return "HF_HUB_OFFLINE is set, and it is not in the local cache"
    return f"the hub does not answer within {ANSWER_WITHIN_S:g} s, and it is not in the local cache"
