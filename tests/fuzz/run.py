"""One input against one target, and a time-boxed run of many."""

from __future__ import annotations

import collections
import hashlib
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from find_core.errors import FindError
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import Target

SLOW_S = 2.0
MAX_SENTENCE = 1000
CORPUS = Path(__file__).with_name("corpus")


class Broken(AssertionError):
    """An input that breaks the law of all targets."""


def check(target: Target, data: bytes, folder: Path) -> str:
    """Read one input; returns how it ended: "" for an answer, else its error with numbers left out.

    Raises:
        Broken: an undocumented exception, a long or unprintable sentence, or 2 s of time.
    """
    began = time.process_time()
    try:
        target.run(data, folder)
        ending = ""
    except FindError as error:
        said = str(error)
        if not said.isprintable() or len(said) > MAX_SENTENCE or not said:
            raise Broken(f"a sentence of {len(said)} characters: {said[:200]!r}") from error
        ending = re.sub(r"'.*?'|\d+", "#", said.replace(str(folder), ""))[:40]
    except Exception as error:
        raise Broken(f"{type(error).__name__}: {str(error)[:300]}") from error
    if (spent := time.process_time() - began) > SLOW_S:
        raise Broken(f"it took {spent:.1f} s")
    return ending


@dataclass
class Tally:
    """Attributes: inputs, accepted: how many. endings: kinds of refusals. broken: what failed."""

    inputs: int = 0
    accepted: int = 0
    endings: collections.Counter[str] = field(default_factory=collections.Counter)
    broken: list[tuple[str, bytes]] = field(default_factory=list)


def fuzz(
    target: Target,
    folder: Path,
    seconds: float,
    seed: int,
    before: Callable[[bytes], None] | None = None,
) -> tuple[Tally, dict[str, bytes]]:
    """Mutations of the target's seeds for so many seconds.

    Args:
        before: called with each input before it is read, so that a crash can be told.

    Returns:
        The tally, and the smallest input seen of each ending.
    """
    rng, tally = random.Random(seed), Tally()
    pool = target.seeds(folder)
    for whole in pool:
        check(target, whole, folder)
    examples: dict[str, bytes] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutated(rng.choice(pool), pool, rng)
        if before is not None:
            before(data)
        tally.inputs += 1
        try:
            ending = check(target, data, folder)
        except Broken as problem:
            tally.broken.append((str(problem), data))
            if len(tally.broken) > 20:
                break
            continue
        tally.accepted += not ending
        tally.endings[ending] += 1
        if ending not in examples or len(data) < len(examples[ending]):
            if ending not in examples and len(pool) < 400:
                pool.append(data)  # a new ending: worth going on from
            examples[ending] = data
    return tally, examples


def keep(name: str, data: bytes) -> Path:
    """Put an input into the corpus."""
    path = CORPUS / name / hashlib.sha256(data).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
