"""How stored results become text: numbers, intervals, tables, and whose model it was."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from find_core.embedding_space import same_space

ROOT = Path(__file__).resolve().parents[2]
TRAINING, BENCHMARKS = "training/results", "benchmarks/results"


@functools.cache
def result(path: str) -> dict[str, Any]:
    """A stored result by its path in the repository."""
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


@functools.cache
def shipped() -> tuple[str, int]:
    """Fingerprint and number of parameters of the model that is shipped."""
    import find_core as fc

    find = fc.load("find-tabletop", device="cpu")
    return find.fingerprint, sum(p.numel() for p in find.model.parameters())


def share(value: float, digits: int = 2) -> str:
    """0.8401 -> .84; 1 -> 1.00."""
    return f"{value:.{digits}f}".removeprefix("0") if value < 1 else f"{value:.{digits}f}"


def interval(figure: dict[str, Any], digits: int = 2, aim: float | None = None) -> str:
    """ ".840 [.819, .861]", bold when the aim is met, compared as shown."""
    text = share(figure["value"], digits)
    met = aim is not None and round(figure["value"], digits) >= aim
    low, high = share(figure["low"], digits), share(figure["high"], digits)
    return f"{f'**{text}**' if met else text} [{low}, {high}]"


def aimed(value: float, aim: float, text: str, less: bool = False) -> str:
    """`text`, bold when the aim is met."""
    return f"**{text}**" if (value <= aim if less else value >= aim) else text


def table(head: str, rows: list[list[str]]) -> str:
    columns = head.split(" | ")
    lines = [f"| {head} |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def measured_with(found: str | None) -> str:
    """What a reader must know about a result's model."""
    if found is None:
        return "not recorded"
    return "the shipped one" if same_space(found, shipped()[0]) else f"**another one**, `{found}`"


def note(path: str, fingerprint: str | None, command: str) -> str:
    return f"`{command}` → [`{path}`](../{path}). Model: {measured_with(fingerprint)}."


def suite(name: str) -> tuple[str, dict[str, Any], str | None]:
    path = f"{TRAINING}/{name}.json"
    data = result(path)
    return path, data["figures"], data["fingerprint"]
