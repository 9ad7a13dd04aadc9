"""What a run of a suite is told, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.evaluation.bench.cases import Cases

Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """No progress."""


@dataclass(frozen=True, eq=False)
class Options:
    """
    Attributes:
        root: folder of the data set. split: None is the data set's usual one.
        limit: only the first images. seed: of strokes and of which phrases are visual.
        file: entity or interleave JSON instead of the published name.
        descriptions: JSON of {class: sentence}. examples: split of the visual examples.
        most_clicks: of NoC; what is not reached counts as that many.
        kept: worst and best cases kept.
    """

    root: Path
    split: str | None = None
    limit: int | None = None
    seed: int = 0
    file: Path | None = None
    descriptions: Path | None = None
    examples: str = "train2017"
    most_clicks: int = 20
    progress: Progress = silent
    cases: Cases = field(default_factory=Cases)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Figures of a suite; `notes` are sentences about how it was asked; `drawn` is what chance chose."""

    figures: dict[str, Any]
    notes: tuple[str, ...] = ()
    drawn: dict[str, Any] = field(default_factory=dict)
