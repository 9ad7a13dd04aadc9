"""A recording once more, beside the lines that were written about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from find_core.video.records import by_frame, read_records
from find_core.video.sources import Source, SourceFrame, thin


def replay(
    source: Source, records: Path, period_s: float = 0.0, seconds: float = float("inf")
) -> Iterator[tuple[SourceFrame, list[dict[str, Any]]]]:
    """Each frame with its records, one a prompt.

    Args:
        source: not a live one. records: its `localizations.jsonl`.
        period_s, seconds: as it was read then.
    """
    frames = thin(source.frames(0.0, seconds), period_s)
    yield from zip(frames, by_frame(read_records(records)), strict=False)
