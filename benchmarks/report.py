"""What every benchmark does with its figures: show them, and keep them where --json says."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from find_core.support.files import write_text
from find_core.support.json_text import figures_text


def publish(report: dict[str, Any], path: Path | None, indent: int = 1) -> None:
    """Print the figures as JSON and write the same text to `path`, atomically, if there is one."""
    text = figures_text(report, indent=indent)
    print(text)
    if path is not None:
        write_text(path, text + "\n")


def verdict(missed: Sequence[str], check: bool) -> int:
    """Say which targets were missed; the exit status, which tells of them with --check."""
    for sentence in missed:
        print(f"missed: {sentence}", file=sys.stderr)
    return 1 if check and missed else 0
