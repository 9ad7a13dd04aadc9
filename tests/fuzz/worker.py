"""One target in a process of its own."""

from __future__ import annotations

import faulthandler
import logging
import os
import warnings
from pathlib import Path
from typing import Any


def work(name: str, seconds: float, seed: int, folder: str, results: Any) -> None:
    """In a process of its own: fuzz one target."""
    told = (Path(folder) / "stderr").open("w")
    faulthandler.enable(told)
    os.dup2(told.fileno(), 2)  # decoders in C write a line for every damaged input
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    from tests.fuzz.run import fuzz
    from tests.fuzz.targets import TARGETS, all_targets

    target = (TARGETS if name in TARGETS else all_targets())[name]
    current = Path(folder) / "current"
    descriptor = os.open(current, os.O_RDWR | os.O_CREAT)

    def before(data: bytes) -> None:
        os.pwrite(descriptor, len(data).to_bytes(8, "little") + data, 0)

    place = Path(folder) / "work"
    place.mkdir()
    os.chdir(place)
    tally, examples = fuzz(target, place, seconds, seed, before)
    results.put((target.kind, tally, examples))
