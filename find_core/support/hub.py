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

from find_core.errors import EncoderError
from find_core.support.printable import quoted

ANSWER_WITHIN_S, LONGEST_S = 15.0, 60.0
TIMEOUT_VARIABLE = "FIND_HUB_TIMEOUT_S"
_REMEMBER_S = 60.0
_last: tuple[float, str, bool] = (-_REMEMBER_S, "", False)


def answer_within_s() -> float:
    """Seconds the hub has to answer: 15, or what the variable FIND_HUB_TIMEOUT_S says.

    Raises:
        EncoderError: it says no number of seconds up to 60.
    """
    said = os.environ.get(TIMEOUT_VARIABLE)
    if said is None:
        return ANSWER_WITHIN_S
    try:
        seconds = float(said)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= LONGEST_S:
        raise EncoderError(
            f"{TIMEOUT_VARIABLE}={quoted(said)} is no time to wait for the hub: give seconds above 0, at "
            f"most {LONGEST_S:g}."
        )
    return seconds


def needs_network(name: str | Path) -> bool:
    """Whether a model's name is one of the hub's, not a folder here."""
    try:
        return not Path(name).exists()
    except (OSError, ValueError):
        return True


def hub_answers(within_s: float | None = None) -> bool:
    """Does the hub answer at all? Asked once a minute; `HF_HUB_OFFLINE` says no.

    Args:
        within_s: None: `answer_within_s()`.
    """
    global _last
    from huggingface_hub import constants

    within_s = answer_within_s() if within_s is None else within_s

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
    return (
        f"the hub does not answer within {answer_within_s():g} s, and it is not in the local cache"
    )
