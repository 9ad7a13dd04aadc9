"""One table of many reports: a row a model, a column a figure, a table a suite and data set.

python -m training.evaluation.bench.table runs/find runs/oracle runs/blind --out table.md
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from find_core.support.files import write_text
from training.engine.command import ends_in_a_sentence
from training.evaluation.bench.report import by_suite, flat, read_result, shown


def tables(results: Sequence[dict[str, Any]], intervals: bool = True) -> str:
    """Markdown; a figure that a model does not give is a dash."""
    parts = []
    for title, runs in by_suite(results).items():
        columns = list(dict.fromkeys(name for run in runs for name, _ in flat(run["figures"])))
        lines = [f"## {title}", "", f"| model | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]  # fmt: skip
        for run in runs:
            found = dict(flat(run["figures"]))
            cells = [shown(c, found[c]) if c in found else "–" for c in columns]
            if not intervals:
                cells = [cell.split(" [")[0] for cell in cells]
            lines.append(f"| {run['model']} (`{run['fingerprint']}`) | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("reports", nargs="+", type=Path, help="report folders or JSON files")
    parser.add_argument("--no-intervals", action="store_true")
    parser.add_argument("--out", type=Path, help="write the Markdown here instead of printing it")
    args = parser.parse_args()
    with ends_in_a_sentence("training.evaluation.bench.table"):
        text = tables([read_result(path) for path in args.reports], not args.no_intervals)
        if args.out:
            write_text(args.out, text)
        else:
            print(text, end="")


if __name__ == "__main__":
    main()
